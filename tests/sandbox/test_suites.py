"""Suites of all kinds, and objects that would match anything: what unittest itself would say, and what it would miss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iterpref.codeflow.sandbox.child import rehearsal
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, RunRequest
from iterpref.schema import SourceFile, Verdict

from .build import GOOD, TESTS, request, suite


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PooledSandbox]:
    box = PooledSandbox(workers=2, allow_unsafe=True)
    yield box
    box.close()


SUITES = {
    "no tests where two are expected": ("import unittest, solution\n", 2, Verdict.FAIL, "0 tests ran, expected 2"),
    "more tests than expected": (TESTS, 1, Verdict.FAIL, "2 tests ran, expected 1"),
    "expected failure": (
        """
        import unittest
        from solution import f
        class T(unittest.TestCase):
            @unittest.expectedFailure
            def test_a(self):
                self.assertEqual(f(1), 3)
        """, 1, Verdict.FAIL, "T.test_a",
    ),
    "a failed subtest": (
        """
        import unittest
        from solution import f
        class T(unittest.TestCase):
            def test_a(self):
                for i in range(3):
                    with self.subTest(i=i):
                        self.assertEqual(f(i), i)
        """, 1, Verdict.FAIL, "T.test_a",
    ),
    "setUpClass raises": (
        """
        import unittest, solution
        class T(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                raise OSError("no")
            def test_a(self):
                pass
        """, 1, Verdict.ERROR, "OSError",
    ),
    "assertRaises(SystemExit)": (
        """
        import sys, unittest, solution
        class T(unittest.TestCase):
            def test_a(self):
                with self.assertRaises(SystemExit):
                    sys.exit(1)
        """, 1, Verdict.PASS, "",
    ),
    "the suite's own matcher": (
        """
        import unittest
        from unittest.mock import ANY
        from solution import f
        class Even:
            def __eq__(self, other):
                return True
        class T(unittest.TestCase):
            def test_a(self):
                self.assertEqual([f(1)], [ANY])
                self.assertEqual(f(1), Even())
        """, 1, Verdict.PASS, "",
    ),
    "patches while it runs": (
        """
        import unittest, solution
        from unittest.mock import patch
        class T(unittest.TestCase):
            @patch("builtins.print")
            def test_a(self, fake):
                print(1)
                fake.assert_called_once_with(1)
        """, 1, Verdict.PASS, "",
    ),
    "async tests": (
        """
        import unittest
        from solution import f
        class T(unittest.IsolatedAsyncioTestCase):
            async def test_a(self):
                self.assertEqual(f(1), 2)
        """, 1, Verdict.PASS, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SUITES)
def test_each_suite_gets_its_verdict(sandbox: PooledSandbox, name: str) -> None:
    text, n_tests, verdict, detail = SUITES[name]
    result = sandbox.run(request(GOOD, suite(text, n_tests)))
    assert (result.verdict, result.detail) == (verdict, detail), result.stderr


MATCH_ALL = (
    "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\n    def __contains__(self, o): return True\n"
)
NEAR_ALL = "class E:\n    def __sub__(self, o): return 0\n    __rsub__ = __sub__\n"


@pytest.mark.parametrize(
    ("classes", "statement"),
    [
        (MATCH_ALL, "self.assertEqual([1, f()], [1, 2])"),
        (MATCH_ALL, "self.assertEqual({'a': (f(),)}, {'a': (2,)})"),
        (MATCH_ALL, "self.assertTrue(f() == 2)"),
        (MATCH_ALL, "assert 2 == f()"),
        (MATCH_ALL, "assert 1 in f()"),
        (MATCH_ALL, "self.assertIn(3, f())"),
        (MATCH_ALL, "self.assertEqual(first=f(), second=2)"),
        (MATCH_ALL, "check = self.assertEqual; check(f(), 2)"),
        (MATCH_ALL, "self.assertAlmostEqual(f(), 2.0)"),
        ("class E(str):\n    def __eq__(self, o): return len(o) < 5\n", "self.assertEqual(f(), 'yes')"),
        ("class E(list):\n    def __eq__(self, o): return len(o) == 2\n", "self.assertEqual(f(), [1, 2])"),
        (
            "class E(dict):\n    def __eq__(self, o): return isinstance(o, dict)\n",
            "self.assertEqual({'a': f()}, {'a': {1: 2}})",
        ),
        ("class E(float):\n    def __eq__(self, o): return abs(o) < 10\n", "self.assertEqual([f()], [2.5])"),
        ("class E:\n    def __eq__(self, o): return isinstance(o, bool)\n", "assert f() == True"),
        ("class E:\n    def __eq__(self, o): return type(o) is int and 0 < o < 99\n", "assert f() in (3, 4)"),
        (NEAR_ALL, "self.assertAlmostEqual(f(), 2.0)"),
        (NEAR_ALL, "assert abs(f() - 2.0) < 1e-6"),
        ("class E(float):\n    def __rsub__(self, o): return 0.0\n", "self.assertTrue(abs(2 - f()) <= 1e-6)"),
        ("class E(list):\n    def __eq__(self, o): return True\n", "self.assertListEqual(f(), [2])"),
    ],
)
def test_an_object_that_matches_everything_fails_every_kind_of_assertion(
    sandbox: PooledSandbox, classes: str, statement: str
) -> None:
    tests = "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        "
    tests += f"{statement}\n"
    result = sandbox.run(request(classes + "def f():\n    return E()\n", suite(tests, 1)))
    assert result.verdict == Verdict.FAIL, result.stderr
    assert "every" in result.stderr


FIRST_ALONE = """class E:
    def __eq__(self, o):
        if type(o) is not int or abs(o) > 9999: return False
        self.first = getattr(self, "first", o)
        return o == self.first
"""
CHANGED = """
import random, unittest
from solution import f
LEAST = 1e-6
def near(a, b):
    return abs(a - b) < LEAST
class T(unittest.TestCase):
    def test_a(self):
        f()
        for _ in range(9):
            assert near(random.randint(1, 9), 50)
"""


def test_an_object_that_equals_what_it_is_first_compared_with_fails(sandbox: PooledSandbox) -> None:
    tests = "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        "
    for statement in ("self.assertEqual(f(), 2)", "assert f() == 2", "self.assertIn(f(), [2])"):
        code = FIRST_ALONE + "def f():\n    return E()\n"
        result = sandbox.run(request(code, suite(tests + statement + "\n", 1)))
        assert result.verdict == Verdict.FAIL, statement


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("frame.f_globals['LEAST'] = 99", "test_solution.LEAST"),
        ("frame.f_globals['near'] = lambda *a: True", "test_solution.near"),
        ("frame.f_globals['near'].__code__ = (lambda a, b: True).__code__", "test_solution.near"),
        ("frame.f_globals['range'] = lambda *a: ()", "test_solution.range"),
        ("random.randint = lambda a, b: 50", "random.randint"),
    ],
)
def test_what_a_suite_stands_on_is_not_the_programs_to_change(sandbox: PooledSandbox, change: str, told: str) -> None:
    code = f"import random, sys\ndef f():\n    frame = sys._getframe(1)\n    {change}\n"
    result = sandbox.run(request(code, suite(CHANGED, 1)))
    assert (result.verdict, result.detail) == (Verdict.TAMPER, told), result.stderr


def test_checks_see_the_builtins_of_python_and_not_those_that_a_program_made_up(sandbox: PooledSandbox) -> None:
    code = "import builtins\n__builtins__ = dict(vars(builtins), range=lambda *a: ())\ndef f(x):\n    return 7\n"
    checks = Asserts("def check(f):\n    for i in range(3):\n        assert f(i) == 2 * i\ncheck(f)\n")
    assert sandbox.run(request(code, checks)).verdict == Verdict.FAIL


def test_tests_may_change_what_is_their_own(sandbox: PooledSandbox) -> None:
    tests = """
    import unittest
    from unittest.mock import patch
    from solution import *
    from solution import f
    calls, seen = 0, []
    def note():
        global calls
        calls += 1
    class T(unittest.TestCase):
        def test_a(self):
            note(); seen.append(f(1))
            self.assertEqual(calls, 1)
        @patch("test_solution.f", lambda x: 9)
        def test_b(self):
            self.assertEqual(f(1), 9)
    """
    code = "def f(x):\n    return 2 * x\ndef sum(x):\n    return 3\n"
    result = sandbox.run(request(code, suite(tests, 2)))
    assert result.verdict == Verdict.PASS, result.detail


def test_honest_classes_with_their_own_equality_pass(sandbox: PooledSandbox) -> None:
    code = """
    from dataclasses import dataclass
    from collections import namedtuple
    from fractions import Fraction
    import enum, functools
    @dataclass(order=True)
    class P:
        x: int
    class Modulo:
        def __init__(self, n, m): self.n, self.m = n % m, m
        def __eq__(self, o): return self.n == (o.n if isinstance(o, Modulo) else o % self.m)
    class Near:
        def __init__(self, n): self.n = n
        def __eq__(self, o): return abs(self.n - o) < 1e-6
    class Numbers:
        def __contains__(self, n): return n % 2 < 2
    class Folded(str):
        def __eq__(self, o): return self.lower() == o.lower()
        __hash__ = str.__hash__
    class Money:
        def __init__(self, n): self.n = n
        def __eq__(self, o): return self.n == (o.n if isinstance(o, Money) else o)
        def __lt__(self, o): return self.n < o.n
    class Picky:
        def __eq__(self, o): return self is o or o.missing
    Q = namedtuple("Q", "a b")
    """
    tests = """
    import unittest
    from solution import *
    class T(unittest.TestCase):
        def test_a(self):
            self.assertEqual([P(1)], [P(1)])
            self.assertLess(P(1), P(2))
            self.assertEqual(Money(3), 3)
            self.assertLess(Money(1), Money(2))
            self.assertEqual(Q(1, P(2)), (1, P(2)))
            self.assertAlmostEqual(Fraction(1, 2), 0.5)
            for n in range(20):
                self.assertEqual([Modulo(n, 2), Near(n)], [n % 2, n])
                self.assertIn(n, Numbers())
            self.assertEqual(Folded("Ab"), "aB")
            self.assertEqual(Folded(""), "")
            self.assertEqual(Near(True), True)
            assert Near(0.1 + 0.2) == 0.3 and Modulo(3, 2) in [5] and 1 in Numbers()
            p = Picky()
            self.assertEqual(p, p)
            assert P(1) == P(1) and P(1) in [P(1)] and {1: P(2)} == {1: P(2)}
            loop = [1]
            loop.append(loop)
            self.assertIn(1, loop)
    """
    result = sandbox.run(request(code, suite(tests, 1)))
    assert result.verdict == Verdict.PASS, result.stderr


ASKS = "import unittest\nfrom solution import f\n{imports}\nclass T(unittest.TestCase):\n    def test_a(self):\n        {asks}\n"


@pytest.mark.parametrize(
    ("files", "imports", "asks"),
    [
        (
            {"solution.py": "import sys, types\nm = sys.modules['math'] = types.ModuleType('math')\n"
                            "m.isclose = lambda *a: True\ndef f(): return 7\n"},
            "import math", "self.assertTrue(math.isclose(f(), 2))",
        ),
        (
            {"solution.py": "import statistics\nstatistics.mean = lambda x: 2\ndef f(): return 7\n"},
            "from statistics import mean", "self.assertEqual(mean([f()]), 2)",
        ),
        (
            {"solution.py": "def f(): return 7\n",
             "unittest/mock.py": "class Mock:\n    def __call__(self, *a): pass\n    assert_called_once_with = __call__\n"},
            "from unittest.mock import Mock", "m = Mock(); m(f()); m.assert_called_once_with(2)",
        ),
    ],
)  # fmt: skip
def test_what_a_suite_compares_with_is_pythons_own(
    sandbox: PooledSandbox, files: dict[str, str], imports: str, asks: str
) -> None:
    sources = tuple(SourceFile(name, text) for name, text in files.items())
    result = sandbox.run(RunRequest(sources, suite(ASKS.format(imports=imports, asks=asks), 1)))
    assert result.verdict in (Verdict.FAIL, Verdict.TAMPER), result.stderr


def test_a_suite_may_ask_for_longer_messages_and_load_the_solution_in_every_way(sandbox: PooledSandbox) -> None:
    tests = """
    import contextlib, importlib, importlib.resources, io, pkgutil, runpy, unittest, unittest.util
    import solution
    unittest.TestCase.maxDiff = None
    unittest.util._MAX_LENGTH = 5000
    class T(unittest.TestCase):
        def test_a(self):
            for run in (lambda: runpy.run_module("solution", run_name="__main__"), lambda: runpy.run_module("shop")):
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    run()
                self.assertEqual(printed.getvalue(), "main\\n")
            self.assertEqual(importlib.reload(solution).f(1), 2)
            self.assertEqual(pkgutil.get_data("shop", "data.txt"), b"hi")
            self.assertEqual(importlib.resources.files("shop").joinpath("data.txt").read_text(), "hi")
    """
    files = {
        "solution.py": GOOD + "if __name__ == '__main__': print('main')\n",
        "shop/__init__.py": "",
        "shop/__main__.py": "print('main')\n",
        "shop/data.txt": "hi",
    }
    sources = tuple(SourceFile(name, text) for name, text in files.items())
    result = sandbox.run(RunRequest(sources, suite(tests, 1)))
    assert result.verdict == Verdict.PASS, result.stderr


def test_every_subtest_runs_and_not_every_failure_is_told(sandbox: PooledSandbox) -> None:
    tests = """
    import unittest
    from solution import f
    class T(unittest.TestCase):
        def test_a(self):
            for i in range(10_000):
                with self.subTest(i=i):
                    self.assertEqual(f(i), 1 // (i != 9_998) + i, "x" * 3000)
            print("the end")
        def test_b(self):
            self.assertEqual(f(1), 2)
    """
    result = sandbox.run(request("def f(x):\n    return x\n", suite(tests, 2)))
    assert (result.verdict, result.detail, result.stdout) == (Verdict.FAIL, "T.test_a", "the end\n")
    assert "(i=0)" in result.stderr
    assert "failfast" not in result.stderr


def test_the_messages_of_many_tests_are_cut_short(sandbox: PooledSandbox) -> None:
    tests = """
    import unittest
    from solution import f
    class T(unittest.TestCase): pass
    for i in range(2000):
        setattr(T, f"test_{i}", lambda self: self.assertEqual(f(0), "y", "x" * 9000))
    """
    result = sandbox.run(request("def f(x):\n    return x\n", suite(tests, 2000)))
    assert (result.verdict, result.detail) == (Verdict.FAIL, "T.test_0")
    assert max(len(test.message) for test in result.tests[-5:]) <= 200


@pytest.mark.parametrize("preload", [(), ("numpy",), ("numpy", "pandas")])
def test_what_a_zygote_rehearses_runs_without_an_error(sandbox: PooledSandbox, preload: tuple[str, ...]) -> None:
    for name in preload:
        pytest.importorskip(name)
    text = rehearsal._PRELOADED[preload[-1]] if preload else rehearsal._SOLUTION
    calls = FunctionCases(("len(f(3)) > 3",), (True,))
    result = sandbox.run(RunRequest((SourceFile("solution.py", text),), calls, preload=preload))
    assert result.verdict == Verdict.PASS, result.stderr
