"""The page: everything gathered goes through one template into `RUN/report.html`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from iterpref.codeflow.statistic_tables import costs, tables
from iterpref.config import ReportConfig
from iterpref.reporting.benchmarks import sections
from iterpref.reporting.charts import charts
from iterpref.reporting.curves import panels, pass_rate
from iterpref.reporting.gather import Run, gather
from iterpref.reporting.highlight import LEVELS, diff_lines, token_side, visible
from iterpref.reporting.measures import funnel, headline, measures, turned_tasks
from iterpref.run_record import write_whole
from iterpref.schema import Attempt, Trajectory

_ANSWERS = 4  # tasks whose answers are shown


def write_report(run_folder: Path, data: Path, config: ReportConfig) -> Path:
    """Writes `run_folder/report.html` and returns its path; raises `UserError` when there is nothing to report on."""
    path = run_folder / "report.html"
    write_whole(path, render(gather(run_folder, data), config))
    return path


def render(run: Run, config: ReportConfig) -> str:
    """The whole page as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # always: the texts are written by models, and the template's name ends in .j2
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )

    rates = run.manifests.get("trajectories", {}).get("pass_rate_by_iteration")
    return environment.get_template("page.html.j2").render(
        run=run,
        headline=headline(run),
        measures=measures(run.before, run.after, per_token=bool(run.option("loss.length_normalised"))),
        benchmarks=sections(run.benchmarks),
        pass_rate=pass_rate(rates) if rates else None,
        funnel=funnel(run),
        charts=charts(run.statistics),
        statistics=tables(run.statistics),
        costs=costs(run.counts("trajectories"), run.counts("pairs").get("pairs")),
        trajectories=[_trajectory(t) for t in varied(run.trajectories, config.trajectories)],
        pairs=[_pair(row) for row in run.pairs[: config.pairs]],
        levels=LEVELS,
        panels=panels(run.metrics),
        answers=answers(run.before or {}, run.after or {}),
        command=_command(run.record.get("command")),
        record=record_tables(run),
        badge=_badge,
    )


def varied(trajectories: Sequence[Trajectory], count: int) -> list[Trajectory]:
    """`count` histories with a bug in them, each in turn the one that shows most that the earlier ones do not."""
    pool = [t for t in trajectories if t.status != "solved_at_once"]
    chosen: list[Trajectory] = []
    seen: set[str] = set()
    while pool and len(chosen) < count:
        best = max(pool, key=lambda t: (len(_traits(t) - seen), t.status == "solved", -_length(t)))
        pool.remove(best)
        chosen.append(best)
        seen |= _traits(best)
    return chosen


def _traits(trajectory: Trajectory) -> set[str]:
    verdicts = {a.verdict.value for a in trajectory.iterations}
    return verdicts | {
        trajectory.task_id,
        trajectory.category,
        trajectory.status,
        f"{len(trajectory.iterations)} versions",
    }


def _length(trajectory: Trajectory) -> int:
    return sum(len(f.text) for a in trajectory.iterations for f in a.files)


def _trajectory(trajectory: Trajectory) -> dict[str, Any]:
    following = (*trajectory.iterations[1:], None)
    versions = [
        {"attempt": attempt, "diffs": _diffs(attempt, after) if after else []}
        for attempt, after in zip(trajectory.iterations, following, strict=True)
    ]
    return {"trajectory": trajectory, "versions": versions}


def _diffs(attempt: Attempt, after: Attempt) -> list[dict[str, Any]]:
    old, new = ({f.name: f.text for f in a.files} for a in (attempt, after))
    names = list(old | new)
    merged = {name: diff_lines(old.get(name, ""), new.get(name, "")) for name in names}
    changed = [n for n in names if any(line.kind in ("minus", "plus") for line in merged[n])]
    return [{"name": name, "lines": merged[name]} for name in (changed or names[:1])]


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    tokens = row["tokens"]
    return {
        "row": row,
        "sides": [
            ("rejected", "Wrong answer y\u2212", "in K\u2212", token_side(row["rejected"], tokens["rejected"], "mask")),
            ("chosen", "Correct answer y+", "in D+", token_side(row["chosen"], tokens["chosen"], "focal")),
        ],
    }


def side_pages(row: dict[str, Any]) -> dict[str, str]:
    """Either side of a pair with its tokens shaded, as a small page of its own: what a tracker shows in a cell."""
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return {
        side: f'<style>{css}</style><figure class="code {side}"><pre class="tokens">{shown.html}</pre></figure>'
        for side, _, _, shown in _pair(row)["sides"]
    }


def answers(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """A few tasks with both answers: newly solved and no longer solved in turn, then any."""
    first, second = ({t["task_id"]: t for t in side.get("tasks") or []} for side in (before, after))
    solved, lost = turned_tasks(before, after)
    turned = [task_id for both in zip_longest(solved, lost) for task_id in both if task_id]
    ids = list(dict.fromkeys([*turned, *second, *first]))
    return [{"task_id": i, "before": first.get(i), "after": second.get(i)} for i in ids[:_ANSWERS]]


def record_tables(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """`run.json` as titled tables of rows, those without rows left out."""
    record = run.record
    git = record.get("git")
    commit = (
        f"{git.get('commit')}{' with uncommitted changes' if git.get('dirty') else ''}" if git else "not a git checkout"
    )
    about = [
        ("folder", str(run.folder)),
        *_rows({k: record.get(k) for k in ("started", "finished", "reference", "ops")}),
    ]
    tables = [
        ("Run", [*about, ("git", commit)] if record else about),
        (
            "Time by stage",
            [(k.replace("_", " "), f"{v:.1f} s") for k, v in (record.get("stage_seconds") or {}).items()],
        ),
        ("Data", _rows(record.get("data"))),
        ("Versions", _rows(record.get("versions"))),
        ("Hardware", _rows(record.get("hardware"))),
    ]
    return [(title, rows) for title, rows in tables if rows]


def _rows(values: Any) -> list[tuple[str, str]]:
    items = values.items() if isinstance(values, dict) else [("", values)] if values else []
    return [(str(key).replace("_", " "), "none" if value is None else str(value)) for key, value in items]


def _command(command: Any) -> str:
    return shlex.join(str(part) for part in command) if isinstance(command, list) else str(command or "")


def _badge(verdict: str) -> str:
    """CSS class of a verdict; one of three, whatever the text is."""
    if verdict == "PASS":
        return "pass"
    return "fail" if verdict in ("FAIL", "ERROR") else "stop"
