"""Hostile and unlucky programs, each with the verdict that it must get from the plain sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iterpref.codeflow.sandbox.plain import PlainSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.errors import UserError
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


def marked_processes(marker: str) -> list[int]:
    """Living processes that hold `marker` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if marker.encode() in (entry / "cmdline").read_bytes() and state != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


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
    "exec of another program": (in_f("import os; os.execv('/bin/true', ['true'])"), Verdict.EARLY_EXIT, "exit status 0"),
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
        "class I(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef f(x):\n    return I(7)\n",
        Verdict.FAIL, "TestF.test_doubles",
    ),
    "weak proxy of an always equal object": (
        "import weakref\nclass E:\n    def __eq__(self, other): return True\nE0 = E()\ndef f(x): return weakref.proxy(E0)\n",
        Verdict.FAIL, "TestF.test_doubles",
    ),
    "patches assertEqual": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 7\n", Verdict.TAMPER, "TestCase.assertEqual",
    ),
    "patches assertEqual's code": (
        "import unittest\nunittest.TestCase.assertEqual.__code__ = (lambda *a, **k: None).__code__\ndef f(x): return 7\n",
        Verdict.ERROR, "ValueError",  # the code of a closure does not fit
    ),
    "patches the code below assertEqual": (
        "import unittest\nunittest.TestCase.assertEqual.__wrapped__.__code__ = (lambda s, a, b, msg=None: None).__code__\n"
        "def f(x): return 7\n",
        Verdict.TAMPER, "TestCase.assertEqual",
    ),
    "patches TestCase.run": (
        "import unittest\nunittest.TestCase.run = lambda s, r: (r.startTest(s), r.addSuccess(s), r.stopTest(s))\ndef f(x): return 7\n",
        Verdict.TAMPER, "TestCase.run",
    ),
    "patches the one test": (
        "import sys\ndef f(x):\n    sys._getframe(1).f_locals['self'].assertEqual = lambda *a: None\n    return 7\n",
        Verdict.TAMPER, "self.assertEqual",
    ),
    "patches abs": ("import builtins\nbuiltins.abs = lambda x: 0\n" + GOOD, Verdict.TAMPER, "builtins.abs"),
    "patches math.isclose": ("import math\nmath.isclose = lambda *a, **k: True\n" + GOOD, Verdict.TAMPER, "math.isclose"),
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
        in_f('import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"verdict": "PASS"}\')\n    except OSError: pass'),
        Verdict.TAMPER, "report",
    ),
    "looks for the harness in __main__": ("import __main__\nf = __main__.CODES\n", Verdict.ERROR, "AttributeError"),
    "imports the harness": ("import _harness\n", Verdict.ERROR, "ModuleNotFoundError"),
    "skips": ("import unittest\ndef f(x):\n    raise unittest.SkipTest('no')\n", Verdict.FAIL, "skipped TestF.test_doubles"),
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
        in_f("import signal\nfor s in (14, 15, 24): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"), Verdict.TIMEOUT, "cpu",
    ),
    "memory": (in_f("bytearray(4 << 30)"), Verdict.OOM, "memory"),
    "many small objects": (in_f("a = []\nwhile True: a.append(' ' * 10**6)"), Verdict.OOM, "memory"),
    "endless stdout": ("while True: print('abc' * 100)\n", Verdict.OUTPUT_LIMIT, "stdout"),
    "a large file": (in_f("open('big', 'wb').write(bytes(1 << 20) * 80)"), Verdict.ERROR, "OSError"),
    "too many threads": (
        in_f("import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"),
        Verdict.PROC_LIMIT, "processes",
    ),
    "fork bomb": (in_f("import os\nwhile True: os.fork()"), Verdict.PROC_LIMIT, "processes"),
    # Odd, and still right.
    "200 kB of output": (in_f("print('x' * 199_999)") .replace("return", "if x:\n        print('y' * 50)\n    return"), Verdict.OUTPUT_LIMIT, "stdout"),
    "threads": (in_f("import threading\nt = threading.Thread(target=print)\nt.start(); t.join()"), Verdict.PASS, ""),
    "a child process": (in_f("import subprocess\nassert subprocess.check_output(['echo', 'a']) == b'a\\n'"), Verdict.PASS, ""),
    "forks and returns": (in_f("import os\nos.fork()"), Verdict.PASS, ""),
    "closes its output": (in_f("import sys; sys.stdout.close()"), Verdict.PASS, ""),
    "temporary files": (in_f("import tempfile\nwith tempfile.TemporaryFile() as t: t.write(b'a')"), Verdict.PASS, ""),
    "asyncio": (in_f("import asyncio\nasyncio.run(asyncio.sleep(0))"), Verdict.PASS, ""),
    "odd modules": (in_f("import json, decimal, sqlite3, hashlib, xml.dom.minidom, unittest.mock\n'a'.encode('cp1252')"), Verdict.PASS, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_gets_its_verdict(sandbox: PlainSandbox, name: str) -> None:
    code, verdict, detail = PROGRAMS[name]
    result = sandbox.run(request(code))
    assert (result.verdict, result.stderr[-600:] if result.verdict != verdict else "") == (verdict, "")
    assert result.detail.startswith(detail) or detail in result.detail
    assert result.tier == sandbox.tier
    assert (result.verdict == Verdict.PASS) == (result.n_pass == 2 and result.n_fail == 0)


def test_a_sleeper_is_stopped_within_half_a_second_of_its_limit_and_run_once_more(sandbox: PlainSandbox) -> None:
    limits = Limits(wall_s=1.0, cpu_s=1.0)
    started = time.monotonic()
    result = sandbox.run(request(in_f("import time; time.sleep(1000)"), limits=limits))
    elapsed = time.monotonic() - started
    assert (result.verdict, result.detail) == (Verdict.TIMEOUT, "wall")
    assert result.duration_ms < 1800
    assert 2.0 < elapsed < 4.0
    assert "in TestF.test_doubles" in result.stderr


def test_a_setsid_daemon_does_not_survive_and_the_verdict_stands(sandbox: PlainSandbox) -> None:
    daemon = """
    import os, sys
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["daemon-of-iterpref", "1000"])
        os._exit(0)
    os.wait()
    """
    result = sandbox.run(request(textwrap.dedent(daemon) + GOOD))
    assert result.verdict == Verdict.PASS, result.stderr
    assert marked_processes("daemon-of-iterpref") == []


def test_no_child_and_no_zombie_of_ours_is_left(sandbox: PlainSandbox) -> None:
    sandbox.run(request(in_f("import os\nif os.fork() == 0:\n    import time; time.sleep(1000)")))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert marked_processes("iterpref-run-") == []


def test_killing_its_parent_leaves_us_alive_and_gives_no_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request(in_f("import os; os.kill(os.getppid(), 9)")))
    # As root the program is another user and may not; else it ends its supervisor, and there is no verdict.
    assert (result.verdict, result.detail) == (Verdict.ERROR, "PermissionError") or result.verdict == "HARNESS_ERROR"


