"""Does a task's own reference pass here? If not, no program can be judged on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterpref.artifacts import fingerprint
from iterpref.codeflow.sandbox.protocol import Sandbox
from iterpref.eval.samples import Sample
from iterpref.eval.scoring import Judged, judge_samples

if TYPE_CHECKING:
    from iterpref.eval.tasks.task import Benchmark


def judged_references(benchmark: Benchmark[Any], tasks: Sequence[Any], sandbox: Sandbox, cache: Path) -> list[Judged]:
    """The verdict on each task's reference, in the order of the tasks; kept below `cache`."""
    samples = [Sample(task.task_id, task.reference) for task in tasks]
    folder = cache / "references" / fingerprint(benchmark.settings())
    return judge_samples(benchmark, samples, sandbox, folder, cache, only_fit=False)


def failing_references(
    benchmark: Benchmark[Any], tasks: Sequence[Any], sandbox: Sandbox, cache: Path
) -> dict[str, str]:
    """{task_id: "its reference fails here: ..."}."""
    failing = (
        (row.task_id, row.parts[-1])
        for row in judged_references(benchmark, tasks, sandbox, cache)
        if not row.passed(len(benchmark.parts) - 1)
    )
    return {task_id: f"its reference fails here: {part.verdict} {part.detail}".strip() for task_id, part in failing}
