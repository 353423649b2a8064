"""The embedded bank's held-out tasks as a benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from iterpref.codeflow.sandbox.protocol import RunRequest
from iterpref.config import BenchmarkConfig, SandboxConfig
from iterpref.eval.answers import extract_code
from iterpref.eval.tasks.origin import Origin
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.schema import Problem, SourceFile, TestSuite, files_sha256

_CODEFLOW = SandboxConfig()  # the tasks are written for its limits


@dataclass(frozen=True)
class BankTask(Task):
    suite: TestSuite | None = None


class Bank(Benchmark[BankTask]):
    max_new_tokens = 512

    def request(self, task: BankTask, part: str, program: str) -> RunRequest:
        assert task.suite is not None
        return RunRequest(
            (SourceFile("solution.py", program),), task.suite, self.limits(_CODEFLOW.cpu_s, _CODEFLOW.memory_mb)
        )

    def stub(self, task: BankTask) -> str:
        return "pass\n"

    def chat(self, task: BankTask) -> tuple[Messages, str]:
        return [{"role": "user", "content": task.prompt}], ""

    def solution(self, task: BankTask, answer: str, chat: bool) -> str:
        return extract_code(answer)


def build(config: BenchmarkConfig) -> Bank:
    from iterpref import __version__
    from iterpref.codeflow.bank import load_bank

    split = config.split or "test"
    problems = load_bank()
    tasks = [_task(problem) for problem in problems if split in ("all", problem.split)]
    digest = files_sha256([SourceFile(task.task_id, f"{task.suite}") for task in tasks])
    benchmark = Bank(config.name, Origin("bank", digest, f"iterpref {__version__}"), tasks, config.time_factor)
    benchmark.left_out = frozenset(problem.task_id for problem in problems) - benchmark.tasks.keys()
    return benchmark


def _task(problem: Problem) -> BankTask:
    return BankTask(problem.task_id, problem.prompt, reference=problem.reference[0].text, suite=problem.tests)
