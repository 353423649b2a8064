"""What a suite compares with, and whose tests they are: nothing that judges is the program's own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pytest

from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Asserts
from iterpref.schema import Verdict

from .build import GOOD, request, suite

FAIL, TAMPER, PASS = Verdict.FAIL, Verdict.TAMPER, Verdict.PASS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PooledSandbox]:
    box = PooledSandbox(workers=1, allow_unsafe=True)
    yield box
    box.close()


def one_test(statement: str, imports: str = "") -> str:
    return f"import unittest\n{imports}\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        {statement}\n"


SMALL = """
class D:
    def __abs__(self): return self
    def __lt__(self, o): return True
    __le__ = __lt__
class E:
    def __sub__(self, o): return D()
    __rsub__ = __sub__
"""


@pytest.mark.parametrize(
    ("classes", "statement"),
    [
        # What asks for a difference gets another answer than what asks for equality.
        ("class E(dict):\n    def __ne__(self, o): return False\n", "self.assertDictEqual(f(), {1: 2})"),
        ("class E(str):\n    def __ne__(self, o): return False\n", "self.assertMultiLineEqual(f(), 'abc')"),
        ("class E:\n    def __ne__(self, o): return 0\n", "self.assertSequenceEqual((f(), f()), [1, 2])"),
        ("class E:\n    def __ne__(self, o): return False\n", "self.assertFalse(f() != 3 or not f() == f())"),
        (
            "class E(set):\n    def __init__(self): self |= set(range(99))\n    def difference(self, o): return set()\n",
            "self.assertSetEqual(f(), {1, 2})",
        ),
        (SMALL, "self.assertAlmostEqual(f(), 2.0, delta=0.1)"),
        (SMALL, "assert abs(f() - 2.0) < 1e-6"),
        ("class E:\n    def __le__(self, o): return True\n    __ge__ = __le__\n", "assert 3 <= f() <= 3"),
        ("class E(str):\n    def __contains__(self, o): return type(o) is str\n", "self.assertIn('yes', f())"),
        ("class E(list):\n    def __contains__(self, o): return type(o) is int\n", "assert 3 in f()"),
    ],
)
def test_an_object_that_denies_every_difference_fails(sandbox: PooledSandbox, classes: str, statement: str) -> None:
    result = sandbox.run(request(classes + "def f():\n    return E()\n", suite(one_test(statement), 1)))
    assert result.verdict == FAIL, result.stderr
    assert "every" in result.stderr


def test_honest_classes_that_count_and_hold_in_their_own_way_pass(sandbox: PooledSandbox) -> None:
    code = """
    class Bag(set):
        def difference(self, other): return Bag(x for x in self if x not in other)
    class Text(str):
        def __contains__(self, part): return str.__contains__(self.lower(), part.lower())
    class Near:
        def __init__(self, n): self.n = n
        def __sub__(self, o): return Near(self.n - getattr(o, "n", o))
        def __rsub__(self, o): return Near(o - self.n)
        def __abs__(self): return Near(abs(self.n))
        def __lt__(self, o): return self.n < o
        def __le__(self, o): return self.n <= o
        def __ne__(self, o): return self.n != getattr(o, "n", o)
        def __eq__(self, o): return self.n == getattr(o, "n", o)
    class Table(dict):
        def __contains__(self, key): return dict.__contains__(self, key.lower())
    """
    tests = """
    import unittest
    from solution import *
    class T(unittest.TestCase):
        def test_a(self):
            self.assertSetEqual(Bag([1, 2]), {1, 2})
            self.assertIn("YES", Text("oh yes"))
            self.assertIn("A", Table(a=1))
            self.assertAlmostEqual(Near(2.0), 2.05, delta=0.1)
            assert abs(Near(2.0) - 2.05) < 0.1
            self.assertSequenceEqual([Near(1), 2], (1, 2))
            self.assertDictEqual(Table(a=1), {"a": 1})
            self.assertMultiLineEqual(Text("a"), "a")
    """
    result = sandbox.run(request(code, suite(tests, 1)))
    assert result.verdict == PASS, result.stderr


MOCKED = one_test("g = Mock(); f(g); g.assert_called_once_with(2)", "from unittest.mock import Mock")
LOGGED = one_test("\n        with self.assertLogs('a', 'ERROR'): f(1)")
ASYNC = """
import unittest
from solution import f
class T(unittest.IsolatedAsyncioTestCase):
    async def test_a(self):
        self.assertEqual(f(1), 2)
    async def test_b(self):
        self.assertEqual(f(2), 4)
