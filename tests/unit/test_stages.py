"""The stages on a fake sandbox: built once, kept when killed, the same bytes whatever happened on the way."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from iterpref.artifacts import Artifact
from iterpref.codeflow.debug import sample_seed
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.pair_stages import pairs_stage
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.statistics import Counts
from iterpref.codeflow.store import TrajectoryStore
from iterpref.config import Config, DebugConfig, PairsConfig
from iterpref.data.stages import tokens_stage
from iterpref.errors import UserError
from iterpref.schema import (
    Attempt,
    Draft,
    Example,
    PreferencePair,
    Problem,
    SourceFile,
    TestSuite,
    Timing,
    Trajectory,
    Verdict,
)

TINY = Path(__file__).parents[2] / "src/iterpref/models/tiny"


def problem(name: str, reference: str = "PASS") -> Problem:
    suite = TestSuite((SourceFile("test_a.py", f"tests of {name}"),), "unittest", 2)
    return Problem(name, f"do {name}", suite, (SourceFile("a.py", f"{reference} {name}\n"),) if reference else ())


class Countdown:
    """Writes `seed % 4` failing versions, then the reference."""

    name = "countdown"

    def start(self, problem: Problem, seed: int) -> Draft:
        return self.revise(problem, [], "", seed)

    def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        left = seed % 4 - len(attempts)
        return Draft(
            (SourceFile("a.py", f"FAIL {left}\n" if left > 0 else f"PASS {problem.task_id}\n"),), f"{left} left"
        )

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name}


class FakeSandbox:
    """The verdict is the first word of the solution; the n-th run (from 1) raises `fault`, or has no verdict."""

    tier = "fake"

    def __init__(self, workers: int = 1, fault_at: int = 0, fault: BaseException | None = None) -> None:
        self.workers, self.fault_at, self.fault = workers, fault_at, fault
        self.runs, self.closed = 0, 0
        self.lock = threading.Lock()

    def run(self, request: RunRequest) -> RunResult:
        with self.lock:
            self.runs += 1
            faulty = self.runs == self.fault_at
        if faulty and self.fault:
            raise self.fault
        word, _, detail = request.files[0].text.partition(" ")
        verdict = Verdict.HARNESS_ERROR if faulty else Verdict(word)
        n_pass = 2 * (verdict == Verdict.PASS)
        coverage = 0.75 if request.measure_coverage and n_pass else None
        return RunResult(
            verdict, detail.strip(), n_pass, 2 - n_pass, coverage=coverage, tier="fake", duration_ms=float(self.runs)
        )

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        return map(self.run, requests)

    def close(self) -> None:
        self.closed += 1


PROBLEMS = [problem(f"t{i}") for i in range(6)]


def built(
    data: Path, sandbox: FakeSandbox, problems: Sequence[Problem] = PROBLEMS, seed: int = 0, **options: Any
) -> Artifact:
    return trajectories_stage(data, problems, Countdown(), lambda: sandbox, Limits(), DebugConfig(**options), seed)


def digest(artifact: Artifact) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(artifact.folder.iterdir())}


def never() -> FakeSandbox:
    raise AssertionError("the sandbox was opened")


def test_the_stage_debugs_every_sample_of_every_problem(tmp_path: Path) -> None:
    sandbox = FakeSandbox()
    artifact = built(tmp_path, sandbox)
    rows = artifact.read("trajectories", Trajectory)
    assert [t.trajectory_id for t in rows] == [f"t{i}#{s}" for i in range(6) for s in range(2)]
    assert all(len(t.iterations) == t.seed % 4 + 1 for t in rows)
    assert {t.tests.coverage for t in rows} == {0.75}
    assert sandbox.closed == 1
    manifest = artifact.manifest
    assert manifest["counts"]["problems"] == 6
    assert sum(manifest["counts"]["status"].values()) == manifest["counts"]["trajectories"] == 12
    assert manifest["pass_rate_by_iteration"] == [sum(t.seed % 4 <= i for t in rows) / 12 for i in range(6)]
    timings = Artifact(tmp_path / "trajectories" / "timings" / artifact.fingerprint, {}).read("timings", Timing)
    assert [(t.trajectory_id, t.i) for t in timings] == [(t.trajectory_id, a.i) for t in rows for a in t.iterations]
    assert not [p for p in (tmp_path / "trajectories").iterdir() if "sqlite" in p.name]


def test_a_second_call_does_not_touch_the_sandbox(tmp_path: Path) -> None:
    first = built(tmp_path, FakeSandbox())
    assert trajectories_stage(tmp_path, PROBLEMS, Countdown(), never, Limits(), DebugConfig(), 0) == first


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"samples": 1}, {"max_refinements": 4}, {"problems": PROBLEMS[:5]}, {"verify_reference": False}],
)
def test_whatever_the_result_depends_on_is_in_the_key(tmp_path: Path, change: dict[str, Any]) -> None:
    assert built(tmp_path, FakeSandbox(), **change).fingerprint != built(tmp_path, FakeSandbox()).fingerprint


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    assert digest(built(tmp_path / "a", FakeSandbox(1))) == digest(built(tmp_path / "b", FakeSandbox(4)))


@pytest.mark.parametrize("killed_at", [3, 7, 11, 20])
def test_a_killed_run_keeps_its_work_and_ends_with_the_same_bytes(tmp_path: Path, killed_at: int) -> None:
    undisturbed = FakeSandbox()
    whole = built(tmp_path / "whole", undisturbed)
    killed = FakeSandbox(fault_at=killed_at, fault=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "killed", killed)
    assert killed.closed
    folder = tmp_path / "killed" / "trajectories"
    assert not (folder / whole.fingerprint).exists()
    store = TrajectoryStore(folder / f".{whole.fingerprint}.sqlite")
    kept = len(store.checks()) + sum(len(store.history(f"t{i}#{s}")) for i in range(6) for s in range(2))
    store.close()
    assert kept >= killed_at - 1
    again = FakeSandbox()
    assert digest(built(tmp_path / "killed", again)) == digest(whole)
    assert again.runs == undisturbed.runs - kept


class Interrupted(FakeSandbox):
    """Ctrl-C comes in the first run; every run ends when the stage has seen it, or after a second Ctrl-C when it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, twice: bool = False) -> None:
        super().__init__(2)
        self.twice, self.seen, self.closing = twice, threading.Event(), threading.Event()
        stop = Stop.set

        def noticed(own: Stop, cause: BaseException) -> None:
            stop(own, cause)
            self.seen.set()

        monkeypatch.setattr(Stop, "set", noticed)
        self.first = threading.Lock()

    def run(self, request: RunRequest) -> RunResult:
        first = self.first.acquire(blocking=False)
        if first:
            os.kill(os.getpid(), signal.SIGINT)
        assert self.seen.wait(60)
        if self.twice:
            if first:
                time.sleep(0.2)  # a person is no faster
                os.kill(os.getpid(), signal.SIGINT)
            assert self.closing.wait(60)
            return RunResult(Verdict.HARNESS_ERROR, "closed", 0, 0)
        return super().run(request)

    def close(self) -> None:
        super().close()
        self.closing.set()


