"""BigCodeBench (arXiv:2406.15877): library calls under unittest; `complete` goes on from a docstring, `instruct` asks in words.

The harness runs program and tests in one namespace. Here they are two modules, so that the tests stay out of the program's
reach, and each is given the names that the other would have found: the tests those of the program, the program what the
tests import and assign. As in the harness a program stands behind the task's signature with an empty body ("calibrated"), which
forgives an answer without the imports.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.codeflow.sandbox.protocol import RunRequest, Sandbox
from iterpref.config import BenchmarkConfig
from iterpref.eval.packages import third_party, to_preload
from iterpref.eval.references import failing_references
from iterpref.eval.sanitize import bigcodebench_program
from iterpref.eval.tasks.origin import Origin, Rows, field
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.eval.tasks.wording import CHAT_STOPS, FUNCTION_STOPS, script_chat, written
from iterpref.schema import SourceFile, TestSuite

CPU_S = 60.0  # the harness waits for 240 s on the wall, which nothing but a program that hangs needs
MEMORY_MB, DISK_MB, PROCESSES = 8192, 512, 128
CLASS = "TestCases"  # the only class that the harness runs
_KEYS = ("task_id", "complete_prompt", "instruct_prompt", "canonical_solution", "code_prompt", "test", "entry_point")
# What the harness puts into the namespace that it runs a program in.
GIVEN = "import os, sys; from os import environ\n"


@dataclass(frozen=True)
class BcbTask(Task):
    signature: str = ""  # imports and the `def` line
    asked: str = ""  # the task in words
    suite: TestSuite | None = None


class BigCodeBench(Benchmark[BcbTask]):
    stops = FUNCTION_STOPS
    chat_stops = CHAT_STOPS
    max_new_tokens = 1280
    variant = "complete"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "calibrated": True}

    def request(self, task: BcbTask, part: str, program: str) -> RunRequest:
        assert task.suite is not None
        text = f"{GIVEN}{task.signature}\n    pass\n{program}"
        return RunRequest(
            (SourceFile("solution.py", text),),
            task.suite,
            self.limits(CPU_S, MEMORY_MB, PROCESSES, DISK_MB),
            preload=self.preload(task, program),
        )

    def preload(self, task: BcbTask, program: str) -> tuple[str, ...]:
        # Some import packages by a name that they make up as they run: at least the environment must be in sight.
        return super().preload(task, program) or to_preload({"numpy"})

    def unfit(self, tasks: Sequence[BcbTask], sandbox: Sandbox, cache: Path) -> dict[str, str]:
        """Tasks whose own reference fails here: for want of a network, of corpora, of the library versions of 2024."""
        return failing_references(self, tasks, sandbox, cache)

    def base_prompt(self, task: BcbTask) -> str:
        return (task.asked if self.variant == "instruct" else task.prompt).strip() + "\n"

    def chat(self, task: BcbTask) -> tuple[Messages, str]:
        instruct = self.variant == "instruct"
        return script_chat(task.asked if instruct else task.prompt, fenced=not instruct)

    def solution(self, task: BcbTask, answer: str, chat: bool) -> str:
        text = written(answer, CHAT_STOPS) if chat else self.base_prompt(task) + written(answer, self.stops)
        return bigcodebench_program(text, task.entry_point)


def build(config: BenchmarkConfig, origin: Origin, rows: Rows) -> BigCodeBench:
    tasks = []
    for where, row in rows:
        field(where, row, _KEYS, "BigCodeBench")
        reference = row["complete_prompt"] + row["canonical_solution"]
        tasks.append(
            BcbTask(
                row["task_id"],
                row["complete_prompt"],
                row["entry_point"],
                reference,
                third_party(reference) | third_party(row["test"]),
                row["code_prompt"],
                row["instruct_prompt"],
                suite(row["test"]),
            )
        )
    benchmark = BigCodeBench(config.name, origin, tasks, config.time_factor)
    benchmark.variant = config.variant or "complete"
    return benchmark


def suite(test: str) -> TestSuite:
    """The test module: the program's names first, the tests, then for the program what these import and assign."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests' own doubtful escapes
        body = ast.parse(test).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    others = [node.name for node in classes if node.name != CLASS and count_tests([_file(ast.unparse(node))])]
    names = sorted(_bound(body) - {"_solution"})
    # The program's own names are patched as the tests' own: `patch(__name__ + ".randint")`.
    test = re.sub(r"(?<![.\w])__name__(?!\w)", "_solution.__name__", test)
    text = (
        f"{GIVEN}import solution as _solution\n"
        "globals().update({name: value for name, value in vars(_solution).items() if not name.startswith('__')})\n"
        f"{test}\n"
        f"vars(_solution).update({{name: globals()[name] for name in {names!r} if name in globals()}})\n"
    )
    text += "".join(f"del {name}\n" for name in others)
    tests = [node for node in classes if node.name not in others]
    n_tests = count_tests([_file("\n".join(ast.unparse(node) for node in tests))])
    return TestSuite((SourceFile("test_task.py", text),), "unittest", n_tests)


def _bound(body: Sequence[ast.stmt]) -> set[str]:
    """Names that the tests import or assign at their outermost level: in one namespace they would be the program's too."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found - {"*"}


def _file(text: str) -> SourceFile:
    return SourceFile("test_task.py", text)
