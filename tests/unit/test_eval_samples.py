"""Files of samples: what is read, what is refused, and where the message points."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_eval_tasks import humaneval_row, lcb_row, written

from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval.samples import Sample, read_samples, write_samples
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.origin import read_bytes
from iterpref.eval.tasks.task import Benchmark


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Benchmark[Any]:
    path = tmp_path_factory.mktemp("tasks") / "he.jsonl"
    return load_benchmark(BenchmarkConfig("humaneval", written(path, [humaneval_row(n) for n in range(3)])))


def row(number: int, program: str = "x = 1") -> dict[str, Any]:
    return {"task_id": f"HumanEval/{number}", "solution": program}


def test_programs_and_completions_are_read_packed_or_not(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    rows = [row(0), {"task_id": "HumanEval/1", "completion": "    return 1"}, row(2) | {"_identifier": "any"}]
    samples = read_samples(Path(written(tmp_path / "s.jsonl", rows)), benchmark)
    assert [s.program for s in samples] == ["x = 1", humaneval_row()["prompt"] + "    return 1", "x = 1"]
    packed = tmp_path / "s.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "s.jsonl").read_bytes()))
    assert [s.program for s in read_samples(packed, benchmark)] == [s.program for s in samples]


def test_ours_are_read_again(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    ours = [Sample(task_id, f"y = {i}") for i, task_id in enumerate(benchmark.tasks)]
    write_samples(tmp_path / "ours.jsonl", ours, benchmark)
    assert [(s.task_id, s.program) for s in read_samples(tmp_path / "ours.jsonl", benchmark)] == [
        (s.task_id, s.program) for s in ours
    ]


def test_the_programs_in_results_and_in_a_folder_of_programs_are_samples_too(
    tmp_path: Path, benchmark: Benchmark[Any]
) -> None:
    ids = list(benchmark.tasks)
    judged = {
        task_id: [{"task_id": task_id, "solution": f"y = {i}", "base_status": "pass"}] for i, task_id in enumerate(ids)
    }
    (tmp_path / "results.json").write_text(json.dumps({"date": "2025-01-01", "eval": judged}, indent=1))
    for i, task_id in enumerate(ids):
        (tmp_path / "programs" / task_id.replace("/", "_")).mkdir(parents=True)
        (tmp_path / "programs" / task_id.replace("/", "_") / "0.py").write_text(f"y = {i}")
    (tmp_path / "programs" / "args.txt").write_text("greedy")
    for name in ("results.json", "programs"):
        read = read_samples(tmp_path / name, benchmark)
        assert [(s.task_id, s.program) for s in read] == [(task_id, f"y = {i}") for i, task_id in enumerate(ids)]
    # EvalPlus before 0.2 kept verdicts alone.
    (tmp_path / "old.json").write_text(json.dumps({"eval": {"HumanEval/0": {"nfiles": 1, "base": [["success", []]]}}}))
    with pytest.raises(UserError, match=r"old\.json, eval, HumanEval/0, item 0: expected a text in 'solution'"):
        read_samples(tmp_path / "old.json", benchmark)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: expected a file, or a folder of programs such as HumanEval_0/0\.py"):
        read_samples(tmp_path / "none", benchmark)


def test_a_byte_order_mark_hides_no_array_and_no_results(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    rows = [{"task_id": task_id, "solution": "x = 1"} for task_id in benchmark.tasks]
    for whole in (rows, {"eval": {one["task_id"]: [one] for one in rows}}):
        (tmp_path / "s.json").write_text(json.dumps(whole), encoding="utf-8-sig")
        assert len(read_samples(tmp_path / "s.json", benchmark)) == len(rows)


def test_the_verdicts_of_human_evals_results_are_known(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    rows = [
        {
            "task_id": task_id,
            "completion": "    return 1\n",
            "result": "passed" if i else "timed out",
            "passed": bool(i),
        }
        for i, task_id in enumerate(benchmark.tasks)
    ]
    read = read_samples(Path(written(tmp_path / "samples.jsonl_results.jsonl", rows)), benchmark)
    assert [sample.published for sample in read] == [{"base": False}, {"base": True}, {"base": True}]


def test_lists_of_programs_without_the_names_of_their_tasks_are_told_what_they_lack(
    tmp_path: Path, benchmark: Benchmark[Any]
) -> None:
    (tmp_path / "generations.json").write_text(json.dumps([["x = 1", "x = 2"], ["y = 1"]]))
    with pytest.raises(UserError, match=r"item 0: .* list came; lists of programs name no task"):
        read_samples(tmp_path / "generations.json", benchmark)


def test_samples_of_tasks_that_the_options_leave_out_are_skipped(tmp_path: Path) -> None:
    tasks = written(tmp_path / "he.jsonl", [humaneval_row(n) for n in range(3)])
    few = load_benchmark(BenchmarkConfig("humaneval", tasks, limit=2))
    file = Path(written(tmp_path / "s.jsonl", [row(n) for n in (2, 1, 0)]))
    assert [s.task_id for s in read_samples(file, few)] == ["HumanEval/1", "HumanEval/0"]
    with pytest.raises(UserError, match="expected at least one sample, got 1 of tasks that the options leave out"):
        read_samples(Path(written(tmp_path / "t.jsonl", [row(2)])), few)
    contest = [lcb_row() | {"question_id": f"q{n}", "contest_date": f"2024-0{n}-01T00:00:00"} for n in (1, 2)]
    window = load_benchmark(
        BenchmarkConfig("livecodebench", written(tmp_path / "l.jsonl", contest), after="2024-02-01")
    )
    (tmp_path / "lcb.json").write_text(json.dumps([{"question_id": f"q{n}", "code_list": ["a"]} for n in (1, 2)]))
    assert [s.task_id for s in read_samples(tmp_path / "lcb.json", window)] == ["q2"]


def test_livecodebench_reads_and_writes_its_own_array(tmp_path: Path) -> None:
    contest = load_benchmark(BenchmarkConfig("livecodebench", written(tmp_path / "l.jsonl", [lcb_row()])))
    (task_id,) = contest.tasks
    write_samples(tmp_path / "ours.jsonl", [Sample(task_id, "a"), Sample(task_id, "b")], contest)
    assert json.loads((tmp_path / "ours.json").read_text()) == [{"question_id": task_id, "code_list": ["a", "b"]}]
    assert [s.program for s in read_samples(tmp_path / "ours.json", contest)] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [row(0), row(7), row(1)],
            r"s\.jsonl, line 2: task_id 'HumanEval/7' is none of the 3 tasks of benchmark=humaneval",
        ),
        ([row(0), row(2)], r"1 of 3 tasks have no sample \(HumanEval/1\).*benchmark\.partial=true"),
        ([row(0), row(1), row(0), row(2)], r"line 3 repeats line 1: HumanEval/0 has 2 samples, other tasks 1"),
        ([row(0), {"task_id": "HumanEval/1"}], r"line 2: expected a text in 'solution' .* got nothing of the kind"),
        ([row(0), {"task_id": "HumanEval/1", "solution": 3}], r"line 2: .*got int"),
        ([row(0), {"id": "HumanEval/1", "solution": "x"}], r"line 2: expected a 'task_id' .*the row has id, solution"),
        ([row(0), ["no object"]], r"line 2: a JSON object was expected, list came"),
        ([], "expected at least one sample"),
    ],
)
def test_bad_samples_are_refused_before_anything_runs(
    tmp_path: Path, benchmark: Benchmark[Any], lines: list[Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_samples(Path(written(tmp_path / "s.jsonl", lines)), benchmark)


def test_a_packed_file_is_read_whatever_its_name_and_a_null_is_no_solution(
    tmp_path: Path, benchmark: Benchmark[Any]
) -> None:
    lines = [row(0), {"task_id": "HumanEval/1", "solution": None, "completion": "    pass"}, row(2)]
    text = Path(written(tmp_path / "s.jsonl", lines)).read_bytes()
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(text))
    found = read_samples(tmp_path / "packed.jsonl", benchmark)
    assert found[1].program == benchmark.tasks["HumanEval/1"].prompt + "    pass"
    (tmp_path / "half.jsonl.gz").write_bytes(gzip.compress(text)[:-9])
    with pytest.raises(UserError, match=r"half\.jsonl\.gz was cut off or damaged"):
        read_samples(tmp_path / "half.jsonl.gz", benchmark)


def test_a_path_that_is_not_there_or_a_folder_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text("")
    with pytest.raises(UserError, match=r"benchmark\.path=.*taks\.jsonl is not there; did you mean 'tasks\.jsonl'\?"):
        read_bytes(tmp_path / "taks.jsonl", "benchmark.path")
    with pytest.raises(UserError, match=r"benchmark\.path=.* is a folder: expected a file, such as tasks\.jsonl"):
        read_bytes(tmp_path, "benchmark.path")


def test_half_a_line_is_named(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(row(0)) + "\n" + json.dumps(row(1))[:20])
    with pytest.raises(UserError, match=r"s\.jsonl, line 2: not a JSON object .*mend or remove it"):
        read_samples(path, benchmark)


def test_a_part_of_the_tasks_is_read_when_that_is_said(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    path = Path(written(tmp_path / "s.jsonl", [row(0), row(2)]))
    assert len(read_samples(path, benchmark, partial=True)) == 2


def test_equal_answers_count_as_samples_when_every_task_has_as_many(tmp_path: Path, benchmark: Benchmark[Any]) -> None:
    path = Path(written(tmp_path / "s.jsonl", [row(n) for n in (0, 0, 1, 1, 2, 2)]))
    assert len(read_samples(path, benchmark)) == 6
