"""The first stage: problems -> trajectories. Keyed by fingerprint, built once, re-used; pairs are the next (`pair_stages.py`).

A stage's key covers everything that its result depends on, so that a changed rule for y-, mask or loss re-uses the trajectories.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iterpref.artifacts import Artifact, Rows, building, find, fingerprint, publish
from iterpref.codeflow.debugging import Debugging
from iterpref.codeflow.generate import Generator, Online
from iterpref.codeflow.generate.replay import NOT_IN_CACHE
from iterpref.codeflow.quality import fit_problems
from iterpref.codeflow.sandbox.protocol import Limits, Sandbox
from iterpref.codeflow.statistics import Counts
from iterpref.codeflow.store import TrajectoryStore
from iterpref.config import DebugConfig
from iterpref.errors import UserError
from iterpref.schema import Problem, Statistic, Timing, Trajectory

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
    bare = next((p.task_id for p in problems if not p.tests.files), None)
    if bare is not None and not isinstance(generator, Online):
        raise UserError(
            f"task {bare} has no tests, and generate={generator.name} writes none: add tests, or let a model write them (generate=openai)"
        )
    rules = {k: v for k, v in asdict(config).items() if k != "lost"}  # how a run may end changes no record
    key = fingerprint(
        "trajectories", [p.to_dict() for p in problems], generator.fingerprint(), rules, asdict(limits), seed
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
        store.forget(NOT_IN_CACHE)  # of a replay that was killed
        drops: Counter[str] = Counter()
        kept = list(problems)
        if config.verify_reference:
            kept = fit_problems(problems, sandbox, limits, config, store, drops)
        lost = Debugging(generator, sandbox, limits, config, seed, store, spender=key).run(kept)
        counts = Counts(config.max_refinements)
        stage = key
        if holes := store.ended_by(NOT_IN_CACHE):
            # What a replay could not find is no result of the run that asks, and must not stand in its place.
            stage = fingerprint(key, NOT_IN_CACHE)
            log.warning(
                "%d trajectories end with a request that the cache of answers lacks: generate=openai asks it", holes
            )

        def manifest() -> dict[str, Any]:
            return {
                "stage": "trajectories",
                "config": {"debug": asdict(config), "generator": generator.fingerprint(), "limits": asdict(limits), "seed": seed},
                "counts": {"problems": len(problems), "problems_dropped": dict(sorted(drops.items())),
                           "trajectories": counts.trajectories, "status": dict(sorted(counts.status.items())),
                           "lost": dict(sorted(lost.items())), **counts.of_answers()},
                "pass_rate_by_iteration": counts.pass_rate(),
                "tier": sandbox.tier,
            }  # fmt: skip

        # Durations differ from run to run, so they live apart from the records that must not; the stage is finished
        # with its records, which therefore come last.
        publish(folder / "timings", stage, {"timings": (Timing, store.timings())}, {"stage": "timings"})
        tables: dict[str, Rows] = {
            "trajectories": (Trajectory, map(counts.see, store.finished())),
            "statistics": (Statistic, counts.statistics()),  # a generator, which begins when all have been seen
        }
        artifact = publish(folder, stage, tables, manifest)
    finally:
        store.close()
        sandbox.close()
    for leftover in folder.glob(f".{key}.sqlite*"):
        leftover.unlink()
    return artifact
