"""A picture of the fused head's figures: time and memory over the density of loss rows, ours and the peers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(record: dict[str, Any], path: Path) -> None:
    """One column for each hidden size, from a record of `iterpref.bench.kernel`; both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = record["hidden"]
    sizes = sorted({r["hidden"] for r in rows})
    figure, axes = plt.subplots(2, len(sizes), figsize=(6 * len(sizes), 8), squeeze=False, sharex=True)
    for column, H in enumerate(sizes):
        here = [r for r in rows if r["hidden"] == H]
        for name in dict.fromkeys(r["contender"] for r in here):
            own = sorted((r for r in here if r["contender"] == name), key=lambda r: r["density"])
            style = {"lw": 2.5} if name.startswith("ours") else {"lw": 1, "ls": "--"}
            densities = [r["density"] for r in own]
            axes[0, column].plot(densities, [r["both_ms"] for r in own], marker="o", ms=3, label=name, **style)
            axes[1, column].plot(densities, [max(r["extra_gib"], 1e-2) for r in own], marker="o", ms=3, **style)
        floor = {r["density"]: r["floor_ms"] for r in here}
        axes[0, column].plot(sorted(floor), [floor[d] for d in sorted(floor)], color="black", lw=1, label="floor")
        axes[0, column].set(
            title=f"{here[0]['positions']} x {H}, V {here[0]['vocabulary']:,}", xscale="log", yscale="log"
        )
        axes[1, column].set(xlabel="share of positions with loss", yscale="log")
    axes[0, 0].set_ylabel("forward and backward, ms")
    axes[1, 0].set_ylabel("peak memory beyond the inputs, GiB")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=7, fontsize=8, frameon=False)
    figure.suptitle(
        f"The head with log-probs of rows with loss: {record['device']}, torch {record['versions']['torch']}"
    )
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
