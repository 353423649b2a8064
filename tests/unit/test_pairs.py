"""From a debugging history to a pair: which version is y-, what is dropped and why, and never across two suites."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from iterpref.codeflow.code import of_files
from iterpref.codeflow.pairs import choose_negative, is_failing_label, make_pair, make_pairs
from iterpref.codeflow.tally import Drop, DroppedPair, Tally
from iterpref.config import PairsConfig
from iterpref.schema import Attempt, PreferencePair, SourceFile, Span, TestSuite, Trajectory, Verdict

SUITE = TestSuite((SourceFile("test_a.py", "tests"),), "unittest", 1)


def history(
    *versions: tuple[str, str], name: str = "t#0", status: str = "solved", suite: TestSuite = SUITE
) -> Trajectory:
    """A trajectory out of (verdict, code) pairs."""
    attempts = tuple(
        Attempt(
            i, i - 1 if i else None, (SourceFile("a.py", code),), suite.sha256, Verdict(verdict), "", 0, 1, note=f"n{i}"
        )
        for i, (verdict, code) in enumerate(versions)
    )
    return Trajectory(name, name.split("#")[0], "p", "bank", "MIT", "c", "train", suite, attempts, status, 1)


LONG = history(*[("FAIL", f"x = {i}\n") for i in range(5)], ("PASS", "x = 9\n"))


def paired(trajectory: Trajectory, seed: int = 0, **options: Any) -> PreferencePair:
    pair = make_pair(trajectory, PairsConfig(**options), seed)
    assert isinstance(pair, PreferencePair), pair
    return pair


def test_a_completion_is_a_fence() -> None:
    assert of_files((SourceFile("a.py", "x = 1\n"),)).text == "```python\nx = 1\n```"
    assert of_files((SourceFile("a.py", "x = 1"),)).text == "```python\nx = 1\n```"


def test_several_files_stand_under_their_names() -> None:
    made = of_files((SourceFile("a.py", "x\n"), SourceFile("b/c.py", "y")))
    assert made.text == "<file>a.py</file>\n```python\nx\n```\n<file>b/c.py</file>\n```python\ny\n```"


def test_a_pair_by_hand() -> None:
    trajectory = history(("ERROR", "def f(x):\n    return y\n"), ("PASS", "def f(x):\n    return x\n"))
    pair = paired(trajectory)
    assert pair.rejected == "```python\ndef f(x):\n    return y\n```"
    assert pair.chosen == "```python\ndef f(x):\n    return x\n```"
    assert (pair.pair_id, pair.task_id, pair.split, pair.category, pair.prompt) == ("t#0", "t", "train", "c", "p")
    assert (pair.rejected_iter, pair.chosen_iter, pair.note, pair.tests_sha256) == (0, 1, "n0", SUITE.sha256)
    assert (pair.d_minus, pair.d_plus) == ((2,), (2,))
    assert [pair.rejected[s.start : s.end] for s in pair.d_minus_spans] == ["    return y\n"]
    assert [pair.chosen[s.start : s.end] for s in pair.d_plus_spans] == ["    return x\n"]
    assert (pair.diff_algo, pair.empty_policy, pair.ast_equal) == ("lcs", "literal", False)
    assert all(f.passed for f in pair.filters)


@pytest.mark.parametrize(("policy", "i"), [("first", 0), ("last", 4)])
def test_first_and_last_take_that_failing_version(policy: str, i: int) -> None:
    assert paired(LONG, negative=policy).rejected_iter == i


def test_random_reaches_every_failing_version_and_never_the_good_one() -> None:
    drawn = Counter(paired(LONG, seed=seed).rejected_iter for seed in range(200))
    assert set(drawn) == {0, 1, 2, 3, 4}
    assert min(drawn.values()) > 15


def test_random_is_the_same_in_every_process_and_apart_for_each_trajectory() -> None:
    program = (
        "from iterpref.codeflow.pairs import choose_negative; from iterpref.schema import *\n"
        "failing = [Attempt(i, None, (), '', Verdict.FAIL, '', 0, 1) for i in range(50)]\n"
        "print([choose_negative(failing, 'random', f'0/t#{n}/negative').i for n in range(5)])"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": h}, capture_output=True, text=True, check=True
        ).stdout
        for h in ("1", "2")
    }
    failing = [Attempt(i, None, (), "", Verdict.FAIL, "", 0, 1) for i in range(50)]
    here = [choose_negative(failing, "random", f"0/t#{n}/negative").i for n in range(5)]
    assert results == {f"{here}\n"}
    assert len(set(here)) > 1


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_a_verdict_on_the_program_is_a_label(verdict: Verdict) -> None:
    label = is_failing_label(Attempt(0, None, (), "", verdict, "", 0, 1))
    assert label is (verdict not in (Verdict.PASS, Verdict.FLAKY, Verdict.HARNESS_ERROR))


def test_a_flaky_version_is_passed_over() -> None:
    trajectory = history(("FLAKY", "x = 1\n"), ("OOM", "x = 2\n"), ("FLAKY", "x = 3\n"), ("PASS", "x = 4\n"))
    assert {paired(trajectory, seed=s).rejected_iter for s in range(20)} == {1}


@pytest.mark.parametrize(
    ("trajectory", "reason"),
    [
        (history(("FAIL", "x"), status="unsolved"), "unsolved"),
        (history(("PASS", "x"), status="solved_at_once"), "solved_at_once"),
        (history(("FLAKY", "x"), ("PASS", "y")), "no_failing_version"),
        (history(("FAIL", "x = 1\n# a\n"), ("PASS", "x = 1\n")), "filter_comment_only"),
        (history(("FAIL", "x = 1\nx  =  2\n"), ("PASS", "x = 1\nx = 2\n")), "filter_ast_equal"),
        (history(("FAIL", "".join(f"x{i} = 1\n" for i in range(21))), ("PASS", "y\n")), "filter_d_minus_lines"),
    ],
)
def test_a_trajectory_without_a_pair_says_why(trajectory: Trajectory, reason: str) -> None:
    made = make_pair(trajectory, PairsConfig(negative="first"), 0)
    assert isinstance(made, Drop)
    assert made.reason == reason


def test_pairs_and_drops_add_up_to_the_trajectories() -> None:
    trajectories = [
        replace(LONG, trajectory_id="a#0"),
        history(("FAIL", "x"), status="unsolved"),
        history(("PASS", "x"), status="solved_at_once"),
        history(("FAIL", "x"), status="unsolved"),
        replace(LONG, trajectory_id="b#0"),
    ]
    gone: list[DroppedPair] = []
    tally = Tally(gone.append)
    pairs = list(make_pairs(trajectories, PairsConfig(), 0, tally))
    assert [p.pair_id for p in pairs] == ["a#0", "b#0"]
    assert tally.counts == {"solved_at_once": 1, "unsolved": 2}
    assert [d.place for d in gone] == [t.trajectory_id for t in trajectories[1:4]]
    assert len(pairs) + len(gone) == tally.read == len(trajectories)


def test_the_order_of_trajectories_changes_no_pair() -> None:
    trajectories = [replace(LONG, trajectory_id=f"t{i}#0") for i in range(20)]
    forward, backward = (
        list(make_pairs(order, PairsConfig(), 3, Tally(print))) for order in (trajectories, reversed(trajectories))
    )
    assert forward == backward[::-1]
    assert {p.rejected_iter for p in forward} != {forward[0].rejected_iter}


@pytest.mark.parametrize("i", [0, 1])
def test_a_version_judged_by_other_tests_is_never_paired(i: int) -> None:
    trajectory = history(("FAIL", "x = 1\n"), ("PASS", "x = 2\n"))
    attempts = list(trajectory.iterations)
    attempts[i] = replace(attempts[i], tests_sha256="0" * 64)
    with pytest.raises(AssertionError):
        make_pair(replace(trajectory, iterations=tuple(attempts)), PairsConfig(), 0)


LACKING = history(("FAIL", "a = 1\nc = 1\n"), ("PASS", "a = 1\nb = 1\nc = 1\n"))


@pytest.mark.parametrize(("policy", "spans"), [("literal", ()), ("anchor", (Span(16, 16),))])
def test_a_version_that_only_lacks_lines(policy: str, spans: tuple[Span, ...]) -> None:
    pair = paired(LACKING, empty_d_minus=policy)
    assert (pair.d_minus, pair.d_plus, pair.d_minus_spans, pair.empty_policy) == ((), (2,), spans, policy)
    assert pair.rejected[16:].startswith("c = 1")


def test_a_version_that_only_lacks_lines_may_be_dropped() -> None:
    assert make_pair(LACKING, PairsConfig(empty_d_minus="drop"), 0) == Drop("filter_empty_d_minus")


def test_an_anchor_is_set_only_where_nothing_can_be_blamed() -> None:
    trajectory = history(("FAIL", "x = 1\n"), ("PASS", "x = 2\ny = 3\n"))
    assert paired(trajectory, empty_d_minus="anchor") == replace(paired(trajectory), empty_policy="anchor")


def test_the_diff_is_the_configured_one() -> None:
    trajectory = history(("FAIL", "a = 0\nb = 1\nc = 0\n"), ("PASS", "a = 1\nb = 1\nc = 1\n"))
    assert paired(trajectory).d_minus == (1, 3)
    assert paired(trajectory, diff="prefix_suffix").d_minus == (1, 2, 3)
