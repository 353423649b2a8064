# ruff: noqa: N802 (unittest chose the names)
"""What unittest reports to: every event goes out at once as a frame, and nothing is kept that could be rewritten."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from types import TracebackType

from . import wire
from .describe import MAX_CHARS, cause_of, describe
from .seals import Seals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_SUBTESTS = 20  # failures, and apart from them errors, of one test's subtests that are told
MOST_TEXT = 1 << 20  # characters of all messages together; those that come later are cut short
CUT = 100

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType]


class Collector:
    """The methods that `unittest.TestSuite` and `TestCase` call on a result. Without a `__dict__`: no method of one
    object can be replaced, and the class is under `Seals`."""

    # Those in camel case are unittest's own notes on class and module fixtures.
    __slots__ = (
        "_emit",
        "_left",
        "_long_names",
        "_moduleSetUpFailed",
        "_previousTestClass",
        "_seals",
        "_silent",
        "_sources",
        "_started",
        "_subtests",
        "_testRunEntered",
        "shouldStop",
    )
    failfast = False  # unittest asks after each subtest that failed

    def __init__(
        self,
        emit: Callable[..., None],
        sources: Mapping[str, tuple[str, str]],
        seals: Seals,
        long_names: bool,
    ) -> None:
        self._emit = emit
        self._sources = sources
        self._seals = seals
        self._long_names = long_names
        self._moduleSetUpFailed = False
        self._previousTestClass = None
        self._testRunEntered = False
        self.shouldStop = False
        self._silent = False
        self._started = 0.0
        self._left = MOST_TEXT
        self._subtests = [0, 0]  # those of the running test that raised, and that failed
        seals.add_voice(self, emit)

    def be_silent(self) -> None:
        """From now on only whether a test fails is of interest, not why."""
        self._silent = True

    def name(self, test: Any) -> str:
        """`Class.test_method`, with its module in front when the suite has several test files."""
        method = getattr(test, "_testMethodName", None)
        if method == "runTest" and type(test).__module__ not in sys.modules:
            return "asserts"  # free-form checks, which `entries` wraps into a test
        if method is None:
            return str(getattr(test, "description", test))  # a class or module fixture
        module = f"{type(test).__module__}." if self._long_names else ""
        return f"{module}{type(test).__qualname__}.{method}"

    def startTest(self, test: Any) -> None:
        self._subtests = [0, 0]
        self._emit(wire.START, self.name(test))
        self._started = perf_counter()

    def stopTest(self, test: Any) -> None:
        duration = microseconds_since(self._started)
        broken = self._seals.shadowed(test) or self._seals.broken(everything=False)
        if broken:
            self._emit(wire.TAMPER, broken)
        self._emit(wire.STOP, self.name(test), duration)

    def addSuccess(self, test: Any) -> None:
        self._emit(wire.PASS, self.name(test))

    def addFailure(self, test: Any, err: ErrorInfo) -> None:
        self._emit(wire.FAIL, self.name(test), self._text(err[1]))

    def addError(self, test: Any, err: ErrorInfo) -> None:
        error = err[1]
        if issubclass(type(error), SystemExit):
            self.leave_early(error)
        self.error(self.name(test), error)

    def error(self, name: str, error: BaseException) -> None:
        """Something raised, and what it belongs to goes on."""
        self._emit(wire.ERROR, name, type(error).__name__, self._text(error), cause_of(error))

    def addSubTest(self, test: Any, subtest: Any, err: ErrorInfo | None) -> None:
        if err is None:
            return
        error = err[1]
        failed = issubclass(type(error), test.failureException)
        self._subtests[failed] += 1
        if self._subtests[failed] > MOST_SUBTESTS and not issubclass(type(error), SystemExit):
            return
        if not failed:
            self.addError(test, err)
            return
        # `_subDescription` is how unittest itself names a subtest: "[message] (i=3)".
        self._emit(wire.FAIL, self.name(test), f"{subtest._subDescription()}\n{self._text(error)}")

    def addSkip(self, test: Any, reason: str) -> None:
        self._emit(wire.SKIP, self.name(test), f"skipped: {reason!s:.{MAX_CHARS}}")

    def addExpectedFailure(self, test: Any, err: ErrorInfo) -> None:
        self._emit(wire.FAIL, self.name(test), f"an expected failure is not a pass\n{self._text(err[1])}")

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._emit(wire.FAIL, self.name(test), "passed where a failure was expected")

    def addDuration(self, test: Any, elapsed: float) -> None:
        """Python 3.12 calls it; we take the time ourselves."""

    def leave_early(self, error: Any) -> None:
        """SystemExit ends the program as it would have without us: at once."""
        self._emit(wire.EXIT, f"SystemExit({error.code!r:.100})")
        flush()
        os._exit(0)

    def abort(self, error: BaseException) -> None:
        """An exception that no test holds: the run ends here."""
        if issubclass(type(error), SystemExit):
            self.leave_early(error)
        self._emit(wire.ABORT, type(error).__name__, self._text(error), cause_of(error))

    def _text(self, error: BaseException) -> str:
        if self._silent:
            return ""
        try:
            text = describe(error, self._sources)
        except Exception:  # no memory, or an exception that hides what it is
            return type(error).__name__
        text = text if self._left > 0 else text[:CUT]
        self._left -= len(text)
        return text


def microseconds_since(started: float) -> str:
    """For a STOP frame."""
    return str(int((perf_counter() - started) * 1e6))


def flush() -> None:
    """What the program printed must be in the pipes before we tell the end."""
    for name in ("stdout", "__stdout__", "stderr", "__stderr__"):
        try:
            getattr(sys, name).flush()
        except Exception:  # the task may have closed, replaced or deleted it
            continue
