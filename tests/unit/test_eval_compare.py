"""Rates with intervals over tasks, and two models task by task."""

from __future__ import annotations

import math
from itertools import product

import pytest

from iterpref.errors import UserError
from iterpref.eval.compare import mcnemar, paired
from iterpref.eval.passk import rate, wilson


def test_mcnemar_is_the_exact_test_of_fair_coins() -> None:
    for gained, lost in product(range(6), repeat=2):
        n = gained + lost
        as_uneven = sum(
            math.comb(n, i) for i in range(n + 1) if abs(2 * i - n) >= abs(gained - lost)
        )  # outcomes at least as far from n / 2
        assert mcnemar(gained, lost) == pytest.approx(min(1.0, as_uneven / 2**n))
    assert mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 4096)


def test_a_paired_difference_has_its_mean_its_interval_and_both_tests() -> None:
    first = {f"t{i}": float(i < 10) for i in range(40)}
    second = {f"t{i}": float(i < 22) for i in range(40)} | {"t0": 0.0, "elsewhere": 1.0}
    found = paired(first, second)
    assert (found["n_tasks"], found["gained"], found["lost"]) == (40, 12, 1)
    assert found["difference"] == pytest.approx(11 / 40)
    assert 0.0 < found["low"] < 11 / 40 < found["high"] < 0.6
    assert found["p_mcnemar"] == pytest.approx(mcnemar(12, 1))
    assert found["p_bootstrap"] < 0.01
    back = paired(second, first)
    assert (back["difference"], back["gained"], back["lost"]) == (pytest.approx(-11 / 40), 1, 12)


def test_equal_models_show_no_difference_and_rates_between_0_and_1_have_no_mcnemar() -> None:
    same = {f"t{i}": 0.5 for i in range(5)}
    found = paired(same, same)
    assert (found["difference"], found["low"], found["high"], found["p_bootstrap"]) == (0.0, 0.0, 0.0, 1.0)
    assert found["p_mcnemar"] is None
    with pytest.raises(UserError, match="no task in common"):
        paired({"a": 1.0}, {"b": 1.0})


def test_the_bootstrap_covers_the_normal_interval_of_many_tasks() -> None:
    first = {f"t{i}": float(i % 4 == 0) for i in range(400)}
    second = {f"t{i}": float(i % 3 == 0) for i in range(400)}
    found = paired(first, second)
    gains = [second[t] - first[t] for t in first]
    mean = sum(gains) / 400
    half = 1.96 * math.sqrt(sum((g - mean) ** 2 for g in gains) / 400 / 400)
    assert found["low"] == pytest.approx(mean - half, abs=0.01)
    assert found["high"] == pytest.approx(mean + half, abs=0.01)


def test_the_rate_is_wilsons_for_single_samples_and_the_bootstraps_for_more() -> None:
    low, high = wilson(3, 10)
    assert rate([(1, 1)] * 3 + [(1, 0)] * 7, 1) == {"mean": pytest.approx(0.3), "low": low, "high": high}
    found = rate([(4, 2), (4, 0), (4, 4)], 2)
    assert found["mean"] == pytest.approx((1 - 1 / 6 + 0 + 1) / 3)
    assert found["low"] <= found["mean"] <= found["high"]
    with pytest.raises(UserError, match="draw at least k samples"):
        rate([(4, 2), (1, 0)], 2)
