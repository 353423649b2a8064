"""From the child's report to a verdict. The rules, first match wins:

HARNESS_ERROR  the walls did not stand before the task's first line
TAMPER         frames that are not the collector's, or out of order
OUTPUT_LIMIT   a stream went over its limit; tests are then not listed, as how far they came is chance
PROC_LIMIT     killed at the wall limit with all allowed processes alive
TIMEOUT        killed at the CPU or the wall limit
ERROR          a file does not compile
EARLY_EXIT     SystemExit, or the process ended by itself before its last test
CRASH          killed by a signal
(exception outside the tests)  OOM, PROC_LIMIT or ERROR
TAMPER         a judge was replaced, or a test that must fail did not
OOM, PROC_LIMIT  some test met the limit
FAIL           some assertion was wrong, or a test was skipped; also if other tests raised
ERROR          some test raised
FAIL           more or fewer tests ran than the suite has
PASS
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from iterpref.codeflow.sandbox.child import wire
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, TestOutcome
from iterpref.codeflow.sandbox.report import clean, failures
from iterpref.schema import Verdict

RANK = {"fail": 3, "error": 2, "skip": 1, "pass": 0}  # one test may tell several outcomes: the first of these counts


@dataclass
class Story:
    """The frames of one run, read in order."""

    tests: list[TestOutcome] = field(default_factory=list)
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


def judge(request: RunRequest, report: dict[str, Any], folder: str, duration_ms: float, tier: str) -> RunResult:
    """The verdict on one report of a child; pure."""
    story = read(report["frames"], report["n_canaries"], report["forged"], folder)
    verdict, detail = decide(request, report, story)
    detail = clean(detail, folder)
    tests = () if verdict == Verdict.OUTPUT_LIMIT else tuple(story.tests)
    n_pass = sum(test.status == "pass" for test in tests)
    if verdict in (Verdict.TAMPER, Verdict.HARNESS_ERROR):
        n_pass = 0
    expected = 0 if verdict == Verdict.HARNESS_ERROR else request.tests.n_tests
    own = clean(report["stderr"], folder) if verdict != Verdict.OUTPUT_LIMIT else ""
    return RunResult(
        verdict=verdict,
        detail=detail,
        n_pass=min(n_pass, expected),
        n_fail=max(expected - n_pass, 0),
        tests=tests,
        stdout=clean(report["stdout"], folder),
        stderr=failures(tests, _headline(verdict, detail, story, request.limits, folder), own),
        duration_ms=duration_ms,
        peak_memory_mb=report["peak_mb"],
        tier=tier,
        coverage=story.coverage,
    )


def read(frames: list[list[str]], n_canaries: int, forged: bool, folder: str) -> Story:
    """Outcomes of the tests; anything that the collector would not have said in this order is tampering."""
    story = Story(tamper="report" if forged else "")
    try:
        _read_frames(story, frames, n_canaries, folder)
    except (IndexError, KeyError, ValueError):
        story.tamper = "report"  # frames with the token that lack what the collector puts into them
    return story


def _read_frames(story: Story, frames: list[list[str]], n_canaries: int, folder: str) -> None:
    outcomes: list[tuple[str, str]] = []
    canaries: list[str] | None = None
    for kind, *values in frames:
        if story.done or (kind == wire.READY) == story.ready:
            story.tamper = story.tamper or "report"
        if kind == wire.READY:
            story.ready = True
        elif kind == wire.START and not story.running:
            story.running, outcomes = values[0], []
        elif kind == wire.STOP and story.running:
            status, message = _one(outcomes)
            if canaries is not None:
                canaries.append(status)
            else:
                story.tests.append(TestOutcome(clean(story.running, folder), status, clean(message, folder)))
            if [status for status, _ in outcomes].count("pass") > 1:
                story.tamper = story.tamper or f"{story.running} passed twice"
            story.running = ""
        elif kind in (wire.PASS, wire.FAIL, wire.SKIP, wire.ERROR):
            if kind == wire.ERROR and canaries is None:
                story.kinds.append(values[1])
                story.causes.append(values[3])
            outcome = (kind, "" if kind == wire.PASS else values[2 if kind == wire.ERROR else 1])
            if story.running:
                outcomes.append(outcome)
            elif kind == wire.PASS:
                story.tamper = story.tamper or "report"
            else:
                story.n_fixtures += 1
                story.tests.append(TestOutcome(clean(values[0], folder), kind, clean(outcome[1], folder)))
        elif kind == wire.CANARIES and not story.running:
            canaries = []
        elif kind == wire.DONE and canaries is not None:
            story.done = True
            if canaries != ["fail"] * n_canaries:
                story.tamper = story.tamper or "a test that must fail passed"
            if values and int(values[1]):
                story.coverage = int(values[0]) / int(values[1])
        else:
            _read_end(story, kind, values)


def _read_end(story: Story, kind: str, values: list[str]) -> None:
    if kind == wire.COMPILE:
        story.compile_error = values[0]
    elif kind == wire.ABORT:
        story.abort = (values[0], values[1], values[2])
    elif kind == wire.EXIT:
        story.exit = values[0]
    else:
        story.tamper = story.tamper or (values[0] if kind == wire.TAMPER else "report")


def _one(outcomes: list[tuple[str, str]]) -> tuple[str, str]:
    """One status and message for a test with subtests, or with an error in its tearDown."""
    if not outcomes:
        return "error", "ended without an outcome"
    status = max((status for status, _ in outcomes), key=RANK.__getitem__)
    return status, "\n".join(message for _, message in outcomes if message)[:2000]


def decide(request: RunRequest, report: dict[str, Any], story: Story) -> tuple[Verdict, str]:
    """Verdict and detail, by the rules above."""
    limits = request.limits
    if not story.ready:
        words = f"exit {report['exit']}, signal {report['signal']}, {report['stderr'][-300:]}"
        return Verdict.HARNESS_ERROR, f"the test process ended before the run: {words}"
    if report["killed"] in ("cancelled", "orphan"):
        return Verdict.HARNESS_ERROR, report["killed"]
    if story.tamper == "report":
        return Verdict.TAMPER, "report"
    if report["exceeded"]:
        return Verdict.OUTPUT_LIMIT, report["exceeded"][0]
    if report["killed"] == "wall":
        if report["processes"] >= limits.processes - 1:
            return Verdict.PROC_LIMIT, "processes"
        return Verdict.TIMEOUT, "wall"
    if report["signal"]:
        return _killed(report, limits)
    if story.compile_error:
        return Verdict.ERROR, "compile"
    if story.exit or not (story.done or story.abort):
        return Verdict.EARLY_EXIT, story.exit or f"exit status {report['exit']}"
    if story.abort is not None:
        kind, _, cause = story.abort
        return _BY_CAUSE.get(cause, (Verdict.ERROR, kind))
    return _finished(request, story)


_BY_CAUSE = {wire.MEMORY: (Verdict.OOM, "memory"), wire.PROCESSES: (Verdict.PROC_LIMIT, "processes")}


def _killed(report: dict[str, Any], limits: Limits) -> tuple[Verdict, str]:
    number = report["signal"]
    if number in (signal.SIGKILL, signal.SIGXCPU) and report["cpu_s"] >= limits.cpu_s - 0.1:
        return Verdict.TIMEOUT, "cpu"
    try:
        return Verdict.CRASH, signal.Signals(number).name
    except ValueError:
        return Verdict.CRASH, f"signal {number}"


def _finished(request: RunRequest, story: Story) -> tuple[Verdict, str]:
    if story.tamper:
        return Verdict.TAMPER, story.tamper
    for cause, result in _BY_CAUSE.items():
        if cause in story.causes:
            return result
    first = next((test for test in story.tests if test.status in ("fail", "skip")), None)
    if first is not None:
        return Verdict.FAIL, first.name if first.status == "fail" else f"skipped {first.name}"
    if story.kinds:
        return Verdict.ERROR, story.kinds[0]
    n_run = len(story.tests) - story.n_fixtures
    if n_run != request.tests.n_tests:
        return Verdict.FAIL, f"{n_run} tests ran, expected {request.tests.n_tests}"
    if any(test.status != "pass" for test in story.tests):
        return Verdict.ERROR, "ended without an outcome"
    return Verdict.PASS, ""


def _headline(verdict: Verdict, detail: str, story: Story, limits: Limits, folder: str) -> str:
    """What no single test says."""
    where = f" in {clean(story.running, folder)}" if story.running else " outside of the tests"
    if verdict == Verdict.TIMEOUT:
        spent = f"{limits.cpu_s:g} s of CPU time" if detail == "cpu" else f"{limits.wall_s:g} s"
        return f"The program did not end within {spent}: it was stopped{where}."
    if verdict == Verdict.OUTPUT_LIMIT:
        return f"The program wrote more than {limits.output_kb} KiB to {detail}."
    if verdict == Verdict.EARLY_EXIT:
        return f"The program ended before its tests did ({detail}){where}."
    if verdict == Verdict.CRASH:
        return f"The program was killed by {detail}{where}."
    if verdict == Verdict.OOM:
        return f"The program needed more than {limits.memory_mb} MiB of memory."
    if verdict == Verdict.PROC_LIMIT:
        return f"The program started more than {limits.processes} processes and threads."
    if verdict == Verdict.TAMPER:
        return f"The program changed what judges it: {detail}."
    if story.compile_error:
        return clean(story.compile_error, folder)
    return clean(story.abort[1], folder) if story.abort else ""
