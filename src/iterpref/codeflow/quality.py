"""Which tests may judge: a reference must pass them, a stub must not, and they should reach the program's lines."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from iterpref.codeflow.debug import HarnessFailure, UnfitSuite
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, Sandbox
from iterpref.codeflow.store import TrajectoryStore
from iterpref.codeflow.suites import as_tests, for_coverage, stub
from iterpref.config import DebugConfig
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.schema import Draft, Problem, SourceFile, TestSuite, Verdict

log = logging.getLogger(__name__)

REASONS = {  # why a task is dropped
    "reference_fails": "its reference fails its own tests",
    "stub_passes": "its tests pass a program whose functions do nothing",
    "coverage_below": "its tests reach too few of its reference's lines",
}


def fit_problems(
    problems: Sequence[Problem],
    sandbox: Sandbox,
    limits: Limits,
    config: DebugConfig,
    store: TrajectoryStore,
    drops: Counter[str],
) -> list[Problem]:
    """The problems whose tests may judge, with the measured coverage; one without a reference is judged by its first version.

    Each task is checked once, whatever kills the run. Raises `UserError` when none is left.
    """
    known = store.checks()
    todo = [p for p in problems if p.reference and p.tests.files and p.task_id not in known]
    runs = [_runs(problem, limits, config) for problem in todo]
    results = iter(sandbox.run_many([request for named in runs for request in named.values()]))
    for problem, named in track(zip(todo, runs, strict=True), len(todo), "references"):
        outcome = _outcome({name: _sound(problem, next(results)) for name in named}, config)
        store.add_check(problem.task_id, outcome)
        known[problem.task_id] = outcome
    kept: list[Problem] = []
    for problem in problems:
        check = known.get(problem.task_id)
        if check is None or not check["reason"]:
            coverage = check["coverage"] if check else None
            kept.append(problem if coverage is None else with_coverage(problem, float(str(coverage))))
            continue
        reason = str(check["reason"])
        drops[reason] += 1
        log.warning(
            "task %s is dropped: %s (%s: %s); mend the task, or its tests",
            problem.task_id, REASONS[reason], check["verdict"], check["detail"],
        )  # fmt: skip
    if not kept:
        raise UserError(
            f"none of the {len(problems)} tasks can be used (see the warnings above): {describe(drops)}; "
            "mend the tasks, or set debug.verify_reference=false to debug without checking"
        )
    return kept


def describe(drops: Counter[str]) -> str:
    return ", ".join(f"{REASONS.get(reason, reason)}: {count}" for reason, count in sorted(drops.items()))


def _runs(problem: Problem, limits: Limits, config: DebugConfig) -> dict[str, RunRequest]:
    """The reference's own run, and where they apply that of a stub and that which measures coverage."""
    tests = as_tests(problem.tests)
    whole = problem.tests.framework == "unittest"
    runs = {"reference": RunRequest(problem.reference, tests, limits, measure_coverage=whole, repeat=config.repeat)}
    if config.drop_stub_passes and (empty := stub(problem.reference, problem.tests)):
        runs["stub"] = RunRequest(empty, tests, limits)
    if not whole and (suite := for_coverage(problem.tests, problem.reference)):
        runs["coverage"] = RunRequest(problem.reference, suite, limits, measure_coverage=True)
    return runs


def _outcome(results: Mapping[str, RunResult], config: DebugConfig) -> dict[str, object]:
    """The reference's verdict, and why its tests may not judge ("": they may), by the results of `_runs`."""
    reference, empty = results["reference"], results.get("stub")
    coverage = results.get("coverage", reference).coverage
    error = next((line for line in reversed(reference.stderr.splitlines()) if line.strip()), "")
    reason, detail = "", reference.detail or error
    if reference.verdict != Verdict.PASS:
        reason = "reference_fails"
    elif empty is not None and empty.verdict == Verdict.PASS:
        reason, detail = "stub_passes", "the tests ask for nothing that a stub lacks"
    elif coverage is not None and coverage < config.min_coverage:
        reason, detail = "coverage_below", f"{coverage:.0%} of the lines, debug.min_coverage={config.min_coverage:g}"
    return {"verdict": reference.verdict.value, "reason": reason, "detail": detail, "coverage": coverage}


def _sound(problem: Problem, result: RunResult) -> RunResult:
    if result.verdict == Verdict.HARNESS_ERROR:
        raise UserError(
            f"the sandbox failed on the reference of {problem.task_id} ({result.detail}); "
            "what is finished is kept: run the same command again to go on"
        )
    return result


def with_coverage(problem: Problem, coverage: float) -> Problem:
    return replace(problem, tests=replace(problem.tests, coverage=coverage))


async def vet(
    problem: Problem,
    draft: Draft,
    run: Callable[[RunRequest], Awaitable[RunResult]],
    limits: Limits,
    config: DebugConfig,
) -> TestSuite:
    """The tests of a first version, if they may judge: those that the draft brings, or the task's own where no reference spoke for them.

    Raises `UnfitSuite`, and `HarnessFailure` when a run has no verdict.
    """
    suite = draft.tests or problem.tests
    if not draft.tests and problem.reference and config.verify_reference:
        return suite
    tests = as_tests(suite)
    if config.drop_stub_passes and (empty := stub(draft.files, suite)):
        result = await run(RunRequest(empty, tests, limits, preload=draft.preload))
        if _has_verdict(f"{problem.task_id}, its tests", result) == Verdict.PASS:
            raise UnfitSuite("stub_passes")
    if config.verify_reference and problem.reference and draft.tests:
        result = await run(RunRequest(problem.reference, tests, limits))
        if _has_verdict(f"{problem.task_id}, its tests", result) != Verdict.PASS:
            raise UnfitSuite("reference_fails")
    return suite


async def coverage_of(
    suite: TestSuite,
    files: Sequence[SourceFile],
    run: Callable[[RunRequest], Awaitable[RunResult]],
    limits: Limits,
    preload: Sequence[str] = (),
) -> float | None:
    """Share of the lines of `files` that the suite runs; None where nothing can measure it. Raises `HarnessFailure`."""
    measuring = for_coverage(suite, files)
    if measuring is None:
        return None
    result = await run(RunRequest(tuple(files), measuring, limits, measure_coverage=True, preload=tuple(preload)))
    _has_verdict("coverage", result)
    return result.coverage


def _has_verdict(what: str, result: RunResult) -> Verdict:
    if result.verdict == Verdict.HARNESS_ERROR:
        raise HarnessFailure(f"{what}: {result.detail}")
    return result.verdict
