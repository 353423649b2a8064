"""Benchmarks of the page: for each one that the run was evaluated on, its rates before and after, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.eval.tables import Sheet, score_sheets
from iterpref.reporting.measures import Interval, Measure


@dataclass(frozen=True)
class Section:
    """One benchmark: rates as measures, and the tables of verdicts and errors."""

    title: str
    measures: tuple[Measure, ...]
    sheets: tuple[Sheet, ...]


def sections(benchmarks: Sequence[dict[str, Any]]) -> list[Section]:
    return [_section(found) for found in benchmarks]


def _section(found: dict[str, Any]) -> Section:
    about, scores = found["benchmark"], found["scores"]
    before, after = scores["before"], scores["after"]
    measures = tuple(
        Measure(
            f"{k}, {part}" if len(after["parts"]) > 1 else k,
            _compared(found["after_against_before"].get(part), after["n_tasks_run"]) if k == "pass@1" else "",
            Interval.from_row(before["parts"].get(part, {}).get(k)),
            Interval.from_row(rates[k]),
            share=True,
        )
        for part, rates in after["parts"].items()
        for k in rates
    )
    _, *sheets = score_sheets([("before", before), ("after", after)])
    title = f"{about['name']} ({about['version']}, {about['n_tasks']} tasks)"
    return Section(title, measures, tuple(sheet for sheet in sheets if sheet.rows))


def _compared(found: dict[str, Any] | None, n_tasks: int) -> str:
    """The sentence below a rate: how many tasks were gained and lost, and whether that may be chance."""
    if found is None:
        return ""
    chance = found["p_bootstrap"] if found["p_mcnemar"] is None else found["p_mcnemar"]
    test = "paired bootstrap" if found["p_mcnemar"] is None else "McNemar's exact test"
    return f"Of {n_tasks} tasks {found['gained']} gained, {found['lost']} lost; p = {chance:.3g} ({test})."
