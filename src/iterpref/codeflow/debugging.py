"""All trajectories of a data set at once: language models and sandbox at work at the same time, each within its own bounds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from iterpref.codeflow.debug import SOLVED, HarnessFailure, UnfitSuite, debug
from iterpref.codeflow.flow import Flow
from iterpref.codeflow.generate import Generator, Online
from iterpref.codeflow.generate.answer import BadAnswer
from iterpref.codeflow.generate.chat import GaveUp, RequestRefused
from iterpref.codeflow.generate.limits import Stop, Stopped
from iterpref.codeflow.generate.llm import LlmGenerator
from iterpref.codeflow.judge import score_tests
from iterpref.codeflow.quality import coverage_of, vet
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, Sandbox
from iterpref.codeflow.store import TrajectoryStore
from iterpref.config import DebugConfig
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.schema import Draft, Problem, TestSuite, Trajectory

log = logging.getLogger(__name__)
Job = tuple[Problem, int]  # and the number of the sample


class Debugging:
    """Debugs `config.samples` samples of each problem into `store`; what stands there already is not done again."""

    def __init__(
        self,
        generator: Generator,
        sandbox: Sandbox,
        limits: Limits,
        config: DebugConfig,
        seed: int,
        store: TrajectoryStore,
        spender: str,
    ) -> None:
        self._generator, self._sandbox, self._limits = generator, sandbox, limits
        self._config, self._seed, self._store, self._spender = config, seed, store, spender
        self._stop = Stop()
        self._threads = ThreadPoolExecutor(sandbox.workers, thread_name_prefix="run")

    def run(self, problems: Sequence[Problem]) -> Counter[str]:
        """Why trajectories are missing, by reason: empty, unless `debug.lost=drop` lets the stage finish without them.

        Raises `UserError` when some are unfinished: a budget is spent, a key refused, a server or the sandbox failed.
        """
        finished = self._store.finished_ids()
        jobs = [(p, s) for p in problems for s in range(self._config.samples) if f"{p.task_id}#{s}" not in finished]
        total = len(problems) * self._config.samples
        online = self._generator if isinstance(self._generator, Online) else None
        width = 2 * self._sandbox.workers + (2 * online.concurrency if online else 0)
        lost: Counter[str] = Counter()
        harness: list[str] = []
        if online:
            online.begin(self._stop, self._spender)
        try:
            with Flow(
                jobs, self._one, width=width, stop=self._stop, abandon=self._sandbox.close, finish=online.end if online else None
            ) as flow:  # fmt: skip
                for _, outcome in track(flow, len(jobs), "debugging"):
                    if isinstance(outcome, HarnessFailure):
                        harness.append(str(outcome))
                    elif isinstance(outcome, GaveUp):
                        lost[outcome.reason] += 1
                    elif isinstance(outcome, BaseException) and not isinstance(outcome, Stopped):
                        if not isinstance(outcome, UserError):
                            raise outcome
                        self._stop.set(outcome)
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._account(lost, harness, total)
        return lost

    def _account(self, lost: Counter[str], harness: Sequence[str], total: int) -> None:
        """Raises for whatever keeps the stage from being finished."""
        done = len(self._store.finished_ids())
        state = f"{done} of {total} trajectories are finished and kept"
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(lost.items()))
        if self._stop.cause is not None:
            more = f"; lost to faults of the server: {reasons}" if lost else ""
            raise type(self._stop.cause)(f"{self._stop.cause} ({state}{more})") from None
        if harness:
            raise UserError(
                f"the sandbox failed in {len(harness)} of {total} trajectories (first: {harness[0]}); "
                "what is finished is kept: run the same command again to retry these"
            )
        if lost and self._config.lost == "stop":
            raise UserError(
                f"the server failed in {sum(lost.values())} of {total} trajectories, each more often than generate.retries "
                f"allows ({reasons}); {state}: run the same command again to retry these, or add debug.lost=drop to finish without them"
            )
        if lost:
            log.warning(
                "finished without %d of %d trajectories, which the server failed: %s",
                sum(lost.values()),
                total,
                reasons,
            )

    async def _one(self, job: Job) -> None:
        problem, sample = job
        trajectory_id = f"{problem.task_id}#{sample}"
        history = self._store.history(trajectory_id)
        if (suite := self._store.suite(trajectory_id)) is not None and history:
            problem = replace(problem, tests=suite)

        async def on_first(problem: Problem, draft: Draft) -> TestSuite:
            suite = await vet(problem, draft, self._run, self._limits, self._config)
            suite = await self._scored(problem, draft, suite)
            return self._store.freeze(trajectory_id, suite) if draft.tests is not None else suite

        trajectory = await debug(
            problem, self._generator, self._run, sample=sample, seed=self._seed, max_refinements=self._config.max_refinements,
            limits=self._limits, repeat=self._config.repeat, history=history, on_first=on_first,
            on_attempt=lambda attempt, timing: self._store.add(trajectory_id, attempt, timing),
        )  # fmt: skip
        self._store.finish(await self._measured(trajectory))

    async def _scored(self, problem: Problem, draft: Draft, suite: TestSuite) -> TestSuite:
        """The author's tests with the judge's opinion of them; raises `UnfitSuite` where that is too low, or none."""
        generator, low = self._generator, self._config.min_test_score
        if low is None or draft.tests is None or not isinstance(generator, LlmGenerator):
            return suite
        assert generator.lines is not None
        assert generator.test_judge is not None
        try:
            scores = await score_tests(generator.lines, generator.test_judge, problem.prompt, draft.files, suite)
        except (BadAnswer, RequestRefused) as error:
            raise UnfitSuite(str(error)) from None
        if min(scores.accuracy, scores.effectiveness, scores.reasonableness) < low:
            raise UnfitSuite(f"test_scores_below: {scores.accuracy}, {scores.effectiveness}, {scores.reasonableness}")
        return replace(suite, scores=scores)

    async def _measured(self, trajectory: Trajectory) -> Trajectory:
        """With the coverage of its last version, where no reference was measured; unfit if that is too little."""
        suite, config = trajectory.tests, self._config
        if trajectory.status not in SOLVED or suite.coverage is not None or not isinstance(self._generator, Online):
            return trajectory
        last = trajectory.iterations[-1]
        coverage = await coverage_of(suite, last.files, self._run, self._limits, last.packages)
        if coverage is None:
            return trajectory
        trajectory = replace(trajectory, tests=replace(suite, coverage=coverage))
        if coverage >= config.min_coverage:
            return trajectory
        return replace(trajectory, status="unfit", detail=f"coverage_below: {coverage:.0%} of the lines")

    async def _run(self, request: RunRequest) -> RunResult:
        """In one of as many threads as the sandbox runs programs at once: what waits here holds up no call of a model."""

        def begin() -> RunResult:
            self._stop.check()  # it may have waited for its thread
            return self._sandbox.run(request)

        return await asyncio.get_running_loop().run_in_executor(self._threads, begin)
