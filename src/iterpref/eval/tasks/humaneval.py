"""HumanEval (arXiv:2107.03374): 164 functions to be completed.

Its `check(candidate)` is judged outside wherever each of its statements compares a call with a literal; else inside.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from iterpref.codeflow.sandbox.cases import split
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, RunRequest
from iterpref.config import BenchmarkConfig
from iterpref.eval.packages import third_party
from iterpref.eval.sanitize import evalplus_program
from iterpref.eval.tasks.origin import Origin, Rows, field
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.eval.tasks.wording import CHAT_STOPS, HUMANEVAL_STOPS, cut, script_chat, written
from iterpref.schema import SourceFile

CPU_S = 3.0  # the harness's own default
_KEYS = ("task_id", "prompt", "canonical_solution", "test", "entry_point")


@dataclass(frozen=True)
class HumanEvalTask(Task):
    tests: FunctionCases | Asserts | None = None


class HumanEval(Benchmark[HumanEvalTask]):
    stops = HUMANEVAL_STOPS
    chat_stops = CHAT_STOPS
    max_new_tokens = 512

    def request(self, task: HumanEvalTask, part: str, program: str) -> RunRequest:
        assert task.tests is not None
        files = (SourceFile("solution.py", program),)
        return RunRequest(files, task.tests, self.limits(CPU_S), preload=self.preload(task, program))

    def chat(self, task: HumanEvalTask) -> tuple[Messages, str]:
        return script_chat(task.prompt, fenced=True)

    def solution(self, task: HumanEvalTask, answer: str, chat: bool) -> str:
        if chat:  # HumanEval knows no chats: prompt and answer are those of EvalPlus
            return evalplus_program(written(answer, CHAT_STOPS), task.entry_point)
        return task.prompt + cut(answer, self.stops)


def build(config: BenchmarkConfig, origin: Origin, rows: Rows) -> HumanEval:
    tasks = []
    for where, row in rows:
        field(where, row, _KEYS, "HumanEval")
        reference = row["prompt"] + row["canonical_solution"]
        tasks.append(
            HumanEvalTask(
                row["task_id"],
                row["prompt"],
                row["entry_point"],
                reference,
                third_party(reference) | third_party(row["test"]),
                tests(row["test"], row["entry_point"]),
            )
        )
    return HumanEval(config.name, origin, tasks, config.time_factor)


def tests(code: str, entry_point: str) -> FunctionCases | Asserts:
    """The cases of `check`, or all of it as asserts when one of its statements is of another form."""
    inside = Asserts(f"{code}\ncheck({entry_point})\n")
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return inside
    check = next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        return inside
    kept = [node for node in check.body if not _is_idle(node)]
    renamed = _Renamed(check.args.args[0].arg, entry_point)
    checks = split("\n".join(ast.unparse(renamed.visit(node)) for node in kept))
    return checks if isinstance(checks, FunctionCases) else inside


def _is_idle(node: ast.stmt) -> bool:
    """`assert True`, a bare literal, `pass`: says nothing about the candidate."""
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


class _Renamed(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._new, node.ctx), node) if node.id == self._old else node
