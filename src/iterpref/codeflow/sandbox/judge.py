"""From the child's report to a verdict. The rules, first match wins:

HARNESS_ERROR  the walls did not stand before the task's first line, or we ended the run ourselves
TAMPER         frames that are not the collector's, or out of order
OUTPUT_LIMIT   a stream went over its limit; tests are then not listed, as how far they came is chance
PROC_LIMIT     killed at the CPU or the wall limit with all allowed processes alive
OOM            the same with all allowed memory in use: such a program turns in circles
TIMEOUT, OOM   killed at the CPU, the wall or the memory limit
CRASH          killed by a signal
ERROR          a file does not compile
EARLY_EXIT     SystemExit, or the process ended by itself before its last test
(exception outside the tests)  OOM, PROC_LIMIT or ERROR
FAIL           an assertion, or what it compares with, was replaced
TAMPER         another judge was replaced, or a test that must fail did not
OOM, PROC_LIMIT  some test met the limit
FAIL           some assertion or value was wrong, or a test was skipped; also if other tests raised
ERROR          some test raised
FAIL           more or fewer tests ran than the suite has
PASS

A whole program (`StdioCases`) may end as it likes: ERROR for an exception or a status that is not 0, then its output.
"""

from __future__ import annotations

import re
import signal
from typing import Any

from iterpref.codeflow.sandbox.child import wire
from iterpref.codeflow.sandbox.protocol import (
    FunctionCases,
    Limits,
    RunRequest,
    RunResult,
    StdioCases,
    TestOutcome,
    n_tests,
)
from iterpref.codeflow.sandbox.report import clean, failures
from iterpref.codeflow.sandbox.story import CALLS, INSIDE, NAME_CHARS, PROGRAM, Story, read
from iterpref.schema import Verdict

COMPARISONS = re.compile(r"^(builtins|math|operator)\.|\.(assert|fail)\w*$")
BY_CAUSE = {wire.MEMORY: (Verdict.OOM, "memory"), wire.PROCESSES: (Verdict.PROC_LIMIT, "processes")}
FULL = 0.98  # share of the memory limit from which on a program has reached it
BY_LIMIT = {"cpu": Verdict.TIMEOUT, "wall": Verdict.TIMEOUT, "memory": Verdict.OOM}


def judge(request: RunRequest, report: dict[str, Any], folder: str, duration_ms: float, tier: str) -> RunResult:
    """The verdict on one report of a child; pure. A request of `StdioCases` has one case."""
    tests = request.tests
    outside = isinstance(tests, (FunctionCases, StdioCases))

    def judge_value(i: int, value: Any) -> str:
        assert isinstance(tests, FunctionCases)
        return tests.compare(value, tests.expected[i]) if tests.expected is not None else ""

    kinds = CALLS if isinstance(tests, FunctionCases) else PROGRAM if isinstance(tests, StdioCases) else INSIDE
    story = read(report, folder, kinds, 0 if outside else report["n_canaries"], judge_value)
    if isinstance(tests, StdioCases):
        verdict, detail = _program(tests, request.limits, report, story, folder, duration_ms)
    else:
        verdict, detail = decide(request, report, story)
    detail = clean(detail[:NAME_CHARS], folder).replace("\n", " ")
    expected = 0 if verdict == Verdict.HARNESS_ERROR else n_tests(tests)
    shown = () if verdict == Verdict.OUTPUT_LIMIT else tuple(story.tests)
    n_pass = min(sum(test.status == "pass" for test in shown), expected)
    if verdict in (Verdict.TAMPER, Verdict.HARNESS_ERROR) or story.tamper:
        n_pass = 0
    own = clean(report["stderr"], folder) if verdict != Verdict.OUTPUT_LIMIT else ""
    return RunResult(
        verdict=verdict,
        detail=detail,
        n_pass=n_pass,
        n_fail=expected - n_pass,
        tests=shown,
        stdout=clean(report["stdout"], folder),
        stderr=failures(shown, _headline(verdict, detail, story, request.limits, folder), own),
        judged="outside" if outside else "inside",
        values=tuple(story.values) if isinstance(tests, FunctionCases) else None,
        coverage=story.coverage,
        tier=tier,
        duration_ms=duration_ms,
        cpu_ms=report["cpu_s"] * 1000,
        waited_ms=report["waited_s"] * 1000,
        peak_memory_mb=report["peak_mb"],
    )


def decide(request: RunRequest, report: dict[str, Any], story: Story) -> tuple[Verdict, str]:
    """Verdict and detail, by the rules above."""
    stopped = _stopped(request.limits, report, story)
    if stopped is not None:
        return stopped
    if story.compile_error:
        return Verdict.ERROR, "compile"
    if story.exit or not (story.done or story.abort):
        return Verdict.EARLY_EXIT, story.exit or f"exit status {report['exit']}"
    if story.abort is not None:
        kind, _, cause = story.abort
        return BY_CAUSE.get(cause, (Verdict.ERROR, kind))
    return _finished(request, story)


def _stopped(limits: Limits, report: dict[str, Any], story: Story) -> tuple[Verdict, str] | None:
    """The verdict on a run that did not end by itself."""
    if not story.ready:
        words = f"exit {report['exit']}, signal {report['signal']}, {report['stderr'][-300:]}"
        return Verdict.HARNESS_ERROR, f"the test process ended before the run: {words}"
    killed = report["killed"]
    if killed in ("cancelled", "orphan"):
        return Verdict.HARNESS_ERROR, killed
    if story.tamper == "report":
        return Verdict.TAMPER, "report"
    if report["exceeded"]:
        return Verdict.OUTPUT_LIMIT, report["exceeded"][0]
    if killed in ("wall", "cpu") and report["processes"] >= limits.processes - 1:
        return Verdict.PROC_LIMIT, "processes"
    if killed in ("wall", "cpu") and (report["peak_mb"] or 0) >= FULL * limits.memory_mb:
        return Verdict.OOM, "memory"
    if killed in BY_LIMIT:
        return BY_LIMIT[killed], killed
    number = report["signal"]
    if not number:
        return None
    if number in (signal.SIGKILL, signal.SIGXCPU) and report["cpu_s"] >= limits.cpu_s - 0.1:
        return Verdict.TIMEOUT, "cpu"
    try:
        return Verdict.CRASH, signal.Signals(number).name
    except ValueError:
        return Verdict.CRASH, f"signal {number}"


def _finished(request: RunRequest, story: Story) -> tuple[Verdict, str]:
    if story.tamper:
        replaced = COMPARISONS.search(story.tamper)
        return (Verdict.FAIL, f"patched {story.tamper}") if replaced else (Verdict.TAMPER, story.tamper)
    for cause, result in BY_CAUSE.items():
        if cause in story.causes:
            return result
    first = next((test for test in story.tests if test.status in ("fail", "skip")), None)
    if first is not None:
        return Verdict.FAIL, first.name if first.status == "fail" else f"skipped {first.name}"
    if story.kinds:
        return Verdict.ERROR, story.kinds[0]
    n_run, expected = len(story.tests) - story.n_fixtures, n_tests(request.tests)
    if n_run != expected:
        return Verdict.FAIL, f"{n_run} tests ran, expected {expected}"
    if any(test.status != "pass" for test in story.tests):
        return Verdict.ERROR, "ended without an outcome"
    return Verdict.PASS, ""


def _program(
    tests: StdioCases, limits: Limits, report: dict[str, Any], story: Story, folder: str, duration_ms: float
) -> tuple[Verdict, str]:
    """A program that read its input and printed; adds its one case to the story."""
    verdict, detail = _stopped(limits, report, story) or (Verdict.PASS, "")
    message = ""
    if verdict != Verdict.PASS:
        pass
    elif story.compile_error:
        verdict, detail = Verdict.ERROR, "compile"
    elif story.abort is not None:
        kind, message, cause = story.abort
        verdict, detail = BY_CAUSE.get(cause, (Verdict.ERROR, kind))
    elif report["exit"]:
        verdict, detail = Verdict.ERROR, f"exit status {report['exit']}"
    elif message := tests.compare(report["stdout"], tests.outputs[0]):
        verdict, detail = Verdict.FAIL, "case 0"
    if verdict != Verdict.HARNESS_ERROR:
        status = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}.get(verdict, "error")
        story.tests.append(TestOutcome("case 0", status, clean(message or detail, folder), duration_ms))
    return verdict, detail


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
    if verdict == Verdict.FAIL and detail.startswith("patched "):
        return f"The program replaced what its tests compare with: {detail.removeprefix('patched ')}."
    if story.compile_error:
        return clean(story.compile_error, folder)
    return clean(story.abort[1], folder) if story.abort else ""
