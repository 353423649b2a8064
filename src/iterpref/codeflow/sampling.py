"""The baseline that the paper compares with (Table 7): pairs by sampling and pass rate, as Code-Optimise and PLUM make them.

n samples of each task, none of them mended; one that passes against one that fails, of the same task and on the same tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from iterpref.codeflow.debug import SOLVED
from iterpref.codeflow.pairs import is_failing_label
from iterpref.schema import Attempt, Trajectory, Verdict


def by_sampling(trajectories: Iterable[Trajectory], pairs_per_task: int, seed: int) -> Iterator[Trajectory]:
    """Up to `pairs_per_task` trajectories a task, each with all failing samples of it and one of its passing ones at the end.

    What `pairs.make_pair` makes of such a one is a pair by sampling: `chosen_iter` and `rejected_iter` are then the numbers of the
    samples. A task whose samples all pass or all fail comes as one trajectory with that status, so that it is counted. No passing sample
    is used twice. Samples of one task must follow each other, as a finished stage has them, and share their tests.
    """
    for task_id, group in groupby(trajectories, key=lambda t: t.task_id):
        samples = list(group)
        first = next((t for t in samples if t.iterations), samples[0])
        # Tests that each sample's author wrote for it compare nothing between samples.
        same = [t for t in samples if t.tests.sha256 == first.tests.sha256 and t.iterations]
        attempts = [_numbered(t) for t in sorted(same, key=_number)]
        passing = [a for a in attempts if a.verdict == Verdict.PASS]
        failing = [a for a in attempts if is_failing_label(a)]
        if not passing or not failing:
            status = "solved_at_once" if passing else "unsolved" if failing else first.status
            yield replace(first, trajectory_id=f"{task_id}#all", status=status, iterations=tuple(attempts))
            continue
        random.Random(f"{seed}/{task_id}/passing").shuffle(passing)
        for n, chosen in enumerate(passing[:pairs_per_task]):
            yield replace(first, trajectory_id=f"{task_id}#pair{n}", status=SOLVED[0], iterations=(*failing, chosen))


def _number(trajectory: Trajectory) -> int:
    return int(trajectory.trajectory_id.rpartition("#")[2])


def _numbered(trajectory: Trajectory) -> Attempt:
    return replace(trajectory.iterations[0], i=_number(trajectory))
