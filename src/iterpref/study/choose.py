"""The learning rate of each arm: the one whose model solves most of the tuning tasks, ties to the smaller."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def tuned(records: Sequence[dict[str, Any]], by: str, lrs: Sequence[float]) -> dict[str, dict[str, Any]]:
    """`{arm: {"lr", "rates": {lr: pass@1}}}` of the arms that were tried at every rate: equal effort, or none."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for record in records:
        if record["phase"] == "tune" and by in record["benchmarks"]:
            found[record["arm"]][record["lr"]] = record["benchmarks"][by]["rates"]["pass@1"]["mean"]
    return {
        arm: {"lr": max(rates, key=lambda lr: (rates[lr], -lr)), "rates": dict(sorted(rates.items()))}
        for arm, rates in found.items()
        if set(lrs) <= set(rates)
    }
