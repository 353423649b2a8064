"""The first stage: problems -> trajectories. Keyed by fingerprint, built once, re-used; pairs are the next (`pair_stages.py`).

A stage's key covers everything that its result depends on, so that a changed rule for y-, mask or loss re-uses the trajectories.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.codeflow.debug import SOLVED
from iterpref.codeflow.debugging import Debugging
from iterpref.codeflow.generate import Generator
from iterpref.codeflow.quality import fit_problems
from iterpref.codeflow.sandbox.protocol import Limits, Sandbox
from iterpref.codeflow.store import TrajectoryStore
from iterpref.config import DebugConfig
from iterpref.schema import Problem, Timing, Trajectory

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
        drops: Counter[str] = Counter()
        kept = list(problems)
        if config.verify_reference:
            kept = fit_problems(problems, sandbox, limits, config, store, drops)
        lost = Debugging(generator, sandbox, limits, config, seed, store, spender=key).run(kept)
        counts = Counts(config.max_refinements)

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
        publish(folder / "timings", key, {"timings": (Timing, store.timings())}, {"stage": "timings"})
        artifact = publish(folder, key, {"trajectories": (Trajectory, map(counts.see, store.finished()))}, manifest)
    finally:
        store.close()
        sandbox.close()
    for leftover in folder.glob(f".{key}.sqlite*"):
        leftover.unlink()
    return artifact


def pass_rate_by_iteration(trajectories: Iterable[Trajectory], max_refinements: int) -> list[float]:
    """Share of trajectories solved by iteration 0, 1, ..., in [0, 1]."""
    counts = Counts(max_refinements)
    for trajectory in trajectories:
        counts.see(trajectory)
    return counts.pass_rate()


class Counts:
    """What the manifest says of trajectories that pass by one at a time."""

    def __init__(self, max_refinements: int) -> None:
        self.trajectories = 0
        self.status: Counter[str] = Counter()
        self._solved_by = [0] * (max_refinements + 1)
        self._refused: Counter[str] = Counter()
        self._unfit: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._cost = 0.0

    def see(self, trajectory: Trajectory) -> Trajectory:
        self.trajectories += 1
        self.status[trajectory.status] += 1
        if trajectory.status in SOLVED:
            for i in range(len(trajectory.iterations) - 1, len(self._solved_by)):
                self._solved_by[i] += 1
        if trajectory.status == "unfit":
            self._unfit[trajectory.detail.partition(":")[0]] += 1
        refused = [r for a in trajectory.iterations for r in a.refused] + list(trajectory.refused)
        self._refused.update(r.reason for r in refused)
        for call in [a.llm for a in trajectory.iterations] + [r.llm for r in refused]:
            if call is not None:
                self._answers.update(answers=1, tokens_in=call.tokens_in, tokens_out=call.tokens_out)
                self._cost += call.cost
        return trajectory

    def pass_rate(self) -> list[float]:
        return [solved / max(self.trajectories, 1) for solved in self._solved_by]

    def of_answers(self) -> dict[str, Any]:
        """Nothing for a generator that asks no model."""
        if not self._answers and not self._refused:
            return {}
        return {
            "unfit": dict(sorted(self._unfit.items())),
            "llm": {**dict(sorted(self._answers.items())), "cost": round(self._cost, 6), "refused": dict(sorted(self._refused.items()))},
        }  # fmt: skip