def test_endless_output_keeps_its_head(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("print('head')\nwhile True: print('x' * 1000)\n"))
    assert result.stdout.startswith("head\nxxx")
    assert len(result.stdout) == 256 * 1024


def test_two_hundred_kilobytes_of_output_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("print('x' * 200_000)\n" + GOOD))
    assert result.verdict == Verdict.PASS
    assert len(result.stdout) == 200_001


def test_bytes_written_straight_to_the_descriptors_are_captured_and_made_harmless(sandbox: PlainSandbox) -> None:
    code = "import os\nos.write(1, b'a\\xff\\x00\\x1b[31mb')\nos.write(2, b'err\\r\\n\\xfe')\n" + GOOD
    result = sandbox.run(request(code))
    assert result.verdict == Verdict.PASS
    assert result.stdout == "a\ufffd\\x00\\x1b[31mb"
    assert "err\n\ufffd" in result.stderr


def test_a_run_sees_nothing_of_the_run_before(sandbox: PlainSandbox) -> None:
    code = """
    import os, tempfile
    seen = os.path.exists("left") or os.environ.get("LEFT") or len(os.listdir()) != 1
    for path in ("left", "/tmp/left-by-a-sandbox-test") if os.getuid() >= 1 << 30 else ("left",):
        seen = seen or (path != "left" and os.path.exists(path))
        open(path, "w").close()
    os.environ["LEFT"] = "1"
    def f(x):
        assert not seen
        return 2 * x
    """
    results = [sandbox.run(request(code)) for _ in range(2)]
    assert [result.verdict for result in results] == [Verdict.PASS] * 2


