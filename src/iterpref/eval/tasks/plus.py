"""HumanEval+ and MBPP+ in EvalPlus's files: two parts, `base` and `plus`; expected values come from the references, run once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.artifacts import fingerprint
from iterpref.codeflow.sandbox.child import tagged, untagged
from iterpref.codeflow.sandbox.protocol import RunRequest, Sandbox
from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval import evalplus
from iterpref.eval.evalplus_rules import LATEST
from iterpref.eval.ledger import Ledger
from iterpref.eval.packages import environment, third_party
from iterpref.eval.sanitize import evalplus_program
from iterpref.eval.tasks.origin import Origin, Rows
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.eval.tasks.wording import CHAT_STOPS, FUNCTION_STOPS, TEXT_STOPS, script_chat, written

# Mbpp+ v0.1.0 was judged by the older rules; all that came later by the newer ones.
RULES = {"MBPP+ v0.1.0": "0.2"}


@dataclass(frozen=True)
class PlusTask(Task):
    inner: evalplus.Task | None = None


class Plus(Benchmark[PlusTask]):
    parts = evalplus.PARTS
    chat_stops = CHAT_STOPS
    rules = LATEST

    def __init__(self, name: str, origin: Origin, tasks: Sequence[PlusTask], time_factor: float = 1.0) -> None:
        super().__init__(name, origin, tasks, time_factor)
        self.stops = FUNCTION_STOPS if name == "humaneval_plus" else TEXT_STOPS
        self._known: dict[tuple[str, str], evalplus.Reference] = {}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "rules": self.rules}

    def get_ready(self, tasks: Sequence[PlusTask], sandbox: Sandbox, cache: Path) -> None:
        """Runs the references whose values are not in `cache` yet; a killed run goes on with the next one."""
        name = fingerprint(self.origin.sha256, environment(self.packages), tagged.FORMAT)
        with Ledger(cache / "expected" / f"{name}.jsonl") as ledger:
            for row in ledger.rows():
                self._known[row["task_id"], row["part"]] = _from_row(row)
            missing = [task.inner for task in tasks if task.inner and (task.task_id, "plus") not in self._known]
            for key, reference in evalplus.references(missing, sandbox):
                self._known[key] = reference
                ledger.add(_to_row(key, reference))

    def request(self, task: PlusTask, part: str, program: str) -> RunRequest:
        assert task.inner is not None
        reference = self._known[task.task_id, part]
        return evalplus.request(task.inner, part, program, reference, self.rules, self.time_factor)

    def base_prompt(self, task: PlusTask) -> str:
        return task.prompt.strip() + "\n"

    def chat(self, task: PlusTask) -> tuple[Messages, str]:
        return script_chat(task.prompt, fenced=True)

    def solution(self, task: PlusTask, answer: str, chat: bool) -> str:
        text = written(answer, CHAT_STOPS) if chat else self.base_prompt(task) + written(answer, self.stops)
        return evalplus_program(text, task.entry_point)


def build(config: BenchmarkConfig, origin: Origin, rows: Rows) -> Plus:
    inner = evalplus.parse_tasks(rows)
    family = "HumanEval/" if config.name == "humaneval_plus" else "Mbpp/"
    other = next((task_id for task_id in inner if not task_id.startswith(family)), None)
    if other is not None:
        raise UserError(
            f"benchmark={config.name}: {origin.source} holds {other}, expected tasks named {family}N; "
            f"give benchmark={'mbpp_plus' if family != 'Mbpp/' else 'humaneval_plus'}, or another file"
        )
    tasks = [
        PlusTask(task.task_id, task.prompt, task.entry_point, task.reference, third_party(task.reference), task)
        for task in inner.values()
    ]
    benchmark = Plus(config.name, origin, tasks, config.time_factor)
    benchmark.rules = config.rules or RULES.get(origin.version, LATEST)
    return benchmark


def _to_row(key: tuple[str, str], reference: evalplus.Reference) -> dict[str, Any]:
    values = [_encode(value) for value in reference.values]
    return {
        "task_id": key[0], "part": key[1], "values": values, "kept": list(reference.kept), "cpu_s": reference.cpu_s
    }  # fmt: skip


def _encode(value: Any) -> Any:
    # These two stand for what a program returned; a third party's object would become an Opaque of an Opaque.
    if isinstance(value, tagged.Digest):
        return tagged.digest(value)
    if isinstance(value, tagged.Opaque):
        return ["other", [value.kind, value.text, value.truth]]
    return tagged.encode(value, 64 << 20)


def _from_row(row: dict[str, Any]) -> evalplus.Reference:
    values = tuple(untagged.decode(value) for value in row["values"])
    return evalplus.Reference(values, tuple(row["kept"]), row["cpu_s"])
