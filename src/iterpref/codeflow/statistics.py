"""What a data set is made of, counted while its trajectories pass by one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from iterpref.codeflow.debug import SOLVED
from iterpref.schema import Statistic, Trajectory, Verdict

_FEATURE_DEPTH = 2  # of a feature's path: its domain, and what it is about there
_NO_ERROR_TYPE = (Verdict.PASS, Verdict.FLAKY, Verdict.FAIL)


class Counts:
    """`see` every trajectory once, then ask."""

    def __init__(self, max_refinements: int) -> None:
        self.trajectories = 0
        self.status: Counter[str] = Counter()
        self._solved_by = [0] * (max_refinements + 1)
        self._unfit: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._cost = 0.0
        self._rows: Counter[tuple[str, int, str]] = Counter()

    def see(self, trajectory: Trajectory) -> Trajectory:
        self.trajectories += 1
        self.status[trajectory.status] += 1
        if trajectory.status in SOLVED:
            for i in range(len(trajectory.iterations) - 1, len(self._solved_by)):
                self._solved_by[i] += 1
        if trajectory.status == "unfit":
            self._unfit[trajectory.detail.partition(":")[0]] += 1
        self._see_answers(trajectory)
        for attempt in trajectory.iterations:
            self._rows["verdict", attempt.i, attempt.verdict.value] += 1
            if attempt.verdict not in _NO_ERROR_TYPE and attempt.detail:
                self._rows["error", attempt.i, attempt.detail.partition(":")[0][:80]] += 1
        if trajectory.tests.coverage is not None:
            # The last tenth holds 100 %.
            self._rows["coverage", -1, f"{min(int(trajectory.tests.coverage * 10), 9) / 10:.1f}"] += 1
        if trajectory.category:
            self._rows["category", -1, trajectory.category] += 1
        for feature in {"/".join(path.split("/")[:_FEATURE_DEPTH]) for path in trajectory.features}:
            self._rows["feature", -1, feature] += 1
        return trajectory

    def _see_answers(self, trajectory: Trajectory) -> None:
        refused = [r for a in trajectory.iterations for r in a.refused] + list(trajectory.refused)
        for answer in refused:
            self._refused[answer.reason] += 1
            self._rows["refused", answer.i, answer.reason] += 1
        for i, call in [(a.i, a.llm) for a in trajectory.iterations] + [(r.i, r.llm) for r in refused]:
            if call is not None:
                self._rows["answers", i, call.role] += 1
                self._rows["tokens", i, call.role] += call.tokens_in + call.tokens_out
                self._answers.update(answers=1, tokens_in=call.tokens_in, tokens_out=call.tokens_out)
                self._cost += call.cost

    def pass_rate(self) -> list[float]:
        return [solved / max(self.trajectories, 1) for solved in self._solved_by]

    def of_answers(self) -> dict[str, Any]:
        """Nothing for a generator that asks no model."""
        if not self._answers and not self._refused:
            return {}
        solved = max(self.status["solved"], 1)
        return {
            "unfit": dict(sorted(self._unfit.items())),
            "llm": {
                **dict(sorted(self._answers.items())), "cost": round(self._cost, 6), "refused": dict(sorted(self._refused.items())),
                "answers_a_mended_program": round(self._answers["answers"] / solved, 3), "cost_a_mended_program": round(self._cost / solved, 6),
            },
        }  # fmt: skip

    def statistics(self) -> Iterator[Statistic]:
        """Sorted by name, iteration and value."""
        self._rows.update({("solved", i, "by then"): n for i, n in enumerate(self._solved_by)})
        for (name, i, value), count in sorted(self._rows.items()):
            yield Statistic(name, i, value, count)