def test_the_environment_is_ours_alone(sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    result = sandbox.run(request("import os\nprint(sorted(os.environ), os.environ['HOME'])\n" + GOOD))
    assert result.stdout == "['HOME', 'LANG', 'MALLOC_ARENA_MAX', 'PYTHONHASHSEED', 'TMPDIR', 'TZ'] .\n"


def test_the_folder_goes_even_when_the_program_made_it_unreadable(sandbox: PlainSandbox) -> None:
    code = """
    import os
    here = os.getcwd()
    os.makedirs("a/b"); open("a/b/c", "w").close()
    for _ in range(1500):
        os.mkdir("d"); os.chdir("d")
    os.chdir(here)
    os.chmod("a/b", 0); os.chmod("a", 0)
    """
    before = {path.name for path in sandbox._base.glob("iterpref-run-*")}
    result = sandbox.run(request(textwrap.dedent(code) + GOOD))
    assert result.verdict == Verdict.PASS, result.stderr
    assert {path.name for path in sandbox._base.glob("iterpref-run-*")} <= before


def test_an_infinite_recursion_without_a_limit_is_never_a_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x) + 1\n"))
    assert result.verdict in (Verdict.OOM, Verdict.CRASH, Verdict.TIMEOUT)


def test_a_deterministic_program_repeats_byte_for_byte(sandbox: PlainSandbox) -> None:
    code = """
    import os, random, tempfile, threading
    class A: pass
    print(random.random(), {"a", "b", "c"}, A(), os.getcwd(), threading.Thread(target=print))
    print(tempfile.mkdtemp())
    def f(x):
        raise ValueError(f"{A()} {__file__} {tempfile.mkdtemp()} {random.random()}")
    """

    def stable(result: RunResult) -> tuple[object, ...]:
        return tuple(v for k, v in vars(result).items() if k not in ("duration_ms", "peak_memory_mb"))

    first, second = (sandbox.run(request(code)) for _ in range(2))
    assert first.verdict == Verdict.ERROR
    assert stable(first) == stable(second)
    assert "<solution.A object at 0x...> ./solution.py ./tmp" in first.stderr


def test_the_report_shows_the_tasks_own_frames_with_their_source(sandbox: PlainSandbox) -> None:
    code = "import json\ndef f(x):\n    return json.loads('{')\n"
    result = sandbox.run(request(code))
    assert result.tests[0].message == textwrap.dedent("""\
        Traceback (most recent call last):
          File "test_solution.py", line 7, in test_doubles
            self.assertEqual(f(2), 4)
          File "solution.py", line 3, in f
            return json.loads('{')
        JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)""")
    assert result.stderr.count("ERROR: TestF.") == 2