def test_ctrl_c_finishes_what_is_in_flight_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        sandbox = Interrupted(patched)
        with pytest.raises(KeyboardInterrupt):
            built(tmp_path, sandbox, PROBLEMS, samples=1, verify_reference=False)
    (path,) = (tmp_path / "trajectories").glob(".*.sqlite")
    store = TrajectoryStore(path)
    kept = sum(len(store.history(f"t{i}#0")) for i in range(6))
    store.close()
    assert 1 <= kept == sandbox.runs <= 2  # two workers: nothing was begun after it
    again = FakeSandbox()
    built(tmp_path, again, PROBLEMS, samples=1, verify_reference=False)
    whole = FakeSandbox()
    built(tmp_path / "whole", whole, PROBLEMS, samples=1, verify_reference=False)
    assert again.runs == whole.runs - kept


def test_a_second_ctrl_c_ends_the_runs_that_are_going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Interrupted(monkeypatch, twice=True)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, sandbox, PROBLEMS[:2], samples=1, verify_reference=False)
    assert sandbox.closed


def test_a_run_killed_before_its_last_rename_is_built_again(tmp_path: Path) -> None:
    first = built(tmp_path, FakeSandbox())
    before = digest(first)
    (first.folder / "manifest.json").unlink()
    assert digest(built(tmp_path, FakeSandbox())) == before
    # What an unreadable manifest asks for: the folder is deleted, and its timings are still there.
    for path in first.folder.iterdir():
        path.unlink()
    first.folder.rmdir()
    assert digest(built(tmp_path, FakeSandbox())) == before


@pytest.mark.parametrize(("at", "what"), [(2, "on the reference of t1"), (9, r"in 1 of 12 trajectories \(first: t")])
def test_a_sandbox_that_fails_asks_for_another_try(tmp_path: Path, at: int, what: str) -> None:
    with pytest.raises(UserError, match=f"the sandbox failed {what}.*run the same command again"):
        built(tmp_path, FakeSandbox(fault_at=at))
    assert digest(built(tmp_path, FakeSandbox())) == digest(built(tmp_path / "other", FakeSandbox()))


