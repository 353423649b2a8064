"""Does a task's own reference pass here? If not, no program can be judged on it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterpref.artifacts import fingerprint
from iterpref.codeflow.sandbox.protocol import Sandbox
from iterpref.eval.ledger import Ledger
from iterpref.eval.packages import is_installed
from iterpref.progress import track
from iterpref.schema import Verdict

if TYPE_CHECKING:
    from iterpref.eval.tasks.task import Benchmark


def failing_references(
    benchmark: Benchmark[Any], tasks: Sequence[Any], sandbox: Sandbox, cache: Path
) -> dict[str, str]:
    """{task_id: "its reference fails here: ..."}. Verdicts are kept in `cache` by the tasks and the packages' versions."""
    ledger = Ledger(cache / "references" / f"{fingerprint(benchmark.settings(), environment(benchmark))}.jsonl")
    known = {row["task_id"]: row for row in ledger.rows()}
    missing = [task for task in tasks if task.task_id not in known]

    def ask(task: Any) -> dict[str, str]:
        result = sandbox.run(benchmark.request(task, benchmark.parts[0], task.reference))
        return {"task_id": task.task_id, "verdict": result.verdict.value, "detail": result.detail}

    order = sorted(missing, key=lambda task: benchmark.preload(task, task.reference))
    executor = ThreadPoolExecutor(sandbox.workers, thread_name_prefix="reference")
    try:
        with ledger:
            for row in track(executor.map(ask, order), len(order), "run references"):
                if row["verdict"] != Verdict.HARNESS_ERROR:
                    ledger.add(row)
                known[row["task_id"]] = row
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    rows = [known[task.task_id] for task in tasks]
    return {
        row["task_id"]: f"its reference fails here: {row['verdict']} {row['detail']}".strip()
        for row in rows
        if row["verdict"] != Verdict.PASS
    }


def environment(benchmark: Benchmark[Any]) -> dict[str, str]:
    """Versions of Python and of the packages that the benchmark's tasks need and that are here."""
    owners = packages_distributions()
    found = {
        name: version(owners[name][0]) for name in sorted(benchmark.packages) if is_installed(name) and name in owners
    }
    return {"python": platform.python_version(), **found}