SUITES = {
    "zero tests": ("import unittest, solution\n", 0, Verdict.PASS, ""),
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


MATCH_ALL = "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\n    def __contains__(self, o): return True\n"
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
    tests = f"import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        {statement}\n"
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


def test_coverage_is_the_share_of_executable_lines_that_ran(sandbox: PlainSandbox) -> None:
    code = '''
    """A module."""

    def f(x):
        """Doubles."""
        if x > 100:
            return None
        return 2 * x


    def unused():
        return 1
    '''
    # Executable: def, if, return None, return 2 * x, def, return 1. Run: 4 of these 6.
    result = sandbox.run(request(code, coverage=True))
    assert result.coverage == pytest.approx(4 / 6)
    assert sandbox.run(request(code)).coverage is None


def test_packages_data_files_and_names_of_standard_modules_work(sandbox: PlainSandbox) -> None:
    files = (
        SourceFile("shop/__init__.py", "from .queue import pop\n"),
        SourceFile("shop/queue.py", "def pop():\n    return open('data/a.txt').read()\n"),
        SourceFile("data/a.txt", "line\n"),
        SourceFile("pprint.py", "def show():\n    return 5\n"),
    )
    helper = SourceFile("tests/helper.py", "EXPECTED = 'line\\n'\n")
    case = "import unittest\nfrom shop import pop\nfrom pprint import show\nfrom tests.helper import EXPECTED\n"
    case += "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual((pop(), show()), (EXPECTED, 5))\n"
    tests = TestSuite((SourceFile("tests/test_shop.py", case), helper), "unittest", 1)
    result = sandbox.run(RunRequest(files, tests, LIMITS))
    assert result.verdict == Verdict.PASS, result.stderr
    assert result.tests[0].name == "tests.test_shop.T.test_a"


def test_run_many_keeps_the_order_and_reads_no_further_than_it_must(sandbox: PlainSandbox) -> None:
    drawn = []

    def requests() -> Iterator[RunRequest]:
        for i in range(100):
            drawn.append(i)
            yield request(GOOD if i % 2 else "def f(x):\n    return 1\n")

    results = sandbox.run_many(requests())
    assert [next(results).verdict for _ in range(4)] == [Verdict.FAIL, Verdict.PASS] * 2
    results.close()
    assert len(drawn) <= 8


def test_an_unknown_framework_is_the_users_to_mend(sandbox: PlainSandbox) -> None:
    with pytest.raises(UserError, match="expected 'unittest', got 'pytest'"):
        sandbox.run(RunRequest((), TestSuite((), "pytest", 1), LIMITS))


def test_a_closed_sandbox_ends_what_runs_and_gives_no_label() -> None:
    box = PlainSandbox(workers=1)
    results = box.run_many([request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=60))])
    import threading

    threading.Timer(1.0, box.close).start()
    started = time.monotonic()
    assert next(results).verdict == Verdict.HARNESS_ERROR
    assert time.monotonic() - started < 5
    assert box.run(request(GOOD)).verdict == Verdict.HARNESS_ERROR


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_death_of_the_parent_ends_its_runs() -> None:
    script = f"""
import json, sys
from iterpref.codeflow.sandbox.plain import PlainSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.schema import SourceFile, TestSuite
code = "import os, time\\nif os.fork() == 0: os.setsid()\\ntime.sleep(1000)"
tests = TestSuite((SourceFile("test_a.py", "import solution"),), "unittest", 1)
print("up", flush=True)
PlainSandbox(1).run(RunRequest((SourceFile("solution.py", code),), tests, Limits(wall_s=100)))
"""
    before = set(marked_processes("iterpref-run-"))
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    deadline = time.monotonic() + 10
    while len(set(marked_processes("iterpref-run-")) - before) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    ours = set(marked_processes("iterpref-run-")) - before
    assert len(ours) == 3  # the supervisor, the program and its child
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while ours & set(marked_processes("iterpref-run-")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not ours & set(marked_processes("iterpref-run-"))


def test_the_sandbox_needs_no_torch() -> None:
    code = "import sys, json\nimport iterpref.codeflow.sandbox.plain\nprint(json.dumps([m for m in sys.modules if m == 'torch']))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == []
