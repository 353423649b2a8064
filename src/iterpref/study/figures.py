"""A study's two figures: likelihoods over training, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from iterpref.study.plan import Study
from iterpref.study.summary import LIKELIHOOD, Records, curve, runs_by_arm


def draw_likelihood(study: Study, found: Records, path: Path) -> None:
    """Log-prob of chosen and rejected, and log-ratio of what differs, over the training of each arm; means over seeds."""
    arms = {arm: runs for arm, runs in runs_by_arm(study, found).items() if arm in study.arms}
    figure = Figure(figsize=(4.2 * len(LIKELIHOOD), 3.6))
    axes = figure.subplots(1, len(LIKELIHOOD))
    for axis, name in zip(axes, LIKELIHOOD, strict=True):
        for arm, runs in arms.items():
            values = curve(runs, name)
            axis.plot(list(values), list(values.values()), marker="o", ms=3, label=arm)
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.set_xlabel("optimizer step")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("nats a completion, validation pairs")
    if arms:
        axes[-1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def draw_rates(study: Study, arms: Mapping[str, Any], path: Path) -> None:
    """pass@1 of every arm on each compared benchmark, with its 95 % interval over tasks."""
    names = [n for n in study.compared if any(n in f["benchmarks"] for f in arms.values())]
    figure = Figure(figsize=(3.2 * max(len(names), 1), 1.2 + 0.28 * len(arms)))
    axes = figure.subplots(1, max(len(names), 1), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=False):
        for place, found in enumerate(arms.values()):
            if rate := found["benchmarks"].get(name):
                middle, low, high = (100 * rate[key] for key in ("mean", "low", "high"))
                axis.errorbar(middle, place, xerr=[[middle - low], [high - middle]], fmt="o", ms=4, color="C0")
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.set_xlabel("pass@1, %")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(arms)), list(arms))
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
