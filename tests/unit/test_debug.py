"""The debug loop on a scripted generator and a fake sandbox: how far it goes, what it records, how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from iterpref.codeflow.debug import TAIL_CHARS, HarnessFailure, debug, sample_seed, status_of
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.schema import Attempt, Draft, Problem, SourceFile, TestSuite, Timing, Trajectory, Verdict

SUITE = TestSuite((SourceFile("test_a.py", "tests"),), "unittest", 3)
PROBLEM = Problem("t", "do it", SUITE, source="mine", license="MIT", category="c", split="test")


class Script:
    """A generator that writes the given texts in turn, and notes what it was told."""

    name = "script"

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.told: list[tuple[list[int], str, int]] = []

    def start(self, problem: Problem, seed: int) -> Draft:
        return Draft((SourceFile("a.py", self.texts[0]),), "v0")

    def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        self.told.append(([a.i for a in attempts], feedback, seed))
        return Draft((SourceFile("a.py", self.texts[len(attempts)]),), f"v{len(attempts)}")

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name, "texts": list(self.texts)}


class FakeSandbox:
    """The verdict is the first word of the solution, the detail the rest of its first line."""

    tier = "fake"
    workers = 1

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        word, _, detail = request.files[0].text.partition(" ")
        passed = word == Verdict.PASS
        return RunResult(
            Verdict(word),
            detail,
            3 * passed,
            3 * (not passed),
            stdout=f"out of {detail}",
            stderr="e" * 5000,
            tier="fake",
            duration_ms=7.0,
        )

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        return map(self.run, requests)

    def close(self) -> None:
        pass


def debugged(
    *texts: str, history: Sequence[Attempt] = (), max_refinements: int = 5, **options: Any
) -> tuple[Trajectory, Script, FakeSandbox]:
    generator, sandbox = Script(*texts), FakeSandbox()

    async def run(request: RunRequest) -> RunResult:
        return sandbox.run(request)

    work = debug(
        PROBLEM,
        generator,
        run,
        sample=1,
        seed=7,
        max_refinements=max_refinements,
        limits=Limits(),
        history=history,
        **options,
    )
    trajectory = asyncio.run(work)
    return trajectory, generator, sandbox


def test_the_loop_ends_with_the_first_version_that_passes() -> None:
    trajectory, _, sandbox = debugged("FAIL a", "ERROR b", "PASS", "FAIL never")
    assert [a.verdict for a in trajectory.iterations] == [Verdict.FAIL, Verdict.ERROR, Verdict.PASS]
    assert [(a.i, a.parent, a.note) for a in trajectory.iterations] == [(0, None, "v0"), (1, 0, "v1"), (2, 1, "v2")]
    assert trajectory.status == "solved"
    assert len(sandbox.requests) == 3


def test_the_record_carries_the_problem_and_the_seed() -> None:
    trajectory, _, _ = debugged("PASS")
    assert (trajectory.trajectory_id, trajectory.task_id, trajectory.prompt, trajectory.split) == (
        "t#1",
        "t",
        "do it",
        "test",
    )
    assert (trajectory.source, trajectory.license, trajectory.category, trajectory.tests) == ("mine", "MIT", "c", SUITE)
    assert trajectory.seed == sample_seed(7, "t", 1)
    assert trajectory.status == "solved_at_once"


@pytest.mark.parametrize("limit", [1, 5])
def test_a_task_is_given_up_after_its_refinements(limit: int) -> None:
    trajectory, generator, sandbox = debugged(*["FAIL x"] * 6, "PASS", max_refinements=limit)
    assert trajectory.status == "unsolved"
    assert len(trajectory.iterations) == len(sandbox.requests) == limit + 1
    assert len(generator.told) == limit


def test_the_last_refinement_may_solve_the_task() -> None:
    assert debugged(*["FAIL x"] * 5, "PASS")[0].status == "solved"


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.PASS, Verdict.HARNESS_ERROR)])
def test_any_verdict_but_a_pass_is_refined(verdict: Verdict) -> None:
    assert [a.verdict for a in debugged(f"{verdict} x", "PASS")[0].iterations] == [verdict, Verdict.PASS]


def test_each_revision_is_told_about_the_last_version() -> None:
    trajectory, generator, _ = debugged("FAIL first", "TIMEOUT second", "PASS")
    assert [told for told, _, _ in generator.told] == [[0], [0, 1]]
    assert [feedback for _, feedback, _ in generator.told] == [a.stderr_tail for a in trajectory.iterations[:2]]
    assert generator.told[0][1].startswith("FAIL: first (0 of 3 tests passed)")
    assert generator.told[1][1].startswith("TIMEOUT: second (0 of 3 tests passed)")
    assert {seed for _, _, seed in generator.told} == {trajectory.seed}


def test_what_is_stored_of_the_output_is_bounded() -> None:
    (attempt,) = debugged("PASS " + "x" * 5000)[0].iterations
    assert max(len(attempt.stdout_tail), len(attempt.stderr_tail)) <= TAIL_CHARS
    assert attempt.stdout_tail == "x" * TAIL_CHARS


def test_every_version_runs_on_the_frozen_suite() -> None:
    trajectory, _, sandbox = debugged("FAIL a", "PASS")
    assert all(r.tests is SUITE and not r.measure_coverage for r in sandbox.requests)
    assert {a.tests_sha256 for a in trajectory.iterations} == {SUITE.sha256}


def test_a_failure_of_the_sandbox_is_no_record() -> None:
    recorded: list[Attempt] = []
    with pytest.raises(HarnessFailure, match=r"t#1, version 1: no fork"):
        debugged("FAIL a", "HARNESS_ERROR no fork", "PASS", on_attempt=lambda attempt, timing: recorded.append(attempt))
    assert [a.verdict for a in recorded] == [Verdict.FAIL]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_history_is_gone_on_from_and_not_run_again(kept: int) -> None:
    texts = ("FAIL a", "FAIL b", "PASS")
    whole, _, _ = debugged(*texts)
    again, generator, sandbox = debugged(*texts, history=whole.iterations[:kept])
    assert again == whole
    assert [r.files[0].text for r in sandbox.requests] == list(texts[kept:])
    assert len(generator.told) == 3 - max(kept, 1)


def test_a_history_that_has_spent_its_refinements_is_finished() -> None:
    whole, _, _ = debugged("FAIL a", "FAIL b", max_refinements=1)
    again, _, sandbox = debugged("FAIL a", "FAIL b", max_refinements=1, history=whole.iterations)
    assert (again, sandbox.requests) == (whole, [])


def test_each_version_is_handed_over_as_it_is_made_with_its_cost() -> None:
    seen: list[tuple[Attempt, Timing]] = []
    trajectory, _, _ = debugged("FAIL a", "PASS", on_attempt=lambda attempt, timing: seen.append((attempt, timing)))
    assert tuple(a for a, _ in seen) == trajectory.iterations
    assert [t for _, t in seen] == [
        Timing("t#1", i, 7.0, None, "fake", "outside", 0.0, 0.0, usable_cores()) for i in (0, 1)
    ]


def test_a_sample_has_a_seed_of_its_own() -> None:
    seeds = {sample_seed(seed, task, sample) for seed in (0, 1) for task in ("a", "b") for sample in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**48 for seed in seeds)
    assert sample_seed(0, "t", 0) == 92_393_985_513_545  # pinned: another value is another data set


def test_status_by_the_last_version() -> None:
    def attempt(verdict: Verdict) -> Attempt:
        return Attempt(0, None, (), "", verdict, "", 0, 0)

    good, bad = attempt(Verdict.PASS), attempt(Verdict.FLAKY)
    assert [status_of(a) for a in ([good], [bad, good], [bad], [bad, bad])] == [
        "solved_at_once", "solved", "unsolved", "unsolved",
    ]  # fmt: skip
