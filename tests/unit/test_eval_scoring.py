"""Samples become verdicts and figures: stubs fail, references pass, nothing is run twice, what cannot run is no failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_eval_tasks import bcb_row, humaneval_row, lcb_row, mbpp_row, written
from tests.unit.test_evalplus import row as plus_row

from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import FunctionCases, Limits, RunRequest, RunResult
from iterpref.config import BenchmarkConfig, Config
from iterpref.config.root import PathsConfig
from iterpref.errors import UserError
from iterpref.eval.ledger import Ledger
from iterpref.eval.packages import third_party, to_preload
from iterpref.eval.samples import Sample, read_samples
from iterpref.eval.scored import compare_folders
from iterpref.eval.scores import rate_by_task, read_scores, results, summarise, write_scores
from iterpref.eval.scoring import folder_for, judge_samples, verdicts_file
from iterpref.eval.tables import comparison_sheets, markdown, score_sheets
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.task import Benchmark
from iterpref.schema import SourceFile, Verdict


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PooledSandbox]:
    box = PooledSandbox(workers=2, allow_unsafe=True)
    yield box
    box.close()


def built(folder: Path, name: str, rows: list[dict[str, Any]], **options: Any) -> Benchmark[Any]:
    return load_benchmark(BenchmarkConfig(name, written(folder / f"{name}.jsonl", rows), **options))


FAMILIES: dict[str, list[dict[str, Any]]] = {
    "humaneval": [humaneval_row(0), humaneval_row(1) | {"test": "def check(f):\n    for x in range(3):\n        assert f(x) == 2 * x\n"}],
    "mbpp": [mbpp_row(11), mbpp_row(12, test_setup_code="four = 4", test_list=["assert double(2) == four", "assert double(0) == 0"])],
    "mbpp_plus": [plus_row("Mbpp/1", "def f(x):\n    return x / 2\n", [[2], [4]], [[3], [-1]])],
    "bigcodebench": [bcb_row()],
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_references_pass_and_stubs_fail(tmp_path: Path, sandbox: PooledSandbox, name: str) -> None:
    benchmark = built(tmp_path, name, FAMILIES[name])
    tasks = list(benchmark.tasks.values())
    samples = [Sample(t.task_id, text) for t in tasks for text in (t.reference, benchmark.stub(t))]
    judged = judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path)
    last = len(benchmark.parts) - 1
    assert [row.passed(last) for row in judged] == [True, False] * len(tasks)


def test_contest_programs_of_both_kinds(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "livecodebench", [lcb_row(), lcb_row("")])
    called, printed = benchmark.tasks
    programs = [
        (called, "class Solution:\n    def double(self, x: int) -> List[int]:\n        return 2 * x\n", "PASS", ()),
        (called, "def double(x):\n    return x + x\n", "PASS", ()),
        (called, "class Solution:\n    def double(self, x):\n        return [][x]\n", "ERROR", ("IndexError",)),
        (called, "class Solution:\n    pass\n", "ERROR", ("AttributeError",)),
        (printed, "print(2 * int(input()))", "PASS", ()),
        (printed, "import sys\nprint(2 * int(sys.stdin.buffer.read()))", "PASS", ()),
        (printed, "print(5)", "FAIL", ("wrong answer",)),
        (printed, "x = ", "ERROR", ("SyntaxError",)),
        *((task, benchmark.stub(benchmark.tasks[task]), None, None) for task in (called, printed)),
    ]
    samples = [Sample(task, text) for task, text, _, _ in programs]
    for row, (_, text, verdict, errors) in zip(
        judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path), programs, strict=True
    ):
        if verdict is None:
            assert not row.passed(0), text
        else:
            assert (row.parts[0].verdict, row.parts[0].errors) == (verdict, errors), text


def test_a_limit_of_each_input_holds_for_each_input_alone(tmp_path: Path, sandbox: PooledSandbox) -> None:
    """Each call takes 0.6 of the limit: together they are over it."""
    benchmark = built(tmp_path, "livecodebench", [lcb_row()], time_factor=0.05)
    slow = "import time\ndef double(x):\n    end = time.process_time() + {}\n    while time.process_time() < end:\n        pass\n    return 2 * x\n"
    samples = [Sample(*benchmark.tasks, slow.format(seconds)) for seconds in (0.18, 0.6)]
    judged = judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path)
    assert [row.parts[0].verdict for row in judged] == ["PASS", "TIMEOUT"]


def test_the_program_and_its_tests_see_each_others_names(tmp_path: Path, sandbox: PooledSandbox) -> None:
    test = (
        "import unittest\nfrom unittest.mock import patch\nimport statistics\nOTHER = 1\n"
        "class TestCases(unittest.TestCase):\n"
        "    @patch(__name__ + '.CONSTANT', 4)\n"
        "    def test_a(self):\n        self.assertEqual(task_func(4), 4)\n"
    )
    benchmark = built(tmp_path, "bigcodebench", [bcb_row() | {"test": test}])
    (task_id,) = benchmark.tasks
    samples = [
        Sample(
            task_id,
            "CONSTANT = 3\ndef task_func(x):\n    return statistics.mean([x]) if CONSTANT == 4 and OTHER else os.sep\n",
        ),
        Sample(task_id, "CONSTANT = 3\ndef task_func(x):\n    return undefined\n"),
        Sample(task_id, "import unittest\nCONSTANT = 4\ndef task_func(x):\n    raise unittest.SkipTest\n"),
    ]
    judged = judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path, only_fit=False)
    assert [row.passed(0) for row in judged] == [True, False, False]
    assert judged[1].parts[0].errors == ("NameError",)


def test_a_task_whose_reference_fails_here_is_not_run(tmp_path: Path, sandbox: PooledSandbox) -> None:
    broken = bcb_row() | {"task_id": "BigCodeBench/1", "canonical_solution": "    return open('/corpus').read()\n"}
    benchmark = built(tmp_path, "bigcodebench", [bcb_row(), broken])
    samples = [Sample(t.task_id, bcb_row()["code_prompt"] + "    return x ** 0.5\n") for t in benchmark.tasks.values()]
    judged = judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path)
    assert [(row.ran, row.passed(0)) for row in judged] == [(True, True), (False, False)]
    assert judged[1].parts[0].detail == "its reference fails here: ERROR FileNotFoundError"
    again: Any = Counting(sandbox)
    judge_samples(benchmark, samples, again, tmp_path / "v", tmp_path)
    assert again.n_runs == 0


def test_a_task_whose_package_is_absent_is_not_run_and_in_no_rate(tmp_path: Path, sandbox: PooledSandbox) -> None:
    rows = [humaneval_row(0), humaneval_row(1), humaneval_row(2)]
    rows[1]["prompt"] = "import no_such_package\n" + rows[1]["prompt"]
    benchmark = built(tmp_path, "humaneval", rows)
    samples = [Sample(t.task_id, t.reference) for t in benchmark.tasks.values()]
    samples[2] = Sample("HumanEval/2", "import no_such_package\n")
    judged = judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path)
    scores = summarise(benchmark, samples, judged)
    assert (scores["n_tasks_run"], scores["not_run"]) == (2, {"needs no_such_package": 1})
    assert scores["lacking"] == {"no_such_package": 1}
    assert scores["verdicts"] == {"PASS": 1, "NOT_RUN": 1, "ERROR": 1}
    assert scores["parts"]["base"]["pass@1"]["mean"] == 0.5
    text = markdown(score_sheets([("a", scores)]))
    assert "| needs no_such_package | 1 |" in text
    assert "| tasks run | 2 of 3 |" in text


def test_expected_values_of_every_kind_are_read_again(tmp_path: Path, sandbox: PooledSandbox) -> None:
    """An object of no plain type, text, numbers: kept by one command, and the same for the next."""
    for returned in ("re.match('a', 'a')", "iter([1])", "x", "[x, {x: (x, None)}]"):
        rows = [plus_row("Mbpp/1", f"import re\ndef f(x):\n    return {returned}\n", [[2]], [[3], ["a"]])]
        cache = tmp_path / str(len(returned))
        known = []
        for _ in range(2):
            benchmark: Any = built(tmp_path, "mbpp_plus", rows)
            benchmark.get_ready(list(benchmark.tasks.values()), sandbox, cache)
            known.append(
                repr({key: [getattr(v, "__dict__", v) for v in r.values] for key, r in benchmark._known.items()})
            )
        assert known[0] == known[1]


def test_verdicts_that_came_with_the_samples_are_compared_with_ours(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "mbpp_plus", FAMILIES["mbpp_plus"])
    (task,) = benchmark.tasks.values()
    floors = "def f(x):\n    return x // 2\n"  # right on the base inputs alone
    judged_as = {"a": (task.reference, "pass", "pass"), "b": (floors, "pass", "pass"), "c": (floors, "pass", "fail")}
    judged_as["d"] = (floors, "fail", "fail")
    rows = [{"solution": code, "base_status": base, "plus_status": plus} for code, base, plus in judged_as.values()]
    (tmp_path / "results.json").write_text(json.dumps({"eval": {task.task_id: rows}}))
    samples = read_samples(tmp_path / "results.json", benchmark)
    scores = summarise(benchmark, samples, judge_samples(benchmark, samples, sandbox, tmp_path / "v", tmp_path))
    assert scores["published"] == {
        # What became of that part, and not of the last one that was run.
        "base": {"agree": 3, "of": 4, "differ": [{"task_id": "Mbpp/1", "published": False, "ours": "PASS"}]},
        "plus": {
            "agree": 3,
            "of": 4,
            "differ": [{"task_id": "Mbpp/1", "published": True, "ours": "FAIL case 0"}],
        },
    }
    text = markdown(score_sheets([("a", scores)]))
    assert "| verdicts as published, plus | 3 of 4 |" in text
    assert "| Mbpp/1 | plus | passed | FAIL case 0 |" in text


class Counting:
    """A sandbox that counts, and may fail on a program or be stopped after some runs."""

    tier, workers = "counting", 1

    def __init__(self, inner: PooledSandbox, stop_after: int = 10**9, broken: str = "") -> None:
        self._inner, self._left, self._broken, self.n_runs = inner, stop_after, broken, 0

    def run(self, request: RunRequest) -> RunResult:
        if self.n_runs == self._left:
            raise KeyboardInterrupt
        self.n_runs += 1
        if self._broken and self._broken in request.files[0].text:
            return RunResult(Verdict.HARNESS_ERROR, "no memory", 0, 0)
        return self._inner.run(request)


def test_a_stopped_scoring_goes_on_and_equal_programs_run_once(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "humaneval", [humaneval_row(n) for n in range(4)])
    samples = [Sample(t.task_id, t.reference) for t in benchmark.tasks.values() for _ in range(2)]
    stopped = Counting(sandbox, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        judge_samples(benchmark, samples, stopped, tmp_path / "v", tmp_path)  # type: ignore[arg-type]
    path = tmp_path / "v" / verdicts_file(benchmark)
    with path.open("a") as file:
        file.write('{"half a')
    with Ledger(path) as ledger:
        kept = len(list(ledger.rows()))
    assert kept >= 1
    again = Counting(sandbox)
    judged = judge_samples(benchmark, samples, again, tmp_path / "v", tmp_path)  # type: ignore[arg-type]
    assert again.n_runs == 4 - kept
    assert [row.task_id for row in judged] == [sample.task_id for sample in samples]
    assert all(row.passed(0) for row in judged)


def test_verdicts_of_another_environment_are_not_taken(
    tmp_path: Path, sandbox: PooledSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = built(tmp_path, "humaneval", [humaneval_row(0)])
    samples = [Sample("HumanEval/0", benchmark.tasks["HumanEval/0"].reference)]
    for expected in (1, 0):
        counting: Any = Counting(sandbox)
        judge_samples(benchmark, samples, counting, tmp_path / "v", tmp_path)
        assert counting.n_runs == expected
    monkeypatch.setattr("iterpref.eval.scoring.environment", lambda roots: {"python": "3.11.7", "numpy": "0.1"})
    judge_samples(benchmark, samples, counting, tmp_path / "v", tmp_path)
    assert counting.n_runs == 1


def test_two_commands_on_one_folder_run_each_program_once(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "humaneval", [humaneval_row(n) for n in range(6)])
    samples = [Sample(t.task_id, t.reference) for t in benchmark.tasks.values()]
    boxes: list[Any] = [Counting(sandbox), Counting(sandbox)]
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(lambda box: judge_samples(benchmark, samples, box, tmp_path / "v", tmp_path), boxes))
    assert sum(box.n_runs for box in boxes) == 6


def test_a_failure_of_the_sandbox_is_no_verdict_and_loses_none(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "humaneval", [humaneval_row(n) for n in range(3)])
    samples = [Sample(t.task_id, f"{t.reference}#{t.task_id}") for t in benchmark.tasks.values()]
    broken: Any = Counting(sandbox, broken="#HumanEval/1")
    with pytest.raises(UserError, match=r"failed on 1 of 3 programs \(first: HumanEval/1\).*kept"):
        judge_samples(benchmark, samples, broken, tmp_path / "v", tmp_path)
    again: Any = Counting(sandbox)
    assert all(row.passed(0) for row in judge_samples(benchmark, samples, again, tmp_path / "v", tmp_path))
    assert again.n_runs == 1


def test_scores_are_written_read_and_compared(tmp_path: Path, sandbox: PooledSandbox) -> None:
    benchmark = built(tmp_path, "humaneval", [humaneval_row(n) for n in range(3)])
    samples = [Sample(t.task_id, text) for t in benchmark.tasks.values() for text in (t.reference, benchmark.stub(t))]
    folder = folder_for(benchmark, tmp_path)
    judged = judge_samples(benchmark, samples, sandbox, folder, tmp_path)
    scores = summarise(benchmark, samples, judged)
    assert scores["samples_a_task"] == [2, 2]
    assert scores["judged"] == {"outside": 6}
    write_scores(folder, scores, results(benchmark, judged), "text")
    found, again, rows = read_scores(tmp_path, "against")
    assert (found, again) == (folder, json.loads(json.dumps(scores)))
    assert rate_by_task(rows, "base") == dict.fromkeys(benchmark.tasks, 0.5)
    with pytest.raises(UserError, match=r"against=.*found none"):
        read_scores(tmp_path / "nowhere", "against")
    command = Config(against=str(tmp_path), paths=PathsConfig(run=str(folder)))
    with pytest.raises(
        UserError, match=r"against=.* is the folder of scores .* itself: name the scores of another model"
    ):
        compare_folders(command)
    (folder / "scores.json").write_text("[]")
    with pytest.raises(
        UserError, match=r"its scores cannot be read \(scores.json lacks settings or parts\); score again"
    ):
        compare_folders(command)
    write_scores(folder, scores, results(benchmark, judged), "text")
    with (folder / "results.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(UserError, match=r"a line of results.jsonl lacks task_id or ran"):
        compare_folders(command)
    part = {
        "n_tasks": 3,
        "difference": 0.1,
        "low": 0.0,
        "high": 0.2,
        "gained": 1,
        "lost": 0,
        "p_bootstrap": 0.5,
        "p_mcnemar": None,
    }
    assert (
        "| base | 3 | +10.0 [+0.0, +20.0] | 1 | 0 | 0.5 | - |"
        in comparison_sheets(("a", "b"), {"base": part})[0].markdown()
    )


def test_a_module_that_writes_while_it_is_imported_can_be_ready_before_a_run(sandbox: PooledSandbox) -> None:
    files = (SourceFile("solution.py", "import matplotlib.pyplot as plt\ndef f():\n    return len(plt.subplots())\n"),)
    request = RunRequest(files, FunctionCases(((),), (2,), "f"), Limits(memory_mb=4096), preload=("matplotlib.pyplot",))
    assert sandbox.run(request).verdict == Verdict.PASS


def test_imports_are_found_wherever_they_stand_and_python_s_own_left_out() -> None:
    source = "import os, numpy.linalg as la\ndef f():\n    from pandas import DataFrame\n    from . import x\n"
    assert third_party(source) == {"numpy", "pandas"}
    assert third_party("import (") == frozenset()
    assert to_preload({"numpy", "no_such_package"}) == ("numpy",)
    assert to_preload({"pandas"}) == ("numpy", "pandas")
    assert to_preload({"no_such_package"}) == ()
