"""Tests of tasks: how each kind runs, and which suites of a model cannot judge anything."""

from __future__ import annotations

import pytest

from iterpref.codeflow.generate.answer import BadAnswer
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, StdioCases
from iterpref.codeflow.suites import (
    as_tests,
    asserts_suite,
    count_asserts,
    for_coverage,
    freeze,
    module_of,
    stdio_suite,
    stub,
    wanted_names,
)
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite

SOLUTION = (SourceFile("solution.py", "def f(x):\n    return x + 1\n"),)
UNITTEST = "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n"


def frozen(text: str, name: str = "test_solution.py") -> TestSuite:
    return freeze((SourceFile(name, text),), SOLUTION)


def refusal(text: str) -> str:
    with pytest.raises(BadAnswer) as caught:
        frozen(text)
    return caught.value.reason


def test_checks_against_literals_are_judged_outside() -> None:
    suite = asserts_suite("assert f(1) == 2\nassert f(2) == 3", "import math")
    assert (suite.framework, suite.n_tests) == ("asserts", 2)
    tests = as_tests(suite)
    assert isinstance(tests, FunctionCases)
    assert (tests.calls, tests.expected, tests.setup) == (("f(1)", "f(2)"), (2, 3), "import math")
    assert isinstance(as_tests(asserts_suite("x = f(1)\nassert x == 2")), Asserts)


def test_a_suite_is_named_by_its_texts() -> None:
    one, other = asserts_suite("assert f(1) == 2"), asserts_suite("assert f(1) == 2", "import math")
    assert one.sha256 != other.sha256


def test_checks_that_are_no_python_are_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="expected Python"):
        asserts_suite("assert f(")


def test_programs_on_standard_input() -> None:
    suite = stdio_suite(["1\n", "é"], ["2\n", "\u2028"])
    tests = as_tests(suite)
    assert isinstance(tests, StdioCases)
    assert (tests.inputs, tests.outputs, suite.n_tests) == (("1\n", "é"), ("2\n", "\u2028"), 2)
    with pytest.raises(UserError, match="one output an input"):
        stdio_suite(["1"], [])


def test_a_unittest_suite_of_a_model_is_frozen_as_it_is() -> None:
    suite = frozen(UNITTEST)
    assert (suite.framework, suite.n_tests, suite.files[0].text) == ("unittest", 1, UNITTEST)


def test_bare_asserts_and_pytest_functions_run_as_checks() -> None:
    bare = frozen("from solution import f\nassert f(1) == 2\n")
    assert isinstance(as_tests(bare), FunctionCases)
    functions = frozen("import solution\n\ndef test_a():\n    assert solution.f(1) == 2\n")
    assert functions.files[0].text.endswith("test_a()\n")
    called = "import solution\n\ndef test_a():\n    assert solution.f(1) == 2\ntest_a()\n"
    assert frozen(called).files[0].text == called


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from solution import (", "tests_do_not_compile"),
        ("assert f(1) == 2", "tests_do_not_import_solution"),
        ("import solutions\nassert solutions.f(1) == 2", "tests_do_not_import_solution"),
        ("from solution import f\nf(1)", "tests_assert_nothing"),
        ("from solution import f\nassert True", "tests_assert_nothing"),
        (UNITTEST.replace("self.assertEqual(f(1), 2)", "f(1)"), "tests_assert_nothing"),
        (UNITTEST.replace("self.assertEqual(f(1), 2)", "self.assertTrue(True)"), "tests_assert_nothing"),
        ("import pytest\nfrom solution import f\nassert f(1) == 2", "tests_need_pytest"),
        ("from solution import f\ndef test_a(tmp_path):\n    assert f(1) == 2", "tests_need_pytest"),
    ],
)
def test_a_suite_that_cannot_judge_has_its_reason(text: str, reason: str) -> None:
    assert refusal(text) == reason


def test_missing_tests_have_their_reason() -> None:
    for tests in ((), (SourceFile("tests/data.json", "{}"),)):
        with pytest.raises(BadAnswer, match="tests_missing"):
            freeze(tests, SOLUTION)
    two = tuple(SourceFile(f"test_{n}.py", "from solution import f\nassert f(1) == 2") for n in "ab")
    with pytest.raises(BadAnswer, match="tests_of_several_files"):
        freeze(two, SOLUTION)


def test_a_module_in_a_folder_counts_as_imported() -> None:
    files = (SourceFile("app/core.py", "def f(x): return x"),)
    assert freeze((SourceFile("test_a.py", "from app.core import f\nassert f(1) == 1"),), files).n_tests == 1


def test_checks_that_depend_on_nothing_do_not_count() -> None:
    assert count_asserts("assert 1 == 1\nassert f(1)\nwith self.assertRaises(ValueError):\n    f(0)\n") == 2
    assert count_asserts("not python (") == 0


def test_what_the_tests_ask_of_the_solution() -> None:
    suite = frozen(UNITTEST)
    assert (module_of(suite), wanted_names(suite)) == ("solution.py", ("f",))
    checks = asserts_suite("assert set(f(1)) == {2}\nassert math.isclose(g(2), 1)", "import math\ndef help(): return 1")
    assert (module_of(checks), wanted_names(checks)) == (None, ("f", "g"))


def test_a_stub_keeps_the_names_and_does_nothing() -> None:
    files = (
        SourceFile(
            "solution.py", "X = 1\nclass A:\n    def m(self, y=2):\n        return y\nasync def g():\n    await h()\n"
        ),
        SourceFile("d.csv", "1"),
    )
    suite = frozen(UNITTEST)
    emptied = stub(files, suite)
    assert emptied is not None
    assert emptied[0].text == (
        "X = 1\n\nclass A:\n\n    def m(self, y=2):\n        return None\n\nasync def g():\n    return None\n"
    )
    assert emptied[1] == files[1]
    assert stub((SourceFile("solution.py", "X = 1\n"),), suite) is None
    assert stub((SourceFile("solution.py", "no python ("),), suite) is None
    assert stub((SourceFile("solution.py", "print(1)\n"),), stdio_suite(["1"], ["2"])) == (
        SourceFile("solution.py", "pass\n"),
    )


def test_coverage_of_checks_is_measured_by_a_suite_that_runs_them() -> None:
    suite = for_coverage(asserts_suite("assert f(1) == 2\nassert 'é' != \"'''\"", "import math"), SOLUTION)
    assert suite is not None
    space: dict[str, object] = {}
    exec(compile(suite.files[0].text, "t", "exec"), space)
    assert space["CODE"] == "import math\nassert f(1) == 2\nassert 'é' != \"'''\""
    assert for_coverage(frozen(UNITTEST), SOLUTION) == frozen(UNITTEST)
    assert for_coverage(stdio_suite(["1"], ["1"]), SOLUTION) is None
