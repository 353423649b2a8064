"""A picture of the whole step's figures: pairs a second and peak memory of each contender, a column for each shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LEAST_BARS = 3  # of a panel; with fewer, a bar is as wide as one of three


def draw(record: dict[str, Any], path: Path) -> None:
    """From a record of `iterpref.bench.step`; a contender that failed has no bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    runs = record["runs"]
    figure, axes = plt.subplots(2, len(runs), figsize=(6.5 * len(runs), 7), squeeze=False)
    for column, run in enumerate(runs):
        rows = {title: row for title, row in run["rows"].items() if "error" not in row}
        colours = ["#1f6f8b" if title.startswith("ours") else "#b0b7bd" for title in rows]
        titles = [title.replace(", ", "\n").replace(" + ", "\n+ ") for title in rows]
        for axis, key, unit in ((axes[0, column], "pairs_per_s", "pairs/s"), (axes[1, column], "peak_gib", "peak GiB")):
            bars = axis.bar(range(len(rows)), [row[key] for row in rows.values()], color=colours)
            axis.bar_label(bars, fmt="%.1f", fontsize=8)
            axis.set_xticks(range(len(rows)), titles, fontsize=7)
            axis.set_ylabel(unit)
            axis.margins(y=0.12)
            axis.set_xlim(-0.5, max(len(rows), _LEAST_BARS) - 0.5)
            axis.spines[["top", "right"]].set_visible(False)
        pairs = "pairs alike" if run["alike"] else "pairs with nothing in common"
        axes[0, column].set_title(f"{run['shape']} shape, {run['pairs']} {pairs}", fontsize=10)
    facts = record["facts"]
    figure.suptitle(
        f"One training step: {facts['card']}, torch {facts['versions']['torch']}, TRL {facts['versions']['trl']}",
        fontsize=11,
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
