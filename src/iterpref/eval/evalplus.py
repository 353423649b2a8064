"""MBPP+ and HumanEval+ in EvalPlus's files: tasks, and the two verdicts of a solution, `base` and `plus`.

Each part of a task is one run: calls of the task's function, whose values leave the sandbox and are compared outside by
EvalPlus's rules (`evalplus_rules`) with what the reference solution returned, in the sandbox as well. What differs on
purpose: EvalPlus limits each input to a multiple of the reference's time, in the program's own process; here the CPU time
of a part has one limit, `EXTRA_S` and four times the reference's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.sandbox.child.tagged import TooLarge
from iterpref.codeflow.sandbox.protocol import FunctionCases, Limits, RunRequest, RunResult, Sandbox
from iterpref.errors import UserError
from iterpref.eval.evalplus_rules import LATEST, VERSIONS, Agrees, expectations, restore
from iterpref.eval.tasks.origin import field
from iterpref.progress import track
from iterpref.schema import SourceFile, Verdict

PARTS = ("base", "plus")
REFERENCE_S = 300.0  # seconds of CPU time of a reference on one part: Mbpp/599 counts to millions
EXTRA_S = 8.0  # seconds of CPU time that every solution has beyond four times its reference's
FACTOR = 4.0
MEMORY_MB = 4096  # as EvalPlus has it
OUTPUT_KB = 16384  # what a solution prints does not count
_KEYS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")


@dataclass(frozen=True)
class Task:
    """One line of a file of tasks; inputs are tuples of arguments, with their types restored."""

    task_id: str  # "Mbpp/2", "HumanEval/0"
    prompt: str
    entry_point: str  # the function's name
    reference: str  # a program
    atol: float
    inputs: Mapping[str, tuple[tuple[Any, ...], ...]]  # for each of PARTS; the plus inputs come on top of the base ones


@dataclass(frozen=True)
class Reference:
    """What the reference returned for the inputs of one part, and the seconds of CPU time of that."""

    values: tuple[Any, ...]
    kept: tuple[int, ...]  # their indices among the inputs; the rest returns more than may leave the sandbox
    cpu_s: float


def parse_tasks(rows: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Task]:
    """Tasks out of (where, row), by their id; raises `UserError` naming where."""
    tasks = {}
    for where, row in rows:
        field(where, row, _KEYS, "EvalPlus")
        try:
            inputs = {part: restore(row["task_id"], list(row[f"{part}_input"])) for part in PARTS}
            task = Task(
                row["task_id"],
                row["prompt"],
                row["entry_point"],
                row["prompt"] + row["canonical_solution"],
                float(row["atol"]),
                inputs,
            )
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: the inputs are not those of {row['task_id']} in EvalPlus ({error})") from error
        tasks[task.task_id] = task
    return tasks


def references(tasks: Iterable[Task], sandbox: Sandbox) -> Iterator[tuple[tuple[str, str], Reference]]:
    """((task_id, part), what the reference returns), as they come. Raises `UserError` where a reference does not run through."""
    wanted = [(task, part) for task in tasks for part in PARTS]
    requests = (
        _request(task.reference, FunctionCases(_calls(task, part), None, task.entry_point), REFERENCE_S)
        for task, part in wanted
    )
    results = track(sandbox.run_many(requests), len(wanted), "run references")
    for (task, part), result in zip(wanted, results, strict=True):
        yield (task.task_id, part), _reference(task, part, result)


def _reference(task: Task, part: str, result: RunResult) -> Reference:
    returned = [i for i, test in enumerate(result.tests) if test.status == "pass"]
    too_large = sum(test.status == "error" and TooLarge.__name__ in test.message for test in result.tests)
    ran = result.verdict == Verdict.PASS or (result.verdict, result.detail) == (Verdict.ERROR, TooLarge.__name__)
    if not ran or not returned or len(returned) + too_large < len(_calls(task, part)):
        raise UserError(
            f"{task.task_id}: its reference must return a value for every {part} input, got {result.verdict} "
            f"({result.detail}); check that the file of tasks is whole\n{result.stderr[-500:]}"
        )
    if not task.inputs[part]:
        return Reference((), (), result.cpu_ms / 1000)
    return Reference(result.values or (), tuple(returned), result.cpu_ms / 1000)


def request(
    task: Task, part: str, solution: str, reference: Reference, version: str = LATEST, time_factor: float = 1.0
) -> RunRequest:
    """The run whose verdict is PASS where EvalPlus of this version says "pass". Raises `UserError` for another version."""
    if version not in VERSIONS:
        raise UserError(f"EvalPlus rules: expected a version of {', '.join(VERSIONS)}, got {version!r}")
    cpu_s = time_factor * (EXTRA_S + FACTOR * reference.cpu_s)
    if not task.inputs[part]:
        return _request(solution, FunctionCases(_calls(task, part), None), cpu_s)
    inputs = tuple(task.inputs[part][i] for i in reference.kept)
    expected = expectations(task.task_id, task.atol, inputs, reference.values, version)
    compare = Agrees(task.task_id, version)
    return _request(solution, FunctionCases(inputs, expected, task.entry_point, compare=compare), cpu_s)


def _calls(task: Task, part: str) -> tuple[str | tuple[Any, ...], ...]:
    # Without inputs (the plus inputs of Mbpp/793) a program passes that loads and defines the function.
    return task.inputs[part] or (task.entry_point,)


def _request(solution: str, cases: FunctionCases, cpu_s: float) -> RunRequest:
    limits = Limits(wall_s=2 * cpu_s + 10, cpu_s=cpu_s, memory_mb=MEMORY_MB, output_kb=OUTPUT_KB)
    preload = ("numpy",) if "numpy" in solution else ()
    return RunRequest((SourceFile("solution.py", solution),), cases, limits, preload=preload)
