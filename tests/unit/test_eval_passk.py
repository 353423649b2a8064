import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.errors import UserError
from iterpref.eval.passk import bootstrap_mean, pass_at_k, wilson


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(1, 1, 1, 1.0), (1, 0, 1, 0.0), (4, 1, 1, 0.25), (4, 1, 2, 0.5), (5, 2, 2, 0.7), (5, 4, 2, 1.0), (10, 0, 10, 0.0)],
)
def test_pass_at_k_by_hand(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_pass(ncf):
    n, c, k = ncf
    draws = list(combinations(range(n), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(min(draw) < c for draw in draws) / len(draws))


def test_pass_at_k_of_many_samples_does_not_overflow():
    expected = 1 - math.comb(90_000, 1000) / math.comb(100_000, 1000)
    assert pass_at_k(100_000, 10_000, 1000) == pytest.approx(expected)
    assert pass_at_k(1000, 1, 500) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(UserError, match=f"n={n}, c={c}, k={k}"):
        pass_at_k(n, c, k)


def test_wilson_by_hand():
    # z^2 = 3.841459: centre (0.5 + 0.1920729) / 1.3841459 = 0.5, half 1.959964 / 1.3841459 * sqrt(0.025 + 0.0096036).
    assert wilson(5, 10) == pytest.approx((0.2365931, 0.7634069), abs=1e-6)
    # No success in 10: the upper bound is z^2 / (n + z^2).
    assert wilson(0, 10) == pytest.approx((0.0, 3.841459 / 13.841459), abs=1e-6)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_solve_the_score_equation(counts):
    successes, n = counts
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for bound in (low, high):
        assert abs(successes / n - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n), abs=1e-9)
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_refuses_more_successes_than_tries():
    with pytest.raises(UserError, match="successes=3, n=2"):
        wilson(3, 2)


@pytest.mark.parametrize("values", [[2.5], [0.1] * 7])
def test_a_mean_without_spread_has_no_width(values):
    assert bootstrap_mean(values) == pytest.approx({"mean": values[0], "low": values[0], "high": values[0]})


def test_the_bootstrap_of_zeros_and_ones_is_near_the_binomial_interval():
    result = bootstrap_mean([0.0, 1.0] * 200)
    assert result["mean"] == 0.5
    # Standard error 0.5 / sqrt(400) = 0.025.
    assert result["low"] == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert result["high"] == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_the_bootstrap_repeats_with_its_seed():
    values = [0.3, -1.0, 2.0, 5.5]
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_a_mean_of_nothing_or_of_nan_is_refused(values):
    with pytest.raises(UserError, match=f"got {len(values)} values"):
        bootstrap_mean(values)
