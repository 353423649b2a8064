"""From verdicts to the figures of a benchmark, and the folder that holds them: `scores.json`, `results.jsonl`, `scores.md`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.eval.packages import absent, third_party
from iterpref.eval.passk import rate
from iterpref.eval.samples import Sample
from iterpref.eval.scoring import Judged
from iterpref.eval.tasks.task import Benchmark
from iterpref.run_record import write_whole
from iterpref.schema import Verdict

KS = (1, 5, 10, 100)


def summarise(benchmark: Benchmark[Any], samples: Sequence[Sample], judged: Sequence[Judged]) -> dict[str, Any]:
    """All figures, as plain data.

    `parts`: for each part pass@k over the tasks that could be run, each k up to the smallest number of samples a task.
    `verdicts`, `errors`: of the last run part of each sample; a sample counts once for each kind of error that it met.
    `not_run`: tasks that cannot be judged here, by reason: in no rate, and never a failure. `lacking`: samples that import a
    package which the benchmark's own environment has and this one has not; they count as they ran. `published`: where the samples
    came with verdicts, for each part how many of those that ran here got the same one, and which did not.
    """
    by_task: dict[str, list[Judged]] = defaultdict(list)
    for row in judged:
        by_task[row.task_id].append(row)
    ran = {task_id: rows for task_id, rows in by_task.items() if rows[0].ran}
    fewest = min((len(rows) for rows in ran.values()), default=0)
    last = [row.parts[-1] for row in judged]
    return {
        "benchmark": {
            "name": benchmark.name,
            "source": benchmark.origin.source,
            "version": benchmark.origin.version,
            "sha256": benchmark.origin.sha256,
            "n_tasks": len(benchmark.tasks),
        },
        "settings": benchmark.settings(),
        "n_samples": len(samples),
        "samples_a_task": [fewest, max((len(rows) for rows in ran.values()), default=0)],
        "n_tasks_run": len(ran),
        "n_missing": len(benchmark.tasks) - len(by_task),
        "not_run": _not_run(by_task),
        "lacking": _lacking(benchmark, samples, judged),
        "parts": {part: _rates(ran, i, fewest) for i, part in enumerate(benchmark.parts)} if ran else {},
        "verdicts": dict(Counter(part.verdict for part in last).most_common()),
        "errors": dict(Counter(kind for part in last for kind in part.errors).most_common()),
        "judged": dict(Counter(row.parts[0].judged for row in judged if row.ran)),
        "published": {
            part: found for i, part in enumerate(benchmark.parts) if (found := _agreement(samples, judged, part, i))
        },
    }


def _agreement(samples: Sequence[Sample], judged: Sequence[Judged], part: str, number: int) -> dict[str, Any]:
    known = [(s, row) for s, row in zip(samples, judged, strict=True) if part in s.published and row.ran]
    differ = []
    for s, row in known:
        if s.published[part] != row.passed(number):
            # Of this part, or of the one before it that was not passed.
            ours = row.parts[min(number, len(row.parts) - 1)]
            told = f"{ours.verdict} {ours.detail}".strip()
            differ.append({"task_id": s.task_id, "published": s.published[part], "ours": told})
    return {"agree": len(known) - len(differ), "of": len(known), "differ": differ} if known else {}


def _rates(ran: Mapping[str, Sequence[Judged]], part: int, fewest: int) -> dict[str, Any]:
    counts = [(len(rows), sum(row.passed(part) for row in rows)) for rows in ran.values()]
    return {f"pass@{k}": rate(counts, k) for k in KS if k <= fewest}


def _not_run(by_task: Mapping[str, Sequence[Judged]]) -> dict[str, int]:
    reasons = (rows[0].parts[0].detail for rows in by_task.values() if not rows[0].ran)
    return dict(Counter(reasons).most_common())


def _lacking(benchmark: Benchmark[Any], samples: Sequence[Sample], judged: Sequence[Judged]) -> dict[str, int]:
    failed = [s for s, row in zip(samples, judged, strict=True) if row.ran and row.parts[-1].verdict != Verdict.PASS]
    return dict(Counter(name for s in failed for name in absent(third_party(s.program) & benchmark.packages)))


def results(benchmark: Benchmark[Any], judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """One row a sample: what became of each part."""
    rows = []
    for row in judged:
        parts = {
            name: {"passed": row.passed(i), **row.parts[i].to_dict()} if i < len(row.parts) else {"passed": False}
            for i, name in enumerate(benchmark.parts)
        }
        rows.append({"task_id": row.task_id, "sha256": row.sha256, "ran": row.ran, "parts": parts})
    return rows


def write_scores(folder: Path, scores: dict[str, Any], rows: Sequence[dict[str, Any]], markdown: str) -> None:
    """The folder's files, each replaced in one step; `scores.json` last, as it says that the others are there."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "results.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "scores.md": markdown,
        "scores.json": json.dumps(scores, indent=1) + "\n",
    }
    for name, text in texts.items():
        write_whole(folder / name, text)


def read_scores(path: Path, option: str) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """(folder, scores, results) of a folder of scores, or of the only one below it. Raises `UserError`."""
    found = [path] if (path / "scores.json").is_file() else sorted(file.parent for file in path.rglob("scores.json"))
    if len(found) != 1:
        names = ", ".join(str(folder) for folder in found[:8])
        raise UserError(
            f"{option}={path}: expected one folder of scores (with a scores.json), found "
            + (f"{len(found)}: {names}; name one of them" if found else "none; score something first")
        )
    folder = found[0]
    try:
        scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]
        if not isinstance(scores, dict) or not isinstance(scores.get("parts"), dict) or "settings" not in scores:
            raise ValueError("scores.json lacks settings or parts")
        if not all(isinstance(row, dict) and {"task_id", "ran"} <= row.keys() for row in rows):
            raise ValueError("a line of results.jsonl lacks task_id or ran")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: its scores cannot be read ({error}); score again") from None
    return folder, scores, rows


def rate_by_task(rows: Sequence[dict[str, Any]], part: str) -> dict[str, float]:
    """Each task's pass@1: the share of its samples that passed; tasks that were not run are left out."""
    passes: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row["ran"]:
            passes[row["task_id"]].append(row["parts"][part]["passed"])
    return {task_id: sum(values) / len(values) for task_id, values in passes.items()}
