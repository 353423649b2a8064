"""The statistics of a data set as tables, for its card and for the report: outcomes by iteration, coverage, kinds of tasks, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.schema import Statistic

_MOST_ROWS = 12
_TITLES = {
    "solved": "Trajectories that pass their tests by iteration",
    "verdict": "Verdicts by iteration",
    "error": "Errors by iteration",
    "refused": "Unusable answers by iteration",
    "answers": "Answers of the model by iteration",
    "tokens": "Tokens of questions and answers by iteration",
    "coverage": "Coverage of programs by their tests",
    "category": "Kinds of tasks",
    "feature": "Features that tasks were written about",
}


@dataclass(frozen=True)
class Table:
    """Counts by value (rows) and iteration (columns; none where a count belongs to the whole trajectory)."""

    title: str
    columns: tuple[int, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    left_out: int = 0  # rarer values that are not shown


def tables(statistics: Sequence[Statistic]) -> list[Table]:
    """One for each kind of statistic that there is, the commonest values first; coverage by its tenths."""
    return [table for name in _TITLES if (table := _table(name, [s for s in statistics if s.name == name]))]


def _table(name: str, rows: Sequence[Statistic]) -> Table | None:
    if not rows:
        return None
    columns = sorted({s.i for s in rows})
    counts: dict[str, dict[int, int]] = {}
    for s in rows:
        counts.setdefault(s.value, {})[s.i] = s.count
    order = sorted(counts, key=lambda v: (v if name == "coverage" else -sum(counts[v].values()), v))
    shown = order if name == "coverage" else order[:_MOST_ROWS]
    label = (lambda v: f"{100 * float(v):.0f} % and more") if name == "coverage" else str
    return Table(
        _TITLES[name],
        () if columns == [-1] else tuple(columns),
        tuple((label(v), tuple(counts[v].get(i, 0) for i in columns)) for v in shown),
        len(order) - len(shown),
    )


def costs(counts: dict[str, Any], n_pairs: int | None = None) -> str:
    """A sentence on the model's answers, and what each of `n_pairs` has taken; empty where none was asked."""
    llm = counts.get("llm")
    if not llm:
        return ""
    text = f"{llm.get('answers', 0)} answers of the model, {llm.get('tokens_in', 0)} tokens in and {llm.get('tokens_out', 0)} out"
    if llm.get("cost"):
        text += f", cost {llm['cost']:g}"
    mended = (counts.get("status") or {}).get("solved", 0)
    text += (
        f"; {llm['answers_a_mended_program']:g} answers for each of {mended} mended programs"
        if mended
        else "; no program was mended"
    )
    if n_pairs:
        each = f"{llm.get('answers', 0) / n_pairs:.3g} answers"
        each += f" and a cost of {llm['cost'] / n_pairs:.3g}" if llm.get("cost") else ""
        text += f", {each} for each of {n_pairs} pairs"
    return f"{text}."
