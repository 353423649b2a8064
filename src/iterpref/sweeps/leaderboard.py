"""The end of a sweep for people: SWEEP/leaderboard.{csv,md,png}, and a table on the terminal. Failed jobs stand in all with their reason."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from iterpref.config.sweep import direction
from iterpref.markdown import markdown_table
from iterpref.run_record import write_whole
from iterpref.sweeps.record import JobRow, SweepRecord

# Shown beside the metric that the sweep compares by, where a job has them.
_BESIDE = ("val/loss", "val/accuracy", "val/focal_accuracy", "val/focal_margin", "val/chosen_logps")


def publish(record: SweepRecord) -> None:
    """Writes the three files and prints the table."""
    write_whole(record.folder / "leaderboard.csv", as_csv(record))
    write_whole(record.folder / "leaderboard.md", as_markdown(record))
    draw(record)
    show(record)


def columns(record: SweepRecord) -> list[str]:
    """Swept keys, the metric of the sweep first among those that some job has, and the rest of a row."""
    swept = list(dict.fromkeys(key for row in record.rows.values() for key in row.swept))
    found = {name for row in record.rows.values() for name in row.metrics}
    beside = [name for name in _BESIDE if name in found and name != record.metric]
    return [*swept, record.metric, *beside, "state", "reason", "folder"]


def rows(record: SweepRecord) -> list[dict[str, Any]]:
    """A row a job in the order of rank; numbers as they are, `None` for what a job has not."""
    names = columns(record)
    return [
        {
            "rank": rank if row.state == "finished" else None,
            **{c: row.swept.get(c, row.metrics.get(c)) for c in names},
            "state": row.state, "reason": row.reason, "folder": row.folder,
        }
        for rank, row in enumerate(record.ranked(), 1)
    ]  # fmt: skip


def as_csv(record: SweepRecord) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["rank", *columns(record)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(record))
    return text.getvalue()


def as_markdown(record: SweepRecord) -> str:
    """The CSV's rows for reading: numbers to four digits, the reason in the cell of the state, no folder."""
    names = ["rank", *(c for c in columns(record) if c not in ("reason", "folder"))]
    better = "lower" if direction(record.metric) == "minimize" else "higher"
    lines = [
        f"`{record.command}`", "", f"By `{record.metric}` of the last validation; {better} is better.", "",
        markdown_table(names, ([_cell(row, name) for name in names] for row in rows(record))),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def show(record: SweepRecord) -> None:
    """The table on the terminal, folders included."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{record.folder} by {record.metric} ({direction(record.metric)})", title_justify="left")
    # A terminal is narrow: the other metrics stand in the files.
    others = set(_BESIDE) - {record.metric}
    names = ["rank", *(c for c in columns(record) if c not in ("reason", "folder") and c not in others)]
    for name in names:
        table.add_column(name, overflow="fold", style="bold" if name == record.metric else None)
    for row in rows(record):
        table.add_row(*(_cell(row, name) for name in names), style="red" if row["state"] == "failed" else None)
    # Reasons are anybody's text, which may hold brackets.
    Console().print(table, markup=False)


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if name == "state" and row["reason"]:
        return f"{value}: {row['reason']}"
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def draw(record: SweepRecord) -> None:
    """SWEEP/leaderboard.png: the metric of each job, best on top, and against each swept number; nothing when no job has one."""
    from matplotlib.figure import Figure

    scored = [row for row in record.ranked() if _finite(record.value(row))]
    if not scored:
        return
    numeric = [key for key in columns(record) if _is_scale([row.swept.get(key) for row in scored])]
    height = max(2.8, 0.3 * len(scored) + 1.2)
    figure = Figure(figsize=(6.4 + 3.6 * len(numeric), height), layout="constrained")
    axes = figure.subplots(1, 1 + len(numeric), squeeze=False, width_ratios=[1.7, *(1.0 for _ in numeric)])[0]
    _ranking(axes[0], record, scored)
    for axis, key in zip(axes[1:], numeric, strict=True):
        _against(axis, record, scored, key)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x" if axis is axes[0] else "both", alpha=0.25)
    partial = record.folder / ".leaderboard.partial.png"
    figure.savefig(partial, dpi=120)
    partial.replace(record.folder / "leaderboard.png")


_DOT = {"finished": "#1f6f8b", "pruned": "#b0b7bd"}
_LINES = ("#1f6f8b", "#c05800", "#157f5f", "#9b3fa0", "#7a5200", "#5a6068")  # one for each group that is drawn
_SHARES = (-0.03, 1.03)  # of an axis that shows an accuracy


def _ranking(axis: Any, record: SweepRecord, scored: Sequence[JobRow]) -> None:
    for place, row in enumerate(scored):
        axis.plot(record.value(row), place, "o", color=_DOT[row.state], markersize=7)
    axis.set_yticks(range(len(scored)), [_label(row.swept) or row.folder for row in scored], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(record.metric, fontsize=9)
    axis.set_title("best on top" + ("; grey: pruned" if any(r.state == "pruned" for r in scored) else ""), fontsize=9)
    if record.metric.endswith("accuracy"):
        axis.set_xlim(*_SHARES)


def _label(swept: dict[str, Any]) -> str:
    # The last part of a key says enough, and a long line would leave no room for the figure.
    text = ", ".join(f"{key.rpartition('.')[2]} {_shown(v)}" for key, v in swept.items())
    return text if len(text) <= 48 else text[:47] + "\u2026"


def _against(axis: Any, record: SweepRecord, scored: Sequence[JobRow], key: str) -> None:
    """The metric against one key: a line for each combination of the others, where they are few enough to be told apart."""
    groups: dict[str, list[JobRow]] = {}
    for row in sorted(scored, key=lambda row: row.swept[key]):
        groups.setdefault(_label({k: v for k, v in row.swept.items() if k != key}), []).append(row)
    joined = len(groups) <= len(_LINES)
    for number, (label, rows) in enumerate(groups.items()):
        colour = _LINES[number] if joined else _DOT["finished"]
        xs, ys = [row.swept[key] for row in rows], [record.value(row) for row in rows]
        axis.plot(xs, ys, "o-" if joined else "o", color=colour, alpha=0.8, markersize=5, label=label)
    if joined and len(groups) > 1:
        axis.legend(frameon=False, fontsize=8)
    values = [row.swept[key] for row in scored]
    if min(values) > 0 and max(values) >= 10 * min(values):
        axis.set_xscale("log")
    axis.set_xlabel(key, fontsize=9)
    axis.set_ylabel(record.metric, fontsize=9)
    if record.metric.endswith("accuracy"):
        axis.set_ylim(*_SHARES)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _is_scale(values: Sequence[Any]) -> bool:
    """Numbers, and not all the same."""
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return numbers and len(set(values)) > 1
