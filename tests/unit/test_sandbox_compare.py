"""What agrees and what does not, type by type, and that no comparison ever raises."""

from __future__ import annotations

import math
from collections import Counter, deque
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.codeflow.sandbox.child.tagged import Opaque
from iterpref.codeflow.sandbox.compare import Close, Lines, Truth, Values

EXACT, EQUAL = Values(), Values("equal")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_everything_agrees_exactly_with_itself(value: Any) -> None:
    assert EXACT(value, value) == ""


@given(VALUES, VALUES)
def test_equal_is_pythons_equality(left: Any, right: Any) -> None:
    assert (EQUAL(left, right) == "") == (left == right or (repr(left) == repr(right) and EQUAL(left, right) == ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        ([1], (1,)),
        ([1.0], [1]),
        ({1}, {1.0}),
        ({1}, frozenset({1})),
        ({1: 2}, {1.0: 2}),
        (None, 0),
    ],
)
def test_exact_tells_types_apart(value: Any, expected: Any) -> None:
    assert EXACT(value, expected) != ""
    assert EXACT(expected, value) != ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (1, 1.0), ({1}, {1.0}), (Counter("aab"), {"a": 2, "b": 1}), (np.float64(1), 1), (-0.0, 0.0)],
)
def test_equal_lets_pythons_equals_be_equal(value: Any, expected: Any) -> None:
    assert EQUAL(value, expected) == EQUAL(expected, value) == ""


def test_nan_is_nan_exactly_and_differs_from_itself_under_equal() -> None:
    assert EXACT([math.nan], [math.nan]) == ""
    assert EQUAL(math.nan, float("nan")) != ""


def test_a_list_is_no_tuple_under_either() -> None:
    assert EQUAL([1], (1,)) != ""


def test_a_tolerance_holds_at_every_depth_and_only_where_a_fraction_is() -> None:
    near = Values("equal", atol=1e-6)
    assert near({"a": [1.0000001]}, {"a": [1.0]}) == ""
    assert near([1.001], [1.0]) == "[0]: expected 1.0 (float), got 1.001 (float)"
    assert near(10**9 + 1, 10**9) != ""
    assert near(math.inf, 1e308) != ""
    assert near(math.inf, math.inf) == ""
    assert Values("equal", rtol=0.1)(109.0, 100.0) == ""
    assert Values("equal", rtol=0.1)(111.0, 100.0) != ""


def test_the_difference_names_its_place() -> None:
    assert EXACT([1, {"a": (2, 3)}], [1, {"a": (2, 4)}]) == "[1]['a'][1]: expected 4 (int), got 3 (int)"
    assert "length 2 against 1" in EXACT([1], [1, 2])


def test_sets_and_dicts_compare_by_content() -> None:
    assert EXACT({3, 1}, {1, 3}) == EXACT({"a": 1, "b": 2}, {"b": 2, "a": 1}) == ""
    assert EXACT({1}, {1, 2}) != ""
    assert EXACT({"a": 1}, {"a": 1, "b": 2}) != ""
    assert EXACT({"a": 1, "b": 2}, {"a": 1}) != ""


def test_unordered_lists_are_collections_with_repetition() -> None:
    loose = Values(ordered=False)
    assert loose([2, 1, 1], [1, 2, 1]) == ""
    assert loose([1, 1, 2], [1, 2, 2]) != ""
    assert loose([1], [1, 2]) == "missing: 2 (int)"


def test_what_is_opaque_never_agrees() -> None:
    opaque = Opaque("E", "")
    assert EXACT(opaque, opaque) != ""
    assert EQUAL([opaque], [1]) != ""
    assert EQUAL(opaque, Truth(True)) != ""


@pytest.mark.parametrize(
    ("value", "wanted", "agrees"), [(1, True, True), ([], False, True), ("a", False, False), (None, True, False)]
)
def test_truth_asks_only_for_truth(value: Any, wanted: bool, agrees: bool) -> None:
    assert (EQUAL(value, Truth(wanted)) == "") == agrees


@pytest.mark.parametrize(
    ("value", "agrees"), [(1.0, True), (1, True), (1.05, True), (1.2, False), ("1", False), (float("nan"), False)]
)
def test_close_is_what_math_says(value: Any, agrees: bool) -> None:
    assert (Values()(value, Close(1.0, rel_tol=0.1)) == "") is agrees


def test_a_long_integer_and_a_decimal_are_told_apart_at_once() -> None:
    equal = Values("equal")
    assert equal(1 << 20_000_000, Decimal(3)) != ""
    assert equal(10**30, Decimal("1e30")) == equal(Decimal(100), 100) == equal(0, Decimal("0e-9")) == ""
    assert equal(1, Decimal("NaN")) != ""


def test_one_long_text_in_a_list_does_not_fill_the_memory() -> None:
    texts = ["x" * 1_000_000] + [""] * 1_000_000  # four terabytes as an array of texts
    assert Values("equal")(texts, np.zeros(3)) != ""
    assert Values("equal")(["a", "b"], np.array(["a", "b"])) == ""


def test_arrays_compare_by_shape_and_values() -> None:
    assert EXACT(np.arange(3), np.arange(3)) == ""
    assert EXACT(np.arange(3.0), np.arange(3)) != ""
    assert EQUAL(np.arange(3.0), np.arange(3)) == ""
    assert EQUAL(np.arange(3), np.arange(4)) != ""
    assert EXACT(np.array([np.nan]), np.array([np.nan])) == ""
    assert Values("equal", atol=0.01)(np.array([1.001]), np.array([1.0])) == ""
    assert "range against an array" in EQUAL(range(10**15), np.array([1]))
    assert "deque against an array" in EQUAL(deque(["a", "b" * 10**6]), np.array([1]))
    assert EQUAL(np.datetime64("NaT"), None) != ""  # which numpy makes of it where it makes a list


def test_tables_compare_by_labels_and_values() -> None:
    table = pd.DataFrame({"a": [1, 2]})
    assert EXACT(table, table.copy()) == ""
    assert EXACT(table, table.rename(columns={"a": "b"})) != ""
    assert EXACT(table, pd.DataFrame({"a": [1, 3]})) != ""
    assert EXACT(pd.Series([1], name="x"), pd.Series([1], name="y")) != ""


@given(
    VALUES | st.just(np.array([1, 2])) | st.just(pd.DataFrame({"a": [1]})),
    VALUES | st.just(np.array(["a"])) | st.just(pd.Series([1])),
)
def test_no_comparison_raises(left: Any, right: Any) -> None:
    for compare in (EXACT, EQUAL, Values("equal", 1e-6, 1e-6), Values(ordered=False)):
        assert isinstance(compare(left, right), str)


def test_lines_ignore_white_space_at_ends_and_nothing_else() -> None:
    lines = Lines()
    assert lines("1 2  \r\n3\n\n\n", "1 2\n3") == ""
    assert lines("1\n", "1\n2\n") == "expected 2 lines, got 1"
    assert lines("1\n2", "1\n3") == "line 2: expected '3', got '2'"
    assert lines(" 1", "1") != ""
    assert lines("1  2", "1 2") != ""
    assert lines("", "\n") == ""


def test_lines_may_be_off_by_a_tolerance_or_not_at_all() -> None:
    assert Lines(atol=0.01)("a 1.001 x", "a 1.0 x") == ""
    assert Lines(atol=0.01)("b 1.001", "a 1.0") != ""
    assert Lines(atol=0.01)("nan", "1") != ""
    assert Lines(exact=True)("1\n", "1") != ""
