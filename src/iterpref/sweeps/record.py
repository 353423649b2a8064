"""`SWEEP/sweep.json`: what each job of a sweep is and came to. Written whole at each change, read by leaderboard and notebook."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from iterpref.config.sweep import best_first, direction
from iterpref.errors import UserError
from iterpref.run_record import read_done, write_whole
from iterpref.strict_json import read_object


@dataclass
class JobRow:
    """One job. `state`: waiting, finished, pruned, failed. Metrics are those of its last validation."""

    number: int
    folder: str  # below the sweep's
    swept: dict[str, Any]  # its values of what the sweep varies
    state: str = "waiting"
    reason: str = ""  # why it failed
    metrics: dict[str, float] = field(default_factory=dict)


class SweepRecord:
    """The rows of a sweep, in the order of its jobs."""

    def __init__(self, folder: Path, metric: str, command: str = "") -> None:
        self.folder, self.metric, self.command = folder, metric, command
        self.rows: dict[str, JobRow] = {}

    @classmethod
    def read(cls, folder: Path) -> SweepRecord:
        """The record of a sweep that ran, or runs; raises `UserError` where there is none."""
        path = folder / "sweep.json"
        if not path.is_file():
            raise UserError(
                f"{folder} is no sweep: there is no sweep.json in it; make one with python -m iterpref.train -m"
            )
        content = read_object(path, "delete it, and run the sweep again: jobs that are finished are not repeated")
        record = cls(folder, content["metric"], content["command"])
        record.rows = {row["folder"]: JobRow(**row) for row in content["jobs"]}
        return record

    def add(self, number: int, folder: str, swept: dict[str, Any]) -> JobRow:
        """The row of a job, waiting; one that is known keeps its place."""
        return self.rows.setdefault(folder, JobRow(number, folder, swept))

    def settle(self, folder: str, failure: str | None = None) -> JobRow:
        """What became of a job, by its own folder; `failure` is the reason why it raised, if it did."""
        row = self.rows[folder]
        done = read_done(self.folder / folder)
        if failure is not None or done is None:
            row.state, row.reason, row.metrics = "failed", failure or "it ended without a result", {}
        else:
            row.state, row.reason = ("finished" if done.get("pruned") is None else "pruned"), ""
            row.metrics = done["metrics"]
        return row

    def write(self) -> None:
        content = {
            "command": self.command,
            "metric": self.metric,
            "direction": direction(self.metric),
            "jobs": [asdict(row) for row in self.rows.values()],
        }
        write_whole(self.folder / "sweep.json", json.dumps(content, indent=1) + "\n")

    def value(self, row: JobRow) -> float | None:
        """The job's value of the metric that the sweep compares by."""
        return row.metrics.get(self.metric)

    def ranked(self) -> list[JobRow]:
        """Finished jobs, the best first and equal ones in their order; then the pruned, the failed and the waiting."""
        states = ("finished", "pruned", "failed", "waiting")
        return sorted(
            self.rows.values(),
            key=lambda row: (states.index(row.state), best_first(self.metric, self.value(row)), row.number),
        )
