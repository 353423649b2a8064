"""What goes into a sandbox and what comes out, whatever walls stand around the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Protocol

from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite, Verdict


@dataclass(frozen=True)
class Limits:
    """What one run may use. Raises `UserError` on a limit that is not positive."""

    wall_s: float = 10.0  # seconds on the wall clock; the backstop for a program that sleeps
    cpu_s: float = 5.0  # seconds of CPU time of one process, rounded up to whole seconds: the kernel's resolution
    memory_mb: int = 1024  # MiB of address space of one process
    output_kb: int = 256  # KiB that standard output, and apart from it standard error, may carry
    file_mb: int = 64  # MiB of one file
    processes: int = 32  # processes and threads together, the test process included

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not value > 0:
                raise UserError(f"sandbox limit {item.name}: expected a number above 0, got {value!r}")


@dataclass(frozen=True)
class RunRequest:
    """One version of a task on the task's frozen suite."""

    files: tuple[SourceFile, ...]  # the solution
    tests: TestSuite
    limits: Limits = Limits()
    measure_coverage: bool = False


@dataclass(frozen=True)
class TestOutcome:
    """One test method, or a class fixture that failed."""

    __test__ = False  # the name looks like a test class to pytest

    name: str  # "Class.test_method"; "module.Class.test_method" when the suite has several test files
    status: str  # pass | fail | error | skip; an expected failure counts as a fail
    message: str  # empty on a pass; else a traceback of the task's own frames, and the exception


@dataclass(frozen=True)
class RunResult:
    """A verdict with its evidence. All but `duration_ms` and `peak_memory_mb` repeats for a deterministic program."""

    verdict: Verdict
    detail: str  # the first failing test, the exception's type, the signal, the limit: one short phrase
    n_pass: int
    n_fail: int  # expected tests that did not pass, those that never ran included; 0 on HARNESS_ERROR
    tests: tuple[TestOutcome, ...]
    stdout: str
    stderr: str  # what a developer wants to read: a report of each failed test, then the program's own stderr
    duration_ms: float
    peak_memory_mb: float | None
    tier: str
    coverage: float | None  # share of the solution's executable lines that ran, in [0, 1]


class Sandbox(Protocol):
    """Runs untrusted programs. `run` may be called from any thread, and never raises on account of the program."""

    tier: str  # the kind of walls
    workers: int  # runs at once

    def run(self, request: RunRequest) -> RunResult:
        """One verdict; raises `UserError` when the test suite or the machine is at fault."""

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        """The verdicts in the order of the requests, `workers` at once; reads `requests` as it goes."""

    def close(self) -> None:
        """Ends every run that is still going on."""
