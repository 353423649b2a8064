"""Schema of a sweep: what its jobs are compared by, and how a study draws them; and the rules between these options."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from iterpref.config.option import option

# Metrics of the last validation that a job may be judged by, and which way is better.
Direction = Literal["minimize", "maximize"]
METRICS: dict[str, Direction] = {
    "val/loss": "minimize",
    "val/preference_loss": "minimize",
    "val/nll": "minimize",
    "val/accuracy": "maximize",
    "val/margin": "maximize",
    "val/focal_accuracy": "maximize",
    "val/focal_margin": "maximize",
    "val/chosen_logps": "maximize",
    "val/chosen_logratio": "maximize",
    "val/focal_chosen_logratio": "maximize",
}
# Their scale is that of the loss: two losses cannot be compared by them.
_OF_THE_LOSS = ("val/loss", "val/preference_loss", "val/margin")


@dataclass
class SweepConfig:
    metric: str = option(
        "val/focal_accuracy", "what a run returns and the jobs of a sweep are compared by, of the last validation",
        choices=tuple(METRICS),
    )  # fmt: skip
    sampler: str = option(
        "grid", "how jobs are drawn: all combinations, Optuna's TPE, or at random", choices=("grid", "tpe", "random")
    )
    trials: int = option(20, "trials of a study, those of earlier starts included", low=1)
    startup: int = option(5, "trials at random before sampler=tpe models the others", low=1)
    parallel: int = option(1, "trials drawn and launched at once; more than 1 needs a parallel launcher", low=1)
    pruner: str = option(
        "none", "ends trials that are worse than the median of the earlier ones at the same validation",
        choices=("none", "median"),
    )  # fmt: skip
    study: str | None = option(None, "SQLite file of the study that this job is a trial of; set by the sweep")
    trial: int | None = option(None, "its number in that study; set by the sweep", low=0)


def direction(metric: str) -> Direction:
    """Which way is better."""
    return METRICS[metric]


def best_first(metric: str, value: float | None) -> float:
    """A key that sorts by the metric, the best first and what has none last."""
    if value is None or value != value:
        return float("inf")
    return value if direction(metric) == "minimize" else -value


def scale_changed_by(metric: str, swept: Collection[str]) -> str | None:
    """The first swept key that changes what `metric` measures, so that its values cannot be compared; None: they can."""
    if metric not in _OF_THE_LOSS:
        return None
    sections = ("loss", "mask", "reading", "experiment")
    return next((key for key in swept if key.split(".")[0] in sections), None)


def idle_sweep(sweep: SweepConfig) -> list[tuple[bool, tuple[str, ...], str]]:
    """(whether it is so, options that then have no effect, why)."""
    study = ("sweep.trials", "sweep.startup", "sweep.parallel", "sweep.pruner")
    return [
        (sweep.sampler == "grid", study, "sweep.sampler=grid: add sweep=optuna"),
        (sweep.sampler == "random", ("sweep.startup",), "sweep.sampler=random: add sweep.sampler=tpe"),
    ]