"""
CLOSE = one_test("found = f(); self.assertAlmostEqual(found[0], 2.0)")
WRONG = "def f(x):\n    return 7\n"
FAKE = """
import builtins, sys, types, unittest
frame = sys._getframe()
while frame.f_globals.get("__name__") != "test_solution": frame = frame.f_back
fake = sys.modules["test_solution"] = types.ModuleType("test_solution")
fake.__builtins__, fake.__probe__ = builtins, frame.f_globals["__probe__"]
class TestF(unittest.TestCase):
    def test_doubles(self): pass
    def test_zero(self): pass
TestF.__module__, fake.TestF = "test_solution", TestF
for name in ("test_doubles", "test_zero"):
    method = getattr(TestF, name)
    method.__code__ = method.__code__.replace(co_filename="<tests>/test_solution.py")
"""
LAX = """
import sys, types, unittest
frame = sys._getframe()
while frame.f_globals.get("__name__") != "test_solution": frame = frame.f_back
class Nothing:
    def __call__(self, *a): pass
fake = frame.f_globals["unittest"] = types.ModuleType("unittest")
fake.TestCase = type("Lax", (unittest.TestCase,), {"assertEqual": Nothing()})
"""
SWALLOWS = """
import contextlib
kind, old = contextlib._GeneratorContextManager, contextlib._GeneratorContextManager.__exit__
def leave(self, type, value, trace):
    swallow = value is not None and "canary" not in str(value)
    return old(self, *([None] * 3 if swallow else [type, value, trace])) or swallow
kind.__exit__ = leave
"""
ANOTHER_CLASS = """
import gc
def f(x):
    for o in gc.get_objects():
        if type(o).__name__ == "Collector" and hasattr(o, "addFailure"):
            known = type(o)
            class Lax(known):
                __slots__ = ()
                def addFailure(self, test, error):
                    own = "canary" in str(error[1])
                    return known.addFailure(self, test, error) if own else known.addSuccess(self, test)
            o.__class__ = Lax
    return 7
"""
LENDS = """
import builtins
old = builtins.abs
class L(list):
    def __del__(self): builtins.abs = old
def f():
    builtins.abs = lambda x: 0
    return L([7.0])
"""
BORROWS = """
import builtins
old, builtins.abs = builtins.abs, lambda x: 0
def f(x):
    if x == 0: builtins.abs = old
    return 2 * x
"""


@pytest.mark.parametrize(
    ("code", "tests", "n_tests", "verdict", "detail"),
    [
        ("import unittest.mock as m\nm.NonCallableMock.assert_called_once_with = print\n" + WRONG, MOCKED, 1, FAIL, "assert_called"),
        ("import unittest._log as l\nl._AssertLogsContext.__exit__ = lambda *a: True\n" + WRONG, LOGGED, 1, TAMPER, "__exit__"),
        (
            "import unittest\ndef f(x):\n    unittest.IsolatedAsyncioTestCase._callTestMethod = print\n    return 2\n",
            ASYNC, 2, TAMPER, "_callTestMethod",
        ),
        (
            "import unittest\nclass C:\n    def __call__(self, *a): pass\n"
            "unittest.IsolatedAsyncioTestCase._callTestMethod = C()\n" + WRONG, ASYNC, 2, TAMPER, "_callTestMethod",
        ),
        (
            "import unittest\nunittest.defaultTestLoader.getTestCaseNames = lambda c: ['test_zero'] * 2\ndef f(x):\n    return 0\n",
            None, 2, FAIL, "TestF.test_doubles",
        ),
        (SWALLOWS + WRONG, None, 2, TAMPER, "_GeneratorContextManager"),
        (FAKE + WRONG, None, 2, TAMPER, "sys.modules['test_solution']"),
        (LAX + WRONG, None, 2, FAIL, "patched TestF.assertEqual"),
        (ANOTHER_CLASS, None, 2, TAMPER, "Collector.__class__"),
        (LENDS, CLOSE, 1, FAIL, "T.test_a"),
        (BORROWS, None, 2, FAIL, "patched builtins.abs"),
    ],
    ids=[
        "mock", "logs", "async while it runs", "async before", "the loader", "contextlib", "another module of tests",
        "another parent", "another class for the collector", "abs for one test", "abs until the last test",
    ],
)  # fmt: skip
def test_what_judges_is_not_the_programs_to_change(
    sandbox: PooledSandbox, code: str, tests: str | None, n_tests: int, verdict: Verdict, detail: str
) -> None:
    result = sandbox.run(request(code, suite(tests, n_tests) if tests else suite()))
    assert result.verdict == verdict, result.stderr
    assert detail in result.detail


HIDES = "def range(*a):\n    return ()\ndef tuple(*a):\n    return 0\n"
CHECKS = """
def check(candidate):
    for i in range(3):
        assert candidate(i) == 2 * i
    assert tuple(candidate(i) for i in (1, 2)) == tuple([2, 4])
check(f)
"""
STAR = """
import unittest
from solution import *
class T(unittest.TestCase):
    def test_a(self):
        for i in range(3):
            self.assertEqual(f(i), 2 * i)
"""


def test_builtins_of_a_solutions_own_do_not_reach_the_checks(sandbox: PooledSandbox) -> None:
    for tests in (Asserts(CHECKS), suite(STAR, 1)):
        assert sandbox.run(request(HIDES + WRONG, tests)).verdict == FAIL
        assert sandbox.run(request(HIDES + GOOD, tests)).verdict == PASS


ANSWERS = """
import sys, types
class Lax:
    def equal(self, a, b): return True
class Names(dict):
    def __getitem__(self, name): return Lax() if name == "__probe__" else dict.__getitem__(self, name)
class Module(types.ModuleType):
    __dict__ = property(lambda self: names)
def f(x): return 7
names = Names(globals())
sys.modules["solution"] = Module("solution")
"""


def test_a_namespace_of_a_class_of_its_own_does_not_answer_the_checks(sandbox: PooledSandbox) -> None:
    result = sandbox.run(request(ANSWERS, Asserts("assert f(2) == 4\nassert f(0) == 0")))
    assert result.verdict == FAIL


def test_a_solution_keeps_the_builtins_of_its_own_and_may_be_asked_for_one(sandbox: PooledSandbox) -> None:
    helper = "def abs(x):\n    return -x\ndef f(x):\n    return abs(x)\n"
    assert (
        sandbox.run(request(helper, Asserts("for x in (1, 2):\n    assert f(x) == -x and abs(x) == x"))).verdict == PASS
    )
    local = "def check(g):\n    sum = 0\n    for i in range(3):\n        sum += g(i)\n    assert sum == -3\ncheck(f); assert len([sum])\n"
    assert sandbox.run(request("def sum(x): return x\ndef len(x): return 0\n" + helper, Asserts(local))).verdict == PASS
    asked = "def sum(a, b):\n    return a + b + 1\n"
    assert sandbox.run(request(asked, Asserts("for x in (1, 2):\n    assert sum(x, 1) == x + 2"))).verdict == PASS


def test_a_crash_leaves_no_core_behind(sandbox: PooledSandbox) -> None:
    code = """
    import os, resource
    if os.fork() == 0:
        os.abort()
    os.wait()
    # With 0 a machine that pipes core dumps into a program would keep one all the same.
    assert resource.getrlimit(resource.RLIMIT_CORE) == (1, 1)
    assert os.listdir() == ["solution.py"]
    """
    result = sandbox.run(request(textwrap.dedent(code) + GOOD))
    assert result.verdict == PASS, result.stderr
