"""A trajectory becomes a `PreferencePair`: y+ is its final passing version, y- one failing version before it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from iterpref.codeflow.code import Completion, of_files
from iterpref.codeflow.filters import rule_filters, trees_equal
from iterpref.codeflow.tally import Drop, Tally
from iterpref.config import PairsConfig
from iterpref.data.diff import localise
from iterpref.schema import Attempt, PreferencePair, Trajectory, Verdict


def make_pairs(
    trajectories: Iterable[Trajectory], config: PairsConfig, seed: int, tally: Tally
) -> Iterator[PreferencePair]:
    """The pairs in the order of their trajectories; those that make none go to `tally`, so that kept + dropped = trajectories."""
    for trajectory in trajectories:
        tally.read += 1
        made = make_pair(trajectory, config, seed)
        if isinstance(made, Drop):
            tally.drop(trajectory.trajectory_id, made)
        else:
            yield made


def make_pair(trajectory: Trajectory, config: PairsConfig, seed: int) -> PreferencePair | Drop:
    """The pair of one trajectory, or the reason why there is none."""
    if trajectory.status != "solved":
        return Drop(trajectory.status, trajectory.detail)
    good = trajectory.iterations[-1]
    failing = [a for a in trajectory.iterations[:-1] if is_failing_label(a)]
    if not failing:
        return Drop("no_failing_version")
    # The label rests on one suite: a version judged by any other is a defect upstream, not a pair.
    assert {a.tests_sha256 for a in trajectory.iterations} == {trajectory.tests.sha256}
    bad = choose_negative(failing, config.negative, f"{seed}/{trajectory.trajectory_id}/negative")
    return localised(
        of_files(bad.files),
        of_files(good.files),
        config,
        pair_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        split=trajectory.split,
        category=trajectory.category,
        prompt=trajectory.prompt,
        chosen_iter=good.i,
        rejected_iter=bad.i,
        tests_sha256=good.tests_sha256,
        note=bad.note,
    )


def localised(rejected: Completion, chosen: Completion, config: PairsConfig, **fields: Any) -> PreferencePair | Drop:
    """D-, D+ and the rule filters of two answers: a pair with `fields` besides, or the reason why there is none."""
    # Before anything that takes more than linear time.
    if max(map(len, (rejected.text, chosen.text, str(fields.get("prompt", ""))))) > config.max_characters:
        return Drop("filter_max_characters", f"longer than {config.max_characters} characters")
    difference = localise(rejected.text, chosen.text, config.diff)
    filters = rule_filters(config, rejected, chosen, difference)
    failed = [f for f in filters if not f.passed]
    if failed:
        return Drop(f"filter_{failed[0].name}", failed[0].detail)
    return PreferencePair(
        chosen=chosen.text,
        rejected=rejected.text,
        d_minus=difference.d_minus,
        d_plus=difference.d_plus,
        d_minus_spans=difference.blamed(config.empty_d_minus),
        d_plus_spans=difference.d_plus_spans,
        diff_algo=config.diff,
        empty_policy=config.empty_d_minus,
        # With the rule switched on, a pair that is still here has failed to be equal.
        ast_equal=not config.drop_ast_equal and trees_equal(rejected, chosen)[0],
        filters=filters,
        **fields,
    )


def is_failing_label(attempt: Attempt) -> bool:
    """Whether the verdict says that this version is wrong (and not that our machine was)."""
    return attempt.verdict not in (Verdict.PASS, Verdict.FLAKY, Verdict.HARNESS_ERROR)


def choose_negative(failing: Sequence[Attempt], policy: str, key: str) -> Attempt:
    """`first`, `last`, or `random` by a generator of its own for each trajectory."""
    if policy == "first":
        return failing[0]
    if policy == "last":
        return failing[-1]
    return random.Random(key).choice(failing)
