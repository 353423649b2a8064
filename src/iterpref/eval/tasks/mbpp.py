"""MBPP (arXiv:2108.07732): 974 short functions, each with three asserts. Task ids are "Mbpp/11", as EvalPlus has them."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.sandbox.cases import split
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, RunRequest
from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval.answers import extract_code
from iterpref.eval.packages import third_party
from iterpref.eval.tasks.origin import Origin, Rows, field
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.eval.tasks.wording import FENCE, MBPP_BEGIN, MBPP_DONE, MBPP_TASK, cut
from iterpref.schema import SourceFile

CPU_S = 10.0  # of a task's asserts; the paper names no limit, and the reference of task 123 takes 4 s
SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974), "all": (1, 974)}
SHOTS = (2, 3, 4)  # the tasks that the paper shows first, where the file has them
_KEYS = ("task_id", "text", "code", "test_list", "test_setup_code")


@dataclass(frozen=True)
class MbppTask(Task):
    tests: FunctionCases | Asserts | None = None
    asserts: tuple[str, ...] = ()


class Mbpp(Benchmark[MbppTask]):
    stops = (MBPP_DONE,)
    chat_stops = (f"\n{FENCE}",)
    max_new_tokens = 512
    completes_prompt = False
    shots: tuple[MbppTask, ...] = ()

    def task_id(self, raw: Any) -> str:
        return f"Mbpp/{raw}" if isinstance(raw, int) or str(raw).isdigit() else str(raw)

    def request(self, task: MbppTask, part: str, program: str) -> RunRequest:
        assert task.tests is not None
        files = (SourceFile("solution.py", program),)
        return RunRequest(files, task.tests, self.limits(CPU_S), preload=self.preload(task, program))

    def stub(self, task: MbppTask) -> str:
        names = dict.fromkeys(name for name in _called(task.asserts))
        return "".join(f"def {name}(*arguments, **named):\n    return None\n" for name in names)

    def base_prompt(self, task: MbppTask) -> str:
        shown = "".join(f"{_asked(shot)}{MBPP_BEGIN}{shot.reference}\n{MBPP_DONE}\n" for shot in self.shots)
        return f"{shown}{_asked(task)}{MBPP_BEGIN}"

    def chat(self, task: MbppTask) -> tuple[Messages, str]:
        return [{"role": "user", "content": _asked(task)}], f"{FENCE}python\n"

    def solution(self, task: MbppTask, answer: str, chat: bool) -> str:
        return extract_code(answer) if chat else cut(answer, self.stops)


def _asked(task: MbppTask) -> str:
    return MBPP_TASK.format(text=task.prompt, tests="\n".join(task.asserts))


def _called(asserts: tuple[str, ...]) -> list[str]:
    """The names that the asserts call and Python does not have."""
    calls = (node.func for text in asserts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [name.id for name in calls if isinstance(name, ast.Name) and not hasattr(builtins, name.id)]


def build(config: BenchmarkConfig, origin: Origin, rows: Rows) -> Mbpp:
    known: dict[int, MbppTask] = {}
    for where, row in rows:
        field(where, row, _KEYS, "MBPP")
        number = int(row["task_id"])
        if number in known:
            raise UserError(f"{where}: the task {number} is there twice; each id must come once")
        known[number] = _task(row)
    first, last = SPLITS[config.split or "test"]
    tasks = [task for number, task in known.items() if first <= number <= last]
    if not tasks:
        raise UserError(
            f"benchmark.split={config.split or 'test'}: {origin.source} has no task from {first} to {last}; its tasks are "
            f"{min(known)} to {max(known)}: give benchmark.split=all, or one of {', '.join(SPLITS)}"
        )
    benchmark = Mbpp(config.name, origin, tasks, config.time_factor)
    benchmark.left_out = frozenset(task.task_id for task in known.values()) - benchmark.tasks.keys()
    benchmark.shots = tuple(known[number] for number in SHOTS if number in known)
    return benchmark


def _task(row: Mapping[str, Any]) -> MbppTask:
    asserts = tuple(row["test_list"])
    setup = str(row["test_setup_code"] or "")
    reference = str(row["code"]).replace("\r\n", "\n")
    needs = third_party(reference) | third_party("\n".join((setup, *asserts)))
    return MbppTask(
        f"Mbpp/{row['task_id']}",
        str(row["text"]),
        reference=reference,
        needs=needs,
        # The solution runs before the setup: tasks 367 and 927 build a tree of the class that it defines.
        tests=split("\n".join(asserts), setup),
        asserts=asserts,
    )
