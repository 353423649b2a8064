"""The first stage: problems -> trajectories. Keyed by fingerprint, built once, re-used; pairs are the next (`pair_stages.py`).

A stage's key covers everything that its result depends on, so that a changed rule for y-, mask or loss re-uses the trajectories.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.codeflow.debug import HarnessFailure, debug
from iterpref.codeflow.generate import Generator
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, Sandbox
from iterpref.codeflow.store import TrajectoryStore
from iterpref.config import DebugConfig
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.schema import Problem, TestSuite, Timing, Trajectory, Verdict

log = logging.getLogger(__name__)


def trajectories_stage(
    data: Path,
    problems: Sequence[Problem],
    generator: Generator,
    open_sandbox: Callable[[], Sandbox],
    limits: Limits,
    config: DebugConfig,
    seed: int,
) -> Artifact:
    """Debugs `config.samples` samples of every problem; a killed run goes on from the last executed version."""
    key = fingerprint(
        "trajectories", [p.to_dict() for p in problems], generator.fingerprint(), asdict(config), asdict(limits), seed
    )
    folder = data / "trajectories"
    if done := find(folder, key):
        return done
    with building(folder, key):
        return find(folder, key) or _build_trajectories(
            folder, key, problems, generator, open_sandbox(), limits, config, seed
        )


def _build_trajectories(
    folder: Path,
    key: str,
    problems: Sequence[Problem],
    generator: Generator,
    sandbox: Sandbox,
    limits: Limits,
    config: DebugConfig,
    seed: int,
) -> Artifact:
    store = TrajectoryStore(folder / f".{key}.sqlite")
    try:
        drops: Counter[str] = Counter()
        kept = list(problems)
        if config.verify_reference:
            kept = _verified(problems, sandbox, limits, config.repeat, store, drops)
        trajectories = _debug_all(kept, generator, sandbox, limits, config, seed, store)
        manifest = {
            "stage": "trajectories",
            "config": {"debug": asdict(config), "generator": generator.fingerprint(), "limits": asdict(limits), "seed": seed},
            "counts": {"problems": len(problems), "problems_dropped": dict(sorted(drops.items())), "trajectories": len(trajectories),
                       "status": dict(sorted(Counter(t.status for t in trajectories).items()))},
            "pass_rate_by_iteration": pass_rate_by_iteration(trajectories, config.max_refinements),
            "tier": sandbox.tier,
        }  # fmt: skip
        # Durations differ from run to run, so they live apart from the records that must not; the stage is finished
        # with its records, which therefore come last.
        publish(folder / "timings", key, {"timings": (Timing, store.timings())}, {"stage": "timings"})
        artifact = publish(folder, key, {"trajectories": (Trajectory, trajectories)}, manifest)
    finally:
        store.close()
        sandbox.close()
    for leftover in folder.glob(f".{key}.sqlite*"):
        leftover.unlink()
    return artifact


def pass_rate_by_iteration(trajectories: Sequence[Trajectory], max_refinements: int) -> list[float]:
    """Share of trajectories solved by iteration 0, 1, ..., in [0, 1]."""
    total = max(len(trajectories), 1)
    solved = [len(t.iterations) - 1 for t in trajectories if t.status != "unsolved"]
    return [sum(s <= i for s in solved) / total for i in range(max_refinements + 1)]


def _verified(
    problems: Sequence[Problem],
    sandbox: Sandbox,
    limits: Limits,
    repeat: int,
    store: TrajectoryStore,
    drops: Counter[str],
) -> list[Problem]:
    """The problems whose reference passes its own tests, with the measured coverage; a task without reference is kept."""
    known = store.checks()
    todo = [p for p in problems if p.reference and p.task_id not in known]
    requests = [RunRequest(p.reference, p.tests, limits, measure_coverage=True, repeat=repeat) for p in todo]
    for problem, result in zip(todo, track(sandbox.run_many(requests), len(requests), "references"), strict=True):
        if result.verdict == Verdict.HARNESS_ERROR:
            raise UserError(
                f"the sandbox failed on the reference of {problem.task_id} ({result.detail}); "
                "what is finished is kept: run the same command again to go on"
            )
        first_line = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "")
        outcome: dict[str, object] = {
            "verdict": result.verdict.value,
            "detail": result.detail or first_line,
            "coverage": result.coverage,
        }
        store.add_check(problem.task_id, outcome)
        known[problem.task_id] = outcome
    kept: list[Problem] = []
    for problem in problems:
        check = known.get(problem.task_id)
        if check is None or check["verdict"] == Verdict.PASS:
            kept.append(_with_coverage(problem, check["coverage"] if check else None))
            continue
        drops["reference_fails"] += 1
        log.warning(
            "task %s is dropped: its reference fails its own tests (%s: %s); mend the task, or its tests",
            problem.task_id, check["verdict"], check["detail"],
        )  # fmt: skip
    if not kept:
        raise UserError(
            f"none of the {len(problems)} tasks can be used: each reference fails its own tests (see the warnings above); "
            "mend the tasks, or set debug.verify_reference=false to debug without checking"
        )
    return kept


def _with_coverage(problem: Problem, coverage: object) -> Problem:
    if coverage is None:
        return problem
    suite = problem.tests
    row = {
        **problem.to_dict(),
        "tests": TestSuite(suite.files, suite.framework, suite.n_tests, float(str(coverage))).to_dict(),
    }
    return Problem.from_dict(row)


def _debug_all(
    problems: Sequence[Problem],
    generator: Generator,
    sandbox: Sandbox,
    limits: Limits,
    config: DebugConfig,
    seed: int,
    store: TrajectoryStore,
) -> list[Trajectory]:
    def one(problem: Problem, sample: int) -> Trajectory:
        trajectory_id = f"{problem.task_id}#{sample}"
        return debug(
            problem, generator, sandbox, sample=sample, seed=seed, max_refinements=config.max_refinements, limits=limits,
            repeat=config.repeat, history=store.history(trajectory_id), on_attempt=lambda attempt, timing: store.add(trajectory_id, attempt, timing),
        )  # fmt: skip

    jobs = [(problem, sample) for problem in problems for sample in range(config.samples)]
    done: list[Trajectory] = []
    failures: list[str] = []
    with ThreadPoolExecutor(sandbox.workers) as pool:
        futures = [pool.submit(one, *job) for job in jobs]
        try:
            for future in track(as_completed(futures), len(futures), "debugging"):
                try:
                    done.append(future.result())
                except HarnessFailure as failure:
                    failures.append(str(failure))
        except BaseException:
            for future in futures:
                future.cancel()
            # Ends the runs that are going on: leaving the pool would wait for whole trajectories.
            sandbox.close()
            raise
    if failures:
        raise UserError(
            f"the sandbox failed in {len(failures)} of {len(jobs)} trajectories (first: {failures[0]}); "
            "what is finished is kept: run the same command again to retry these"
        )
    return sorted(done, key=lambda t: t.trajectory_id)
