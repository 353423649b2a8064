"""Reads the frames of one run in order: what happened, test by test, and whether anybody but the collector told it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from iterpref.codeflow.sandbox.child import tagged, untagged, wire
from iterpref.codeflow.sandbox.protocol import TestOutcome
from iterpref.codeflow.sandbox.report import clean

# What the collector says of the four forms of tests. A program that judges its own values has found out how to speak in
# the collector's name.
INSIDE = frozenset((
    wire.READY, wire.COMPILE, wire.ABORT, wire.EXIT, wire.START, wire.STOP, wire.PASS, wire.FAIL, wire.ERROR, wire.SKIP, wire.TAMPER,
    wire.CANARIES, wire.DONE,
))  # fmt: skip
CALLS = INSIDE - {wire.PASS, wire.FAIL, wire.SKIP, wire.TAMPER} | {wire.VALUE}  # whose values are judged here
PROGRAM = frozenset({wire.READY, wire.COMPILE, wire.ABORT})  # whose output is

NAME_CHARS = 300  # of a test, an exception's class or a reason: programs choose them
MAX_US = 10**12  # of one test: eleven days
RANK = {"fail": 3, "error": 2, "skip": 1, "pass": 0}  # one test may tell several outcomes: the first of these counts


@dataclass
class Story:
    """What the frames of a run say."""

    tests: list[TestOutcome] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)  # what the calls returned, as far as they came
    ready: bool = False
    done: bool = False
    coverage: float | None = None
    compile_error: str = ""
    abort: tuple[str, str, str] | None = None  # kind, message, cause
    exit: str = ""
    tamper: str = ""
    causes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)  # types of the exceptions that tests raised
    running: str = ""
    n_fixtures: int = 0  # outcomes of class and module fixtures, which are no tests


def read(
    report: dict[str, Any], folder: str, kinds: Set[str], n_canaries: int, judge_value: Callable[[int, Any], str]
) -> Story:
    """`kinds`: frames that this form of tests may have. `judge_value(i, value)` says "" for a value that call `i` should
    have, else what differs. Anything that the collector would not have said in this order is tampering."""
    reader = _Reader(folder, kinds, n_canaries, judge_value)
    if report["forged"]:
        reader.story.tamper = "report"
    try:
        for kind, *values in report["frames"]:
            reader.frame(kind, values)
            if reader.story.tamper == "report":
                break  # nothing that follows is worth anything
    except (IndexError, KeyError, ValueError, RecursionError, MemoryError):
        reader.story.tamper = "report"  # frames with the token that lack what the collector puts into them
    return reader.story


def _value_of(text: str, decoder: untagged.Decoder) -> Any:
    """What cannot be read equals nothing: an odd table, or what somebody else wrote in our name."""
    try:
        if text.count("[") + text.count("{") > tagged.MAX_CHARS:  # each costs us many times its own size
            raise ValueError("more brackets than a value may have characters")
        return decoder.decode(json.loads(text))
    except Exception as error:
        return tagged.Opaque("value", f"<a value that cannot be read: {type(error).__name__}: {error!s:.200}>")


def _number(text: str, most: int) -> int:
    """A count that the collector told; raises ValueError for what it cannot have told."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))) or int(text) > most:
        raise ValueError("not a count")
    return int(text)


class _Reader:
    def __init__(self, folder: str, kinds: Set[str], n_canaries: int, judge_value: Callable[[int, Any], str]) -> None:
        self.story = Story()
        self._folder, self._kinds, self._n_canaries, self._judge_value = folder, kinds, n_canaries, judge_value
        self._decoder = untagged.Decoder()
        self._outcomes: list[tuple[str, str]] = []
        self._canaries: list[str] | None = None

    def frame(self, kind: str, values: Sequence[str]) -> None:
        story = self.story
        if story.done or (kind == wire.READY) == story.ready or kind not in self._kinds:
            self._suspect("report")
        elif kind == wire.READY:
            story.ready = True
        elif kind == wire.START and not story.running:
            story.running, self._outcomes = values[0][:NAME_CHARS], []
        elif kind == wire.STOP and story.running:
            self._stop(_number(values[1], MAX_US) / 1000)
        elif kind == wire.VALUE and story.running:
            self._value(_number(values[0], MAX_US), values[1])
        elif kind in (wire.PASS, wire.FAIL, wire.SKIP, wire.ERROR):
            self._outcome(kind, values)
        elif kind == wire.CANARIES and not story.running:
            self._canaries = []
        elif kind == wire.DONE and self._canaries is not None:
            self._end(values)
        elif kind == wire.COMPILE:
            story.compile_error = values[0]
        elif kind == wire.ABORT:
            story.abort = (values[0][:NAME_CHARS], values[1], values[2])
        elif kind == wire.EXIT:
            story.exit = values[0][:NAME_CHARS]
        else:
            self._suspect(values[0][:NAME_CHARS] if kind == wire.TAMPER else "report")

    def _suspect(self, what: str) -> None:
        self.story.tamper = self.story.tamper or what

    def _outcome(self, kind: str, values: Sequence[str]) -> None:
        story = self.story
        if kind == wire.ERROR and self._canaries is None:
            story.kinds.append(values[1][:NAME_CHARS])
            story.causes.append(values[3])
        outcome = (kind, "" if kind == wire.PASS else values[2 if kind == wire.ERROR else 1])
        if story.running:
            self._outcomes.append(outcome)
        elif kind == wire.PASS:
            self._suspect("report")
        else:
            story.n_fixtures += 1
            story.tests.append(self._test(values[0], kind, outcome[1]))

    def _value(self, i: int, text: str) -> None:
        if i != len(self.story.values) + len(self.story.kinds):
            raise ValueError("values out of order")
        value = _value_of(text, self._decoder)
        self.story.values.append(value)
        difference = self._judge_value(i, value)
        self._outcomes.append((wire.FAIL, difference) if difference else (wire.PASS, ""))

    def _stop(self, duration_ms: float) -> None:
        story, statuses = self.story, [status for status, _ in self._outcomes]
        status = max(statuses, key=RANK.__getitem__, default="error")
        message = "\n".join(text for _, text in self._outcomes if text) if statuses else "ended without an outcome"
        if self._canaries is not None:
            self._canaries.append(status)
        else:
            story.tests.append(self._test(story.running, status, message[:2000], duration_ms))
        if statuses.count("pass") > 1:
            self._suspect(f"{story.running} passed twice")
        story.running = ""

    def _end(self, values: Sequence[str]) -> None:
        self.story.done = True
        if self._canaries != ["fail"] * self._n_canaries:
            self._suspect("a test that must fail passed")
        if values and (n_lines := _number(values[1], MAX_US)):
            self.story.coverage = _number(values[0], n_lines) / n_lines

    def _test(self, name: str, status: str, message: str, duration_ms: float = 0.0) -> TestOutcome:
        return TestOutcome(clean(name[:NAME_CHARS], self._folder), status, clean(message, self._folder), duration_ms)
