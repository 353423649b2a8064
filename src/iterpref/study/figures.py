"""A study's three figures: likelihoods over training; rates of success with their intervals, by arm and by learning rate."""

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


def draw_learning_rates(study: Study, result: Mapping[str, Any], path: Path) -> None:
    """pass@1 of every arm by learning rate, with its 95 % interval over tasks: where tuning chose (filled), and after the fact."""
    panels = [
        (f"{name.replace('_', ' ')}, {told}", rates)
        for phase, told in (("tune", "tuned on"), ("rates", "after the fact"))
        for name, rates in result["by_lr"][phase].items()
        if rates
    ]
    places = {arm: place for place, arm in enumerate(study.arms)}
    figure = Figure(figsize=(4.2 * max(len(panels), 1), 3.6))
    axes = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    for axis, (title, rates) in zip(axes, panels, strict=False):
        for arm, of in rates.items():
            shifted = [lr * 1.03 ** (places[arm] - (len(places) - 1) / 2) for lr in of]  # bars side by side
            means = [100 * rate["mean"] for rate in of.values()]
            bars = [[100 * abs(rate[end] - rate["mean"]) for rate in of.values()] for end in ("low", "high")]
            colour = f"C{places[arm]}"
            axis.errorbar(
                shifted, means, yerr=bars, fmt="o-", ms=4, lw=1, elinewidth=0.7, color=colour, mfc="white", label=arm
            )
            if (lr := result["tuned"].get(arm)) in of:
                at = list(of).index(lr)
                axis.plot(shifted[at], means[at], "o", ms=6, color=colour, zorder=3)
        axis.set_xscale("log")
        lrs = sorted({lr for of in rates.values() for lr in of})
        axis.set_xticks(lrs, [f"{lr:g}" for lr in lrs], fontsize=8)
        axis.minorticks_off()
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("learning rate (filled: chosen by tuning)")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("pass@1, %")
    if panels:
        axes[-1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