def test_a_reference_that_fails_is_dropped_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    problems = [PROBLEMS[0], problem("bad", "FAIL"), problem("slow", "TIMEOUT"), problem("bare", "")]
    with caplog.at_level(logging.WARNING):
        artifact = built(tmp_path, FakeSandbox(), problems)
    assert artifact.manifest["counts"]["problems_dropped"] == {"reference_fails": 2}
    assert {t.task_id for t in artifact.read("trajectories", Trajectory)} == {"t0", "bare"}
    assert [r.message.split(":")[0] for r in caplog.records] == ["task bad is dropped", "task slow is dropped"]
    assert "(TIMEOUT: slow)" in caplog.text


def test_references_that_all_fail_stop_the_stage(tmp_path: Path) -> None:
    problems = [problem("a", "FAIL"), problem("b", "ERROR")]
    with pytest.raises(UserError, match=r"none of the 2 tasks can be used.*debug\.verify_reference=false"):
        built(tmp_path, FakeSandbox(), problems)
    assert built(tmp_path, FakeSandbox(), problems, verify_reference=False).manifest["counts"]["trajectories"] == 4


def test_the_pass_rate_counts_what_is_solved_by_an_iteration() -> None:
    attempt = Attempt(0, None, (), "", Verdict.FAIL, "", 0, 1)
    solved = [
        Trajectory("t#0", "t", "p", "", "", "", "train", PROBLEMS[0].tests, (attempt,) * n, "solved", 0)
        for n in (1, 3, 3)
    ]
    unsolved = Trajectory("t#0", "t", "p", "", "", "", "train", PROBLEMS[0].tests, (attempt,) * 3, "unsolved", 0)
    counts = Counts(3)
    for trajectory in (*solved, unsolved):
        counts.see(trajectory)
    assert counts.pass_rate() == [0.25, 0.25, 0.75, 0.75]
    assert Counts(2).pass_rate() == [0.0, 0.0, 0.0]


def test_pairs_are_made_once_from_the_trajectories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trajectories = built(tmp_path, FakeSandbox())
    first = pairs_stage(tmp_path, trajectories, PairsConfig(), 0)
    counts = first.manifest["counts"]
    assert counts["pairs"] + sum(counts["dropped"].values()) == counts["trajectories"] == 12
    assert counts["splits"] == {"train": counts["pairs"]}
    assert len(first.read("pairs", PreferencePair)) == counts["pairs"] > 0
    monkeypatch.setattr("iterpref.codeflow.pair_stages.make_pairs", never)
    assert pairs_stage(tmp_path, trajectories, PairsConfig(), 0) == first


@pytest.mark.parametrize(
    "change", [{"negative": "first"}, {"diff": "ndiff"}, {"empty_d_minus": "anchor"}, {"max_d_minus_lines": 3}]
)
def test_another_rule_makes_other_pairs_of_the_same_trajectories(tmp_path: Path, change: dict[str, Any]) -> None:
    trajectories = built(tmp_path, FakeSandbox())
    keys = {
        pairs_stage(tmp_path, trajectories, PairsConfig(**c), s).fingerprint for c, s in (({}, 0), (change, 0), ({}, 1))
    }
    assert len(keys) == 3


def test_no_pair_at_all_stops_with_the_reasons(tmp_path: Path) -> None:
    seed = next(s for s in range(99) if sample_seed(s, "only", 0) % 4 == 3)
    trajectories = built(tmp_path, FakeSandbox(), [problem("only")], max_refinements=2, samples=1, seed=seed)
    with pytest.raises(
        UserError, match=r"no preference pair came out of 1 trajectories \(unsolved: 1\): raise debug\.samples"
    ):
        pairs_stage(tmp_path, trajectories, PairsConfig(), 0)


def test_tokens_are_made_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = pairs_stage(tmp_path, built(tmp_path, FakeSandbox()), PairsConfig(), 0)
    config = Config()
    with caplog.at_level(logging.WARNING):
        first = tokens_stage(tmp_path, pairs, TINY, config)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    rows = first.read("tokens", Example)
    assert len(rows) == first.manifest["counts"]["examples"] == pairs.manifest["counts"]["pairs"]
    assert all(sum(e.rejected_focal) > 0 for e in rows)
    assert tokens_stage(tmp_path, pairs, TINY, config) == first
    config.mask.chosen = "fence"
    assert tokens_stage(tmp_path, pairs, TINY, config).fingerprint != first.fingerprint


def test_pairs_that_are_all_too_long_stop_the_stage(tmp_path: Path) -> None:
    pairs = pairs_stage(tmp_path, built(tmp_path, FakeSandbox()), PairsConfig(), 0)
    config = Config()
    config.data.max_completion_tokens = 5
    with pytest.raises(
        UserError, match=r"pairs are dropped \(completion_over_5_tokens: \d+ \(first t.*data\.max_completion_tokens"
    ):
        tokens_stage(tmp_path, pairs, TINY, config)
