"""Two models on the same tasks: how far apart, and could that be chance?"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np

from iterpref.errors import UserError
from iterpref.eval.passk import redrawn_means

RESAMPLES = 10_000  # of what is compared, whose p-values are shares of them


def paired(first: Mapping[str, float], second: Mapping[str, float], seed: int = 0) -> dict[str, Any]:
    """`second` minus `first` over their common tasks, values being each task's pass@1 in [0, 1].

    Returns:
        n_tasks: common ones.
        difference, low, high: mean of the differences, and the 2.5 % and 97.5 % percentiles of the means of redrawn tasks
            (paired bootstrap: both models keep their value on a task that is drawn).
        p_bootstrap: two-sided; twice the smaller share of redrawn means on either side of 0, ties on both.
        gained, lost: tasks where the second is better, worse.
        p_mcnemar: two-sided exact McNemar test; None unless all values are 0 or 1 (one sample a task).

    Raises `UserError` without a common task.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        raise UserError(
            f"nothing to compare: the two have no task in common ({len(first)} and {len(second)} tasks); are they of one benchmark?"
        )
    gains = np.array([second[task] - first[task] for task in common], dtype=np.float64)
    means = redrawn_means(gains, seed, RESAMPLES)
    low, high = np.percentile(means, [2.5, 97.5])
    p = 2 * min((means <= 0).mean(), (means >= 0).mean())
    binary = all(value in (0.0, 1.0) for side in (first, second) for value in (side[task] for task in common))
    gained, lost = int((gains > 0).sum()), int((gains < 0).sum())
    return {
        "n_tasks": len(common),
        "difference": float(gains.mean()),
        "low": float(low),
        "high": float(high),
        "p_bootstrap": float(min(p, 1.0)),
        "gained": gained,
        "lost": lost,
        "p_mcnemar": mcnemar(gained, lost) if binary else None,
    }


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p: the chance that `gained + lost` fair coins fall at least as unevenly. 1 without a change.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages".
    """
    n = gained + lost
    tail = sum(comb(n, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**n)
