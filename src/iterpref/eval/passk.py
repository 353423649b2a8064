"""Rates of success with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from iterpref.errors import UserError


def pass_at_k(n: int, c: int, k: int) -> float:
    """`1 - C(n - c, k) / C(n, k)`: the chance that k of n samples, c of which pass, hold a pass.

    The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374), section 2.1, as a product of ratios: no binomial
    coefficient can overflow. Raises `UserError` unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise UserError(
            f"pass@k: expected 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}; draw at least k samples a task"
        )
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Score interval of a proportion, `|p_hat - p| <= z sqrt(p (1 - p) / n)` solved for p; (0, 1) when n = 0.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". z = 1.959964 gives 95 %. Raises
    `UserError` unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise UserError(f"interval of a rate: expected 0 <= successes <= n, got successes={successes}, n={n}")
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At 0 and n successes a bound is exactly 0 or 1, which rounding would miss.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def bootstrap_mean(values: Sequence[float], seed: int = 0, resamples: int = 2000) -> dict[str, float]:
    """`{"mean", "low", "high"}`: the mean, and the 2.5 % and 97.5 % percentiles of means of redrawn items.

    Items are redrawn with replacement (Efron 1979, "Bootstrap methods: another look at the jackknife"). Raises
    `UserError` when `values` is empty or holds a NaN or an infinity.
    """
    items = np.asarray(values, dtype=np.float64)
    if items.size == 0 or not np.isfinite(items).all():
        raise UserError(
            f"mean with an interval: expected at least one value, all of them finite, got {items.size} values"
        )
    low, high = np.percentile(redrawn_means(items, seed, resamples), [2.5, 97.5])
    return {"mean": float(items.mean()), "low": float(low), "high": float(high)}


def redrawn_means(items: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """[resamples] means of as many items, each redrawn with replacement."""
    draw = np.random.default_rng(seed)
    # One resample at a time: all at once would take resamples * n numbers of memory.
    return np.array([items[draw.integers(0, items.size, items.size)].mean() for _ in range(resamples)])


def rate(counts: Sequence[tuple[int, int]], k: int) -> dict[str, float]:
    """`{"mean", "low", "high"}` of pass@k over tasks with (samples, passes): the mean of `pass_at_k`, and its 95 % interval.

    Tasks are what is drawn: the interval is the bootstrap's over tasks, or Wilson's where each task has one sample, as there
    the bootstrap knows no doubt about 0 and 1. Raises `UserError` without a task, or for a task with fewer than k samples.
    """
    values = [pass_at_k(n, c, k) for n, c in counts]
    if values and all(n == 1 for n, _ in counts):
        low, high = wilson(sum(c for _, c in counts), len(counts))
        return {"mean": sum(values) / len(values), "low": low, "high": high}
    return bootstrap_mean(values)
