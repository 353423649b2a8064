"""Attempt -> run in the sandbox -> feedback -> revise: the debugging history of one sample of one task.

Tests are frozen: every version runs on the suite whose sha256 stands in the record, and no revision can edit it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from iterpref.codeflow.generate import Generator
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, Sandbox
from iterpref.codeflow.sandbox.report import feedback
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.schema import Attempt, Draft, Problem, Timing, Trajectory, Verdict

TAIL_CHARS = 2000


class HarnessFailure(Exception):
    """The sandbox itself failed; the trajectory has no verdict and is retried by the next run."""


def sample_seed(seed: int, task_id: str, sample: int) -> int:
    """A seed of its own for every sample of every task, independent of how many there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{task_id}/{sample}".encode()).digest()[:6], "big")


def debug(
    problem: Problem,
    generator: Generator,
    sandbox: Sandbox,
    *,
    sample: int,
    seed: int,
    max_refinements: int,
    limits: Limits,
    repeat: int = 1,
    history: Sequence[Attempt] = (),
    on_attempt: Callable[[Attempt, Timing], None] = lambda attempt, timing: None,
) -> Trajectory:
    """Debugs until the tests pass or `max_refinements` revisions are spent; goes on from `history` after a crash.

    Each version runs `repeat` times; one whose runs disagree is FLAKY, which is no pass.

    Raises `HarnessFailure` when a run has no verdict: our fault is never a label.
    """
    trajectory_id = f"{problem.task_id}#{sample}"
    own_seed = sample_seed(seed, problem.task_id, sample)
    attempts = list(history)
    while not attempts or (attempts[-1].verdict != Verdict.PASS and len(attempts) <= max_refinements):
        if not attempts:
            draft = generator.start(problem, own_seed)
        else:
            draft = generator.revise(problem, attempts, attempts[-1].stderr_tail, own_seed)
        result = sandbox.run(RunRequest(draft.files, problem.tests, limits, repeat=repeat))
        if result.verdict == Verdict.HARNESS_ERROR:
            raise HarnessFailure(f"{trajectory_id}, version {len(attempts)}: {result.detail}")
        attempt = _record(len(attempts), draft, problem, result)
        on_attempt(attempt, _timing(trajectory_id, attempt.i, result))
        attempts.append(attempt)
    return Trajectory(
        trajectory_id=trajectory_id,
        task_id=problem.task_id,
        prompt=problem.prompt,
        source=problem.source,
        license=problem.license,
        category=problem.category,
        split=problem.split,
        tests=problem.tests,
        iterations=tuple(attempts),
        status=status_of(attempts),
        seed=own_seed,
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
    )
