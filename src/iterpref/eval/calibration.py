"""Can a margin be taken at its word? `sigmoid(beta (K+ - K-))` against how often y+ is ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iterpref.errors import UserError
from iterpref.eval.passk import bootstrap_mean
from iterpref.losses import TIE_NATS

BINS = 10


def calibration(margins: Sequence[float], beta: float, tie: float = TIE_NATS) -> dict[str, Any]:
    """Of the probability `p = sigmoid(beta m)` that y+ is preferred (Bradley and Terry 1952; DPO's implicit reward).

    Args:
        margins: K+ - K- of each pair, in nats.
        tie: margins no larger count as one half.

    Returns:
        brier: mean of (1 - p)^2, with its 95 % interval over pairs; 0.25 for an untrained policy.
        ece: expected calibration error (Naeini et al. 2015), `sum_b n_b / n |accuracy_b - confidence_b|` over `BINS` bins of
            equal width. Confidence is max(p, 1 - p), in [0.5, 1]; a pair is right where y+ is ahead.
        bins: [{low, high, n, confidence, accuracy}], empty ones left out; confidence and accuracy are means.

    Raises `UserError` without a pair, or for a margin that is not finite.
    """
    margins_P = np.asarray(margins, dtype=np.float64)
    if not margins_P.size or not np.isfinite(margins_P).all():
        raise UserError(f"calibration: expected at least one margin, all of them finite, got {margins_P.size} margins")
    # One exponential of a number that is not positive, so that nothing overflows.
    confidence_P = 1 / (1 + np.exp(-beta * np.abs(margins_P)))
    wrong_P = np.where(margins_P < 0, confidence_P, 1 - confidence_P)  # 1 - p
    right_P = np.where(np.abs(margins_P) <= tie, 0.5, margins_P > 0)
    bin_P = np.minimum(((confidence_P - 0.5) * 2 * BINS).astype(int), BINS - 1)
    bins = []
    for b in sorted(set(bin_P.tolist())):
        inside_P = bin_P == b
        bins.append({
            "low": 0.5 + b / (2 * BINS), "high": 0.5 + (b + 1) / (2 * BINS), "n": int(inside_P.sum()),
            "confidence": float(confidence_P[inside_P].mean()), "accuracy": float(right_P[inside_P].mean()),
        })  # fmt: skip
    gaps = (row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins)
    return {
        "beta": beta, "brier": bootstrap_mean((wrong_P**2).tolist()), "ece": sum(gaps) / margins_P.size, "bins": bins
    }  # fmt: skip
