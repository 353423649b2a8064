"""What the tests of the sandbox build: requests, the standard tests in four forms, and rows of the tables of programs."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from iterpref.codeflow.sandbox.protocol import (
    Asserts,
    FunctionCases,
    Limits,
    RunRequest,
    RunResult,
    StdioCases,
    Tests,
)
from iterpref.schema import SourceFile, TestSuite, Verdict

LIMITS = Limits(wall_s=4.0, cpu_s=2.0, memory_mb=512, disk_mb=24, processes=16)
SHORT = replace(LIMITS, wall_s=0.8, cpu_s=0.4)  # for programs that run until somebody stops them

GOOD = "def f(x):\n    return 2 * x\n"
TESTS = """
import unittest
from solution import f

class TestF(unittest.TestCase):
    def test_doubles(self):
        self.assertEqual(f(2), 4)

    def test_zero(self):
        self.assertEqual(f(0), 0)
"""
# For a whole program: what reads the input and prints stands below the function.
MAIN = "\nimport sys as _sys\nfor _line in _sys.stdin:\n    print(f(int(_line)))\n"

SUITE, ASSERTS, CALLS, STDIO = KINDS = ("suite", "asserts", "calls", "stdio")
IN_PROCESS = (SUITE, ASSERTS, CALLS)  # where ending early is ending before the tests
JUDGED_INSIDE = (SUITE, ASSERTS)
JUDGED_OUTSIDE = (CALLS, STDIO)
FIRST_TEST = {SUITE: "TestF.test_doubles", ASSERTS: "asserts", CALLS: "case 0", STDIO: "case 0"}
NEVER_A_PASS = tuple(set(Verdict) - {Verdict.PASS, Verdict.FLAKY, Verdict.HARNESS_ERROR})


def suite(text: str = TESTS, n_tests: int = 2, name: str = "test_solution.py") -> TestSuite:
    return TestSuite((SourceFile(name, textwrap.dedent(text)),), "unittest", n_tests)


def request(
    code: str, tests: Tests | None = None, limits: Limits = LIMITS, coverage: bool = False, repeat: int = 1
) -> RunRequest:
    files = (SourceFile("solution.py", textwrap.dedent(code)),)
    return RunRequest(files, tests or suite(), limits, measure_coverage=coverage, repeat=repeat)


def in_f(body: str) -> str:
    """A solution whose `f` first does `body`, and is right otherwise."""
    return "def f(x):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n    return 2 * x\n"


def on_import(body: str) -> str:
    """A solution that first does `body`, and is right otherwise."""
    return textwrap.dedent(body).strip() + "\n" + GOOD


def standard_tests(kind: str) -> Tests:
    """f(2) == 4 and f(0) == 0, in one of the four forms."""
    return {
        SUITE: suite(),
        ASSERTS: Asserts("assert f(2) == 4\nassert f(0) == 0"),
        CALLS: FunctionCases(("f(2)", "f(0)"), (4, 0)),
        STDIO: StdioCases(("2\n0\n",), ("4\n0\n",)),
    }[kind]


Verdicts = Verdict | tuple[Verdict, ...]
Want = tuple[Verdicts, str]  # verdict, or those that are right, and a part of the detail


@dataclass(frozen=True)
class Program:
    """One row: a solution, the verdict that it must get, and where forms of tests differ, that of the form."""

    code: str
    verdict: Verdicts
    detail: str = ""  # a part of it; on FAIL by default the first test's name
    kinds: tuple[str, ...] = KINDS
    limits: Limits = LIMITS
    unlike: Mapping[str, Want] = field(default_factory=dict)  # kind -> what it gives instead

    def want(self, kind: str) -> Want:
        return self.unlike.get(kind, (self.verdict, self.detail))


@dataclass(frozen=True)
class Row:
    """One request with the result that it must get."""

    request: RunRequest
    want: Want


def rows(programs: Mapping[str, Program], planted: Mapping[str, str]) -> dict[str, Row]:
    """Every program with every form of tests it is for, as "name/kind". `planted`: what stands for `@NAME@` in a code."""
    found = {}
    for name, program in programs.items():
        code = textwrap.dedent(program.code)
        for key, value in planted.items():
            code = code.replace(f"@{key}@", value)
        for kind in program.kinds:
            text = code + (MAIN if kind == STDIO else "")
            verdicts, detail = program.want(kind)
            if not detail and verdicts == Verdict.FAIL:
                detail = FIRST_TEST[kind]
            made = request(text, standard_tests(kind), program.limits)
            found[f"{name}/{kind}"] = Row(made, (verdicts, detail))
    return found


def mismatch(result: RunResult, want: Want) -> str:
    """ "" if the result is what it must be, else what is wrong about it."""
    verdicts, detail = want
    allowed = (verdicts,) if isinstance(verdicts, Verdict) else verdicts
    wrong = ""
    if result.verdict not in allowed:
        wrong = f"expected {' or '.join(sorted(allowed))}"
    elif detail not in result.detail:
        wrong = f"expected {detail!r} in the detail"
    elif result.verdict == Verdict.PASS and result.n_fail != 0:
        wrong = f"{result.n_fail} tests failed in a PASS"
    said = f"got {result.verdict} {result.detail!r}, stdout {result.stdout[-300:]!r}, stderr {result.stderr[-900:]!r}"
    return f"{wrong}; {said}" if wrong else ""


AS_ROOT = os.geteuid() == 0
