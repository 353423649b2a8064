"""Hostile and unlucky programs, each with the verdict that it must get from the plain sandbox."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pytest

from iterpref.codeflow.sandbox.plain import PlainSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.schema import SourceFile, TestSuite, Verdict

LIMITS = Limits(wall_s=3.0, cpu_s=1.0, memory_mb=512, processes=16)
TESTS = """
import unittest
from solution import f

class TestF(unittest.TestCase):
    def test_doubles(self):
        self.assertEqual(f(2), 4)

    def test_zero(self):
        self.assertEqual(f(0), 0)
"""
GOOD = "def f(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PlainSandbox]:
    box = PlainSandbox(workers=2)
    yield box
    box.close()


def suite(text: str = TESTS, n_tests: int = 2, name: str = "test_solution.py") -> TestSuite:
    return TestSuite((SourceFile(name, textwrap.dedent(text)),), "unittest", n_tests)


def request(code: str, tests: TestSuite | None = None, limits: Limits = LIMITS, coverage: bool = False) -> RunRequest:
    files = (SourceFile("solution.py", textwrap.dedent(code)),)
    return RunRequest(files, tests or suite(), limits, coverage)


def in_f(body: str) -> str:
    """A solution whose `f` first does `body`, and is right otherwise."""
    return "def f(x):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n    return 2 * x\n"


PROGRAMS = {
    # Right and wrong.
    "correct": (GOOD, Verdict.PASS, ""),
    "wrong answer": ("def f(x):\n    return x + 2\n", Verdict.FAIL, "TestF.test_zero"),
    "raises": ("def f(x):\n    return 1 / 0\n", Verdict.ERROR, "ZeroDivisionError"),
    "raises once, wrong once": ("def f(x):\n    return 1 / x\n", Verdict.FAIL, "TestF.test_doubles"),
    "name missing": ("def g(x):\n    return x\n", Verdict.ERROR, "ImportError"),
    "raises on import": ("x = {}['a']\n", Verdict.ERROR, "KeyError"),
    "syntax error": ("def f(x:\n", Verdict.ERROR, "compile"),
    "NUL in the source": (GOOD + "\0", Verdict.ERROR, "compile"),
    "lone surrogate": (GOOD + "# \ud800", Verdict.ERROR, "compile"),
    "too deeply nested": ("f = " + "(" * 5000 + ")" * 5000, Verdict.ERROR, "compile"),
    "reads stdin": (in_f("input()"), Verdict.ERROR, "EOFError"),
    "deep recursion": ("def f(x):\n    return f(x) + 1\n", Verdict.ERROR, "RecursionError"),
    # Leaving early.
    "sys.exit": (in_f("import sys; sys.exit(0)"), Verdict.EARLY_EXIT, "SystemExit(0)"),
    "exit()": (in_f("exit()"), Verdict.EARLY_EXIT, "SystemExit(None)"),
    "SystemExit on import": ("raise SystemExit(3)\n", Verdict.EARLY_EXIT, "SystemExit(3)"),
    "os._exit": (in_f("import os; os._exit(0)"), Verdict.EARLY_EXIT, "exit status 0"),
    "os._exit on import": ("import os; os._exit(7)\n", Verdict.EARLY_EXIT, "exit status 7"),
    "another program": (in_f("import os; os.execv('/bin/sh', ['sh', '-c', ''])"), Verdict.EARLY_EXIT, "exit status 0"),
    "KeyboardInterrupt": (in_f("raise KeyboardInterrupt"), Verdict.ERROR, "KeyboardInterrupt"),
    "unittest.main on import": ("import unittest; unittest.main()\n", Verdict.EARLY_EXIT, "SystemExit"),
    # Signals.
    "segfault": (in_f("import ctypes; ctypes.string_at(0)"), Verdict.CRASH, "SIGSEGV"),
    "abort": (in_f("import os; os.abort()"), Verdict.CRASH, "SIGABRT"),
    "kills itself": (in_f("import os; os.kill(os.getpid(), 9)"), Verdict.CRASH, "SIGKILL"),
    # Cheating.
    "always equal": (
        "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(x):\n    return E()\n",
        Verdict.FAIL, "TestF.test_doubles",
    ),
    "returns mock.ANY": ("from unittest.mock import ANY\ndef f(x):\n    return ANY\n", Verdict.FAIL, "TestF"),
    "equal int": (
        "class I(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef f(x): return I(7)\n",
        Verdict.FAIL, "TestF.test_doubles",
    ),
    "weak proxy of an always equal object": (
        "import weakref\nclass E:\n    def __eq__(self, o): return True\ne = E()\ndef f(x): return weakref.proxy(e)\n",
        Verdict.FAIL, "TestF.test_doubles",
    ),
    "patches assertEqual": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 7\n",
        Verdict.TAMPER, "TestCase.assertEqual",
    ),
    "patches assertEqual's code": (
        "import unittest\nunittest.TestCase.assertEqual.__code__ = (lambda *a: None).__code__\ndef f(x): return 7\n",
        Verdict.ERROR, "ValueError",  # the code of a closure does not fit
    ),
    "patches the code below assertEqual": (
        "import unittest\nbelow = unittest.TestCase.assertEqual.__wrapped__\n"
        "below.__code__ = (lambda s, a, b, msg=None: None).__code__\ndef f(x): return 7\n",
        Verdict.TAMPER, "TestCase.assertEqual",
    ),
    "patches TestCase.run": (
        "import unittest\ndef run(self, result):\n    result.startTest(self)\n"
        "    result.addSuccess(self)\n    result.stopTest(self)\n"
        "unittest.TestCase.run = run\ndef f(x): return 7\n",
        Verdict.TAMPER, "TestCase.run",
    ),
    "patches the one test": (
        "import sys\ndef f(x):\n    sys._getframe(1).f_locals['self'].assertEqual = lambda *a: None\n    return 7\n",
        Verdict.TAMPER, "self.assertEqual",
    ),
    "patches the test's class": (
        "import sys\ndef f(x):\n    type(sys._getframe(1).f_locals['self']).assertEqual = print\n    return 7\n",
        Verdict.TAMPER, "TestF.assertEqual",
    ),
    "replaces a test method": (
        "import sys\ndef f(x):\n    type(sys._getframe(1).f_locals['self']).test_zero = lambda self: None\n"
        "    return 2 * x + x // 4\n",
        Verdict.TAMPER, "TestF.test_zero",
    ),
    "lends TestCase its own": (
        "import unittest\nclass Lax(unittest.TestCase):\n    def assertEqual(self, *a): pass\nunittest.TestCase = Lax\n"
        "def f(x): return 7\n",
        Verdict.TAMPER, "unittest.TestCase",
    ),
    "registers an equality": (
        "import sys\ndef f(x):\n    s = sys._getframe(1).f_locals['self']\n"
        "    s.addTypeEqualityFunc(int, lambda a, b, msg=None: None)\n    return 7\n",
        Verdict.TAMPER, "self.addTypeEqualityFunc",
    ),
    "swallows its fork bomb": (
        in_f("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"), Verdict.PROC_LIMIT, "processes",
    ),
    "patches abs": ("import builtins\nbuiltins.abs = lambda x: 0\n" + GOOD, Verdict.TAMPER, "builtins.abs"),
    "patches isclose": ("import math\nmath.isclose = lambda *a: True\n" + GOOD, Verdict.TAMPER, "math.isclose"),
    "patches the result's class": (
        """
        import sys
        def f(x):
            frame = sys._getframe(1)
            while "result" not in frame.f_locals:
                frame = frame.f_back
            type(frame.f_locals["result"]).addFailure = type(frame.f_locals["result"]).addSuccess
            return 7
        """,
        Verdict.ERROR, "TypeError",  # addSuccess does not take an exception, so that even this is seen
    ),
    "patches the result's class well": (
        """
        import sys
        def f(x):
            frame = sys._getframe(1)
            while "result" not in frame.f_locals:
                frame = frame.f_back
            kind = type(frame.f_locals["result"])
            kind.addFailure = lambda self, test, err: self.addSuccess(test)
            return 7
        """,
        Verdict.TAMPER, "Collector.addFailure",
    ),
    "calls addSuccess": (
        """
        import sys
        def f(x):
            frame = sys._getframe(1)
            while "result" not in frame.f_locals:
                frame = frame.f_back
            frame.f_locals["result"].addSuccess(frame.f_locals.get("self"))
            return 2 * x
        """,
        Verdict.TAMPER, "passed twice",
    ),
    "writes to every descriptor": (
        in_f("import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'PASS' * 9)\n    except OSError: pass"),
        Verdict.TAMPER, "report",
    ),
    "looks for the harness in __main__": ("import __main__\nf = __main__.CODES\n", Verdict.ERROR, "AttributeError"),
    "imports the harness": ("import _harness\n", Verdict.ERROR, "ModuleNotFoundError"),
    "skips": ("import unittest\ndef f(x):\n    raise unittest.SkipTest('no')\n", Verdict.FAIL, "skipped TestF.test_d"),
    "skips on import": ("import unittest\nraise unittest.SkipTest('no')\n", Verdict.ERROR, "SkipTest"),
    "prints a pass and leaves": (
        "import sys\nprint('OK\\nPASSED')\nprint('{\"verdict\": \"PASS\", \"nonce\": \"0\"}')\nsys.exit(0)\n",
        Verdict.EARLY_EXIT, "SystemExit(0)",
    ),
    "reads the tests": (in_f("open('test_solution.py')"), Verdict.ERROR, "FileNotFoundError"),
    "asks inspect for the tests": (
        in_f("import inspect, test_solution; inspect.getsource(test_solution)"), Verdict.ERROR, "OSError",
    ),
    # Limits.
    "busy loop": (in_f("while True: pass"), Verdict.TIMEOUT, "cpu"),
    "busy loop in C": (in_f("10 ** 10 ** 8"), Verdict.TIMEOUT, "cpu"),
    "ignores signals": (
        in_f("import signal\nfor s in (14, 15, 24): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"),
        Verdict.TIMEOUT, "cpu",
    ),
    "memory": (in_f("bytearray(4 << 30)"), Verdict.OOM, "memory"),
    "many small objects": (in_f("a = []\nwhile True: a.append(bytes(10**7))"), Verdict.OOM, "memory"),
    "too much stderr": ("import sys\nsys.stderr.write('x' * 300_000)\n" + GOOD, Verdict.OUTPUT_LIMIT, "stderr"),
    "endless stdout": ("while True: print('abc' * 100)\n", Verdict.OUTPUT_LIMIT, "stdout"),
    "a large file": (in_f("open('big', 'wb').write(bytes(1 << 20) * 80)"), Verdict.ERROR, "OSError"),
    "too many threads": (
        in_f("import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(9,)).start()"),
        Verdict.PROC_LIMIT, "processes",
    ),
    "fork bomb": (in_f("import os\nwhile True: os.fork()"), Verdict.PROC_LIMIT, "processes"),
    # Odd, and still right.
    "threads": (in_f("import threading\nt = threading.Thread(target=print)\nt.start(); t.join()"), Verdict.PASS, ""),
    "a child": (in_f("import subprocess\nassert subprocess.check_output(['echo', 'a']) == b'a\\n'"), Verdict.PASS, ""),
    "forks and returns": (in_f("import os\nos.fork()"), Verdict.PASS, ""),
    "closes its output": (in_f("import sys; sys.stdout.close()"), Verdict.PASS, ""),
    "a temporary file": (in_f("import tempfile\nwith tempfile.TemporaryFile() as t: t.write(b'a')"), Verdict.PASS, ""),
    "asyncio": (in_f("import asyncio\nasyncio.run(asyncio.sleep(0))"), Verdict.PASS, ""),
    "odd modules": (
        in_f("import json, decimal, sqlite3, hashlib, xml.dom.minidom, unittest.mock\n'a'.encode('cp1252')"),
        Verdict.PASS, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_gets_its_verdict(sandbox: PlainSandbox, name: str) -> None:
    code, verdict, detail = PROGRAMS[name]
    result = sandbox.run(request(code))
    assert (result.verdict, result.stderr[-600:] if result.verdict != verdict else "") == (verdict, "")
    assert result.detail.startswith(detail) or detail in result.detail
    assert result.tier == sandbox.tier
    assert (result.verdict == Verdict.PASS) == (result.n_pass == 2 and result.n_fail == 0)


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
def test_each_suite_gets_its_verdict(sandbox: PlainSandbox, name: str) -> None:
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
        (NEAR_ALL, "self.assertAlmostEqual(f(), 2.0)"),
        ("class E(list):\n    def __eq__(self, o): return True\n", "self.assertListEqual(f(), [2])"),
    ],
)
def test_an_object_that_matches_everything_fails_every_kind_of_assertion(
    sandbox: PlainSandbox, classes: str, statement: str
) -> None:
    tests = "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        "
    tests += f"{statement}\n"
    result = sandbox.run(request(classes + "def f():\n    return E()\n", suite(tests, 1)))
    assert result.verdict == Verdict.FAIL, result.stderr
    assert "every" in result.stderr


def test_honest_classes_with_their_own_equality_pass(sandbox: PlainSandbox) -> None:
    code = """
    from dataclasses import dataclass
    from collections import namedtuple
    from fractions import Fraction
    import enum, functools
    @dataclass(order=True)
    class P:
        x: int
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
            p = Picky()
            self.assertEqual(p, p)
            assert P(1) == P(1) and P(1) in [P(1)] and {1: P(2)} == {1: P(2)}
            loop = [1]
            loop.append(loop)
            self.assertIn(1, loop)
    """
    result = sandbox.run(request(code, suite(tests, 1)))
    assert result.verdict == Verdict.PASS, result.stderr
