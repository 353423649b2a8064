"""What goes into a sandbox and what comes out, whatever walls stand around the program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from iterpref.codeflow.sandbox.compare import Lines, Values
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite, Verdict

EXACT, LINES = Values(), Lines()


@dataclass(frozen=True)
class Limits:
    """What one run may use. Raises `UserError` on a limit that is not positive."""

    wall_s: float = 10.0  # seconds on the wall clock, those that it waited for a busy core not counted; the backstop
    cpu_s: float = 5.0  # seconds of CPU time of all its processes together
    memory_mb: int = 1024  # MiB of memory of one process, beyond what the interpreter itself takes
    output_kb: int = 256  # KiB that standard output, and apart from it standard error, may carry
    disk_mb: int = 64  # MiB of all files together; where there is no file system of its own, of one file
    processes: int = 32  # processes and threads together, the test process included

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not value > 0:
                raise UserError(f"sandbox limit {item.name}: expected a number above 0, got {value!r}")


@dataclass(frozen=True)
class Asserts:
    """Free-form checks: `setup`, then `code`, run after the solution's first file in one namespace with it.

    Counts as one test. Judged inside the program's own process, so it is the weaker kind of evidence; `cases.split`
    turns checks of the form `assert f(x) == literal` into `FunctionCases`, which are judged outside.
    """

    code: str
    setup: str = ""


@dataclass(frozen=True)
class FunctionCases:
    """Calls of functions of the solution's first file; the expected values never enter the sandbox.

    Each of `calls` is an expression (`"f(2)"`), evaluated in the solution's namespace after `setup`, or a tuple of
    plain values: the positional arguments of `function`. `expected=None` only asks for the values
    (`RunResult.values`): every call that returns has passed. Raises `UserError` where the lengths differ.
    """

    calls: tuple[str | tuple[Any, ...], ...]
    expected: tuple[Any, ...] | None
    function: str = ""
    setup: str = ""
    # (value, expected) -> "" if they agree, else what differs in one line
    compare: Callable[[Any, Any], str] = EXACT

    def __post_init__(self) -> None:
        if self.expected is not None and len(self.expected) != len(self.calls):
            raise UserError(
                f"function cases: expected one value a call, got {len(self.expected)} for {len(self.calls)}"
            )
        if not self.function and not all(isinstance(call, str) for call in self.calls):
            raise UserError("function cases: calls by arguments need the name of the function, got function=''")


@dataclass(frozen=True)
class StdioCases:
    """The solution's first file as a program: each of `inputs` on a standard input of its own, in a run of its own.

    The limits hold for each case. Raises `UserError` where the lengths differ.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    compare: Callable[[str, str], str] = LINES  # (printed, expected) -> "" or what differs

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.outputs):
            raise UserError(
                f"stdio cases: expected one output an input, got {len(self.outputs)} for {len(self.inputs)}"
            )


Tests = TestSuite | Asserts | FunctionCases | StdioCases


def n_tests(tests: Tests) -> int:
    """How many tests must run."""
    if isinstance(tests, TestSuite):
        return tests.n_tests
    if isinstance(tests, Asserts):
        return 1
    return len(tests.calls if isinstance(tests, FunctionCases) else tests.inputs)


@dataclass(frozen=True)
class RunRequest:
    """One version of a task on the task's frozen tests."""

    files: tuple[SourceFile, ...]  # the solution
    tests: Tests
    limits: Limits = Limits()
    measure_coverage: bool = False  # of a unittest suite
    preload: tuple[str, ...] = ()  # modules that are imported before the run starts, such as ("numpy", "pandas")
    repeat: int = 1  # runs, of which the first counts; FLAKY if they disagree (what meets a limit is not run again)


@dataclass(frozen=True)
class TestOutcome:
    """One test method, a class fixture that failed, or one case."""

    __test__ = False  # the name looks like a test class to pytest

    name: str  # "Class.test_method" ("module.Class.test_method" with several test files), "case 3", "asserts"
    status: str  # pass | fail | error | skip; an expected failure counts as a fail
    message: str  # empty on a pass; else a traceback of the task's own frames, and the exception
    duration_ms: float = field(default=0.0, compare=False)  # as the test process tells; two runs never agree on it


@dataclass(frozen=True)
class RunResult:
    """A verdict with its evidence. All but the last five fields repeats for a deterministic program."""

    verdict: Verdict
    detail: str  # the first failing test, the exception's type, the signal, the limit: one short phrase
    n_pass: int
    n_fail: int  # expected tests that did not pass, those that never ran included; 0 on HARNESS_ERROR
    tests: tuple[TestOutcome, ...] = ()
    stdout: str = ""
    stderr: str = ""  # what a developer wants to read: a report of each failed test, then the program's own stderr
    judged: str = "outside"  # by data that left the sandbox; "inside": by asserts in the program's own process
    values: tuple[Any, ...] | None = None  # what the calls of `FunctionCases` returned, as far as they came; else None
    coverage: float | None = None  # share of the solution's executable lines that ran, in [0, 1]
    tier: str = ""
    duration_ms: float = 0.0  # of the program, its start and end; waiting for a free worker not counted
    cpu_ms: float = 0.0  # CPU time of all its processes
    waited_ms: float = 0.0  # time that it was ready to run and had no core: the machine's load; seen every 50 ms
    peak_memory_mb: float | None = None


class Sandbox(Protocol):
    """Runs untrusted programs. `run` may be called from any thread, and never raises on account of the program."""

    tier: str  # the kind of walls
    workers: int  # runs at once

    def run(self, request: RunRequest) -> RunResult:
        """One verdict; raises `UserError` when the tests or the machine are at fault."""

    def arun(self, request: RunRequest) -> asyncio.Future[RunResult]:
        """The same for a caller on an event loop; to be called with a running loop."""

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        """The verdicts in the order of the requests, `workers` at once; reads `requests` as it goes."""

    def close(self) -> None:
        """Ends every run that is still going on."""
