"""Which free-form checks become cases that are judged outside, and that they ask the same."""

from __future__ import annotations

from typing import Any

import pytest

from iterpref.codeflow.sandbox.cases import split
from iterpref.codeflow.sandbox.compare import Close, Truth
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases


@pytest.mark.parametrize(
    ("check", "call", "expected"),
    [
        ("assert f(2) == 4", "f(2)", 4),
        ("assert (f(2)) == -4, 'message'", "f(2)", -4),
        ("assert 4 == f(2)", "f(2)", 4),
        ("assert f('a', k=[1]) == {'a': (1, {2}), 'b': None}", "f('a', k=[1])", {"a": (1, {2}), "b": None}),
        ("assert f(2) == set([1, 2])", "f(2)", {1, 2}),
        ("assert set(f(2)) == set()", "set(f(2))", set()),
        ("assert f(2) == float('inf')", "f(2)", float("inf")),
        ("assert f(2) == tuple([1]) ", "f(2)", (1,)),
        ("assert f(2) == 1 + 2j", "f(2)", 1 + 2j),
        ("assert f(2)", "f(2)", Truth(True)),
        ("assert not f(2)", "f(2)", Truth(False)),
        ("assert f(2) is None", "f(2) is None", Truth(True)),
        ("assert f(2) is True", "f(2) is True", Truth(True)),
        ("assert f(2)[0].x == 'a'", "f(2)[0].x", "a"),
        ("assert A(1).f(g(2)) == True", "A(1).f(g(2))", True),
        ("import math\nassert math.isclose(f(2), 1.5, rel_tol=0.1)", "f(2)", Close(1.5, rel_tol=0.1)),
        ("from math import isclose\nassert isclose(1, f(2))", "f(2)", Close(1.0)),
        ("assert abs(f(2) - 1.5) < 1e-6", "f(2)", Close(1.5, 0.0, 1e-6)),
        ("import math\nassert math.fabs(-2 - f(2)) <= 1", "f(2)", Close(-2.0, 0.0, 1.0)),
    ],
)
def test_a_check_against_a_literal_is_judged_outside(check: str, call: str, expected: Any) -> None:
    cases = split(check)
    assert isinstance(cases, FunctionCases)
    assert (cases.calls, cases.expected) == ((call,), (expected,))


@pytest.mark.parametrize(
    "code",
    [
        "assert f(2) == f(3)",
        "assert 1 < f(2) < 3",
        "assert f(2) != 3",
        "assert x == 4",
        "assert abs(f(2) - g(2)) < 1e-6",
        "assert abs(f(2)) < 1e-6",
        "assert abs(f(2) - 1.5) > 1e-6",
        "abs = print\nassert abs(f(2) - 1.5) < 1e-6",
        "assert math.isclose(f(2), g(2))",
        "assert all(a == b for a, b in zip(f(2), [4]))",
        "assert [f(i) == i for i in range(2)].count(True) == 2",
        "assert isinstance(f(2), int)",
        "assert not any(f(2))",
        "assert (f(2) == 4) == True",
        "assert (f(2) == 4) is True",
        "assert [1].count(f(2))",
        "from numpy import allclose\nassert allclose(f(2), 4)",
        "same = lambda a, b: a == b\nassert same(f(2), 4)",
        "x = f(2)\nassert x == 4",
        "for i in range(3):\n    assert f(i) == i",
        "assert f(2) == [x for x in range(3)]",
        "assert f(2) == 4\nimport math\nassert f(3) == 6",
        "def check(candidate):\n    assert candidate(1) == 1\n",
        "assert f(2) ==",
        "",
    ],
)
def test_everything_else_stays_as_it_is(code: str) -> None:
    assert split(code, "import math") == Asserts(code, "import math")


def test_imports_in_front_and_the_setup_run_before_the_calls() -> None:
    cases = split("import math\nassert f(math.pi) == 3\nassert f(0) == 0", "TABLE = {}")
    assert isinstance(cases, FunctionCases)
    assert cases.setup == "TABLE = {}\nimport math"
    assert cases.calls == ("f(math.pi)", "f(0)")


def test_values_agree_as_they_would_in_an_assert() -> None:
    cases = split("assert f(2) == 4\nassert not f(0)")
    assert isinstance(cases, FunctionCases)
    assert cases.expected is not None
    assert cases.compare(4.0, cases.expected[0]) == ""
    assert cases.compare([4], cases.expected[0]) != ""
    assert cases.compare([], cases.expected[1]) == ""
