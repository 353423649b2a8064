"""The statistics of a data set as figures: what came out by iteration, how far tests reach, what tasks are about."""

from __future__ import annotations

from collections.abc import Sequence

from iterpref.codeflow.statistic_tables import Table, tables
from iterpref.reporting.curves import COLOURS, TEXT, Line, Panel, figure, svg
from iterpref.schema import Statistic

_AXIS = {"verdict": "versions", "error": "versions", "refused": "answers", "tokens": "tokens"}
_BARS = {"coverage", "category", "feature"}
_LEAST_BARS, _MOST_BARS = 5, 10  # of a figure; with fewer, a bar is as wide as one of the least
_OTHERS = "others"


def charts(statistics: Sequence[Statistic]) -> list[Panel]:
    """A figure for each kind of statistic that says more as one: shares of the iterations as stacked bars, the rest as bars."""
    found = []
    for name in (*_AXIS, "coverage", "feature", "category"):
        for table in tables([s for s in statistics if s.name == name]):
            found.append(_bars(table) if name in _BARS else _stacked(table, _AXIS[name]))
    return found


def _stacked(table: Table, unit: str) -> Panel:
    """Counts by iteration, the commonest values in colours of their own and all others in the last."""
    own = len(COLOURS) - 1
    kept = list(table.rows) if len(table.rows) <= len(COLOURS) else list(table.rows[:own])
    if len(kept) < len(table.rows):
        rest = [numbers for _, numbers in table.rows[own:]]
        kept.append((_OTHERS, tuple(map(sum, zip(*rest, strict=True)))))
    drawing, axes = figure()
    bottom = [0] * len(table.columns)
    for colour, (_, numbers) in zip(COLOURS, kept, strict=False):
        axes.bar(range(len(table.columns)), numbers, bottom=bottom, color=colour, width=0.7)
        bottom = [b + n for b, n in zip(bottom, numbers, strict=True)]
    axes.set_xticks(range(len(table.columns)), [str(i) for i in table.columns])
    axes.set_xlabel("iteration")
    axes.set_ylabel(unit)
    totals = [(value, sum(numbers)) for value, numbers in kept]
    lines = tuple(Line(value, i, str(total)) for i, (value, total) in enumerate(totals, 1))
    return Panel(table.title, svg(drawing, table.title), f"{table.title}: {_said(totals)}", lines)


def _bars(table: Table) -> Panel:
    """Trajectories by value, the first of the table on top; a title that says so where there are more."""
    rows = [(value, numbers[0]) for value, numbers in table.rows[:_MOST_BARS]]
    all_of_them = len(table.rows) + table.left_out
    title = table.title if len(rows) == all_of_them else f"{table.title}: {len(rows)} of {all_of_them}"
    drawing, axes = figure(wide_labels=True)
    places = range(len(rows))[::-1]
    drawn = axes.barh(list(places), [n for _, n in rows], color=COLOURS[0], height=0.7)
    axes.bar_label(drawn, [str(n) for _, n in rows], color=TEXT, fontsize=8, padding=2)
    axes.set_yticks(list(places), [value if len(value) < 26 else f"{value[:24]}\u2026" for value, _ in rows])
    axes.set_xlabel("trajectories")
    axes.set_ylim(len(rows) - max(len(rows), _LEAST_BARS) - 0.5, len(rows) - 0.5)
    axes.locator_params(axis="x", integer=True)
    axes.margins(x=0.12)
    axes.grid(visible=False)
    return Panel(title, svg(drawing, title), f"{title}: {_said(rows)}")


def _said(rows: Sequence[tuple[str, int]]) -> str:
    return "; ".join(f"{value} {count}" for value, count in rows)
