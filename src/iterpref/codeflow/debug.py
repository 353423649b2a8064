"""Attempt -> run in the sandbox -> feedback -> revise: the debugging history of one sample of one task.

Tests are frozen: every version runs on the suite whose sha256 stands in the record, and no revision can edit it. A task
without tests gets them from the author of its first version, once, and they are frozen from then on.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from iterpref.codeflow.generate import Generator, NoDraft
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.codeflow.sandbox.report import feedback
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.codeflow.suites import as_tests
from iterpref.schema import Attempt, Draft, Problem, RefusedAnswer, TestSuite, Timing, Trajectory, Verdict

TAIL_CHARS = 2000
SOLVED = ("solved", "solved_at_once")
Run = Callable[[RunRequest], Awaitable[RunResult]]


class HarnessFailure(Exception):
    """The sandbox itself failed; the trajectory has no verdict and is retried by the next run."""


class UnfitSuite(Exception):
    """Tests that a quality rule turned down; the message is `reason: detail`."""


@dataclass(frozen=True)
class End:
    """How a trajectory ended, beside its versions."""

    status: str
    detail: str = ""
    refused: tuple[RefusedAnswer, ...] = ()


def sample_seed(seed: int, task_id: str, sample: int) -> int:
    """A seed of its own for every sample of every task, independent of how many there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{task_id}/{sample}".encode()).digest()[:6], "big")


async def debug(
    problem: Problem,
    generator: Generator,
    run: Run,
    *,
    sample: int,
    seed: int,
    max_refinements: int,
    limits: Limits,
    repeat: int = 1,
    history: Sequence[Attempt] = (),
    on_attempt: Callable[[Attempt, Timing], None] = lambda attempt, timing: None,
    on_first: Callable[[Problem, Draft], Awaitable[TestSuite]] | None = None,
) -> Trajectory:
    """Debugs until the tests pass or `max_refinements` revisions are spent; goes on from `history` after a crash.

    Each version runs `repeat` times; one whose runs disagree is FLAKY, which is no pass. `on_first` is asked whether a first
    version's tests, the task's or its own, are fit to judge (`UnfitSuite` if not), and gives them back.

    Raises `HarnessFailure` when a run has no verdict: our fault is never a label.
    """
    trajectory_id = f"{problem.task_id}#{sample}"
    own_seed = sample_seed(seed, problem.task_id, sample)
    attempts = list(history)
    end: End | None = None
    while not attempts or (attempts[-1].verdict != Verdict.PASS and len(attempts) <= max_refinements):
        try:
            if not attempts:
                drafted = generator.start(problem, own_seed)
            else:
                drafted = generator.revise(problem, attempts, attempts[-1].stderr_tail, own_seed)
            draft = await drafted if inspect.isawaitable(drafted) else drafted
            if not attempts:
                suite = await on_first(problem, draft) if on_first else draft.tests or problem.tests
                problem = replace(problem, tests=suite)
        except NoDraft as none:
            end = End("refused", none.refused[-1].reason, none.refused)
            break
        except UnfitSuite as unfit:
            end = End("unfit", str(unfit))
            break
        request = RunRequest(draft.files, as_tests(problem.tests), limits, preload=draft.preload, repeat=repeat)
        result = await run(request)
        if result.verdict == Verdict.HARNESS_ERROR:
            raise HarnessFailure(f"{trajectory_id}, version {len(attempts)}: {result.detail}")
        attempt = _record(len(attempts), draft, problem, result)
        on_attempt(attempt, _timing(trajectory_id, attempt.i, result))
        attempts.append(attempt)
    return trajectory_of(problem, sample, own_seed, attempts, end or End(status_of(attempts)))


def trajectory_of(problem: Problem, sample: int, seed: int, attempts: Sequence[Attempt], end: End) -> Trajectory:
    """The record; `problem` has the tests that the attempts ran on."""
    return Trajectory(
        trajectory_id=f"{problem.task_id}#{sample}",
        task_id=problem.task_id,
        prompt=problem.prompt,
        source=problem.source,
        license=problem.license,
        category=problem.category,
        split=problem.split,
        tests=problem.tests,
        iterations=tuple(attempts),
        status=end.status,
        seed=seed,
        detail=end.detail,
        refused=end.refused,
        features=problem.features,
    )


def status_of(attempts: Sequence[Attempt]) -> str:
    """solved_at_once (nothing to learn from), solved, or unsolved."""
    if attempts[-1].verdict != Verdict.PASS:
        return "unsolved"
    return "solved" if len(attempts) > 1 else "solved_at_once"


def _timing(trajectory_id: str, i: int, result: RunResult) -> Timing:
    return Timing(
        trajectory_id=trajectory_id,
        i=i,
        duration_ms=result.duration_ms,
        peak_memory_mb=result.peak_memory_mb,
        tier=result.tier,
        judged=result.judged,
        cpu_ms=result.cpu_ms,
        waited_ms=result.waited_ms,
        cores=usable_cores(),
    )


def _record(i: int, draft: Draft, problem: Problem, result: RunResult) -> Attempt:
    return Attempt(
        i=i,
        parent=i - 1 if i else None,
        files=draft.files,
        tests_sha256=problem.tests.sha256,
        verdict=result.verdict,
        detail=result.detail,
        n_pass=result.n_pass,
        n_fail=result.n_fail,
        stdout_tail=result.stdout[-TAIL_CHARS:],
        stderr_tail=feedback(result, TAIL_CHARS),
        note=draft.note,
        llm=draft.llm,
        refused=draft.refused,
        packages=draft.preload,
    )
