"""The learning rate of each arm: the one whose model solves most of the tuning tasks, ties to the smaller."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any


def tuned(records: Sequence[dict[str, Any]], by: str, lrs: Sequence[float]) -> dict[str, float]:
    """`{arm: lr}` of the arms that were tried at every rate: equal effort, or none."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for record in records:
        if record["phase"] == "tune" and by in record["benchmarks"]:
            found[record["arm"]][record["lr"]] = record["benchmarks"][by]["rates"]["pass@1"]["mean"]
    return {arm: best(rates) for arm, rates in found.items() if set(lrs) <= set(rates)}


def best(rates: Mapping[float, float]) -> float:
    """The learning rate of the highest pass@1, the smaller of equals."""
    return max(rates, key=lambda lr: (rates[lr], -lr))
