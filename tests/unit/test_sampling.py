"""Pairs by sampling: pass against fail of one task, counted, and repeatable."""

from __future__ import annotations

from iterpref.codeflow.pairs import make_pairs
from iterpref.codeflow.sampling import by_sampling
from iterpref.codeflow.tally import Tally
from iterpref.config import PairsConfig
from iterpref.schema import Attempt, PreferencePair, SourceFile, TestSuite, Trajectory, Verdict

SUITE = TestSuite((SourceFile("checks.py", "assert f(1) == 2"),), "asserts", 1)


def sample(task: str, n: int, verdict: Verdict, suite: TestSuite = SUITE) -> Trajectory:
    text = f"def f(x):\n    return x + {1 if verdict == Verdict.PASS else n + 2}  # {n}\n"
    attempt = Attempt(0, None, (SourceFile("solution.py", text),), suite.sha256, verdict, "", 0, 0)
    status = "solved_at_once" if verdict == Verdict.PASS else "unsolved"
    return Trajectory(f"{task}#{n}", task, "do", "", "", "", "train", suite, (attempt,), status, n)


def samples(task: str, *verdicts: Verdict) -> list[Trajectory]:
    # In the order of a finished stage: #10 stands before #2.
    return sorted((sample(task, n, v) for n, v in enumerate(verdicts)), key=lambda t: t.trajectory_id)


P, F = Verdict.PASS, Verdict.FAIL


def paired(rows: list[Trajectory]) -> tuple[list[PreferencePair], Tally]:
    tally = Tally(print)
    return list(make_pairs(by_sampling(rows, 1, 0), PairsConfig(), 0, tally)), tally


def test_a_sample_that_passes_meets_one_that_fails() -> None:
    pairs, tally = paired(samples("t", F, P, F))
    (pair,) = pairs
    assert tally.counts == {}
    assert (pair.pair_id, pair.chosen_iter, pair.rejected_iter in (0, 2)) == ("t#pair0", 1, True)
    assert "x + 1 " in pair.chosen
    assert pair.tests_sha256 == SUITE.sha256


def test_each_passing_sample_is_used_once_and_a_task_has_a_limit() -> None:
    verdicts = [P, F] * 6
    rows = list(by_sampling(samples("t", *verdicts), 4, 0))
    assert len(rows) == 4
    assert len({t.iterations[-1].i for t in rows}) == 4
    assert {a.i for t in rows for a in t.iterations[:-1]} == {1, 3, 5, 7, 9, 11}
    assert len(list(by_sampling(samples("t", *verdicts), 100, 0))) == 6
    assert rows == list(by_sampling(samples("t", *verdicts), 4, 0))
    assert rows != list(by_sampling(samples("t", *verdicts), 4, 1))


def test_tasks_without_both_outcomes_are_counted() -> None:
    rows = [*samples("a", P, P), *samples("b", F, Verdict.TIMEOUT), *samples("c", Verdict.FLAKY, F, P)]
    pairs, tally = paired(rows)
    assert [(p.task_id, p.rejected_iter) for p in pairs] == [("c", 1)]  # a flaky one is neither
    assert tally.counts == {"solved_at_once": 1, "unsolved": 1}


def test_samples_on_other_tests_make_no_pair() -> None:
    other = TestSuite((SourceFile("checks.py", "assert f(1) == 3"),), "asserts", 1)
    rows = [sample("t", 0, F), sample("t", 1, P, other)]
    pairs, tally = paired(rows)
    assert (pairs, tally.counts) == ([], {"unsolved": 1})
