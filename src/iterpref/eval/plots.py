"""Figures of an evaluation, as SVG: pass rates with their intervals, what went wrong, and how far margins can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Scored = Sequence[tuple[str, dict[str, Any]]]
_KINDS = 12  # kinds of error shown


def draw_rates(scored: Scored, path: Path) -> None:
    """A point and its 95 % interval for each pass@k of each part; nothing is drawn where no task could be run."""
    marks = [
        (f"{name}\n{part} {k}", found)
        for name, scores in scored
        for part, rates in scores["parts"].items()
        for k, found in rates.items()
    ]
    if not marks:
        return
    figure, axes = _figure(len(marks))
    for y, (_, found) in enumerate(reversed(marks)):
        axes.plot(
            [100 * found["low"], 100 * found["high"]], [y, y], color="#9aa5b1", linewidth=3, solid_capstyle="round"
        )
        axes.plot([100 * found["mean"]], [y], "o", color="#1f6feb")
    axes.set_yticks(range(len(marks)), [label for label, _ in reversed(marks)])
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of tasks, with 95 % interval over tasks")
    _save(figure, path)


def draw_errors(scored: Scored, path: Path) -> None:
    """Failed samples by kind of error and by verdict, the most frequent kinds."""
    counts: dict[str, list[int]] = {}
    for i, (_, scores) in enumerate(scored):
        stopped = {k: n for k, n in scores["verdicts"].items() if k not in ("PASS", "FAIL", "ERROR", "NOT_RUN")}
        for kind, n in {**scores["errors"], **stopped}.items():
            counts.setdefault(kind, [0] * len(scored))[i] += n
    kinds = sorted(counts, key=lambda kind: sum(counts[kind]))[-_KINDS:]
    if not kinds:
        return
    figure, axes = _figure(len(kinds) * len(scored))
    height = 0.8 / len(scored)
    for i, (name, _) in enumerate(scored):
        places = [y + 0.4 - height * (i + 0.5) for y in range(len(kinds))]
        axes.barh(places, [counts[kind][i] for kind in kinds], height=height, label=name)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_xlabel("failed samples (one may have several kinds)")
    if len(scored) > 1:
        axes.legend(frameon=False)
    _save(figure, path)


def draw_calibration(scored: Scored, path: Path) -> None:
    """How often y+ is ahead against how sure the policy is of it, bin by bin; points are as large as their bins."""
    figure, axes = _figure(7)
    axes.plot([50, 100], [50, 100], "--", color="#9aa5b1", linewidth=1)
    for name, found in scored:
        n = sum(row["n"] for row in found["bins"])
        sure, right = ([100 * row[key] for row in found["bins"]] for key in ("confidence", "accuracy"))
        axes.scatter(sure, right, s=[20 + 400 * row["n"] / n for row in found["bins"]], alpha=0.6, label=name)
    axes.set_xlim(48, 102)
    axes.set_ylim(-5, 105)
    axes.set_xlabel("confidence, %: sigmoid(beta |K+ - K-|)")
    axes.set_ylabel("pairs where y+ is ahead, %")
    axes.legend(frameon=False)
    _save(figure, path)


def _figure(n_rows: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    # No pyplot: it would look for a screen, and keep every figure.
    figure = Figure(figsize=(7, 1.2 + 0.42 * n_rows), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "iterpref"}):
        figure.savefig(path, metadata={"Date": None})
