"""Rows of benchmarks become tasks; programs, prompts and answers in each family's form."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, StdioCases
from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.bigcodebench import suite
from iterpref.eval.tasks.humaneval import tests as humaneval_tests
from iterpref.eval.tasks.livecodebench import PRELUDE, Called, Printed


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def humaneval_row(number: int = 0) -> dict[str, Any]:
    return {
        "task_id": f"HumanEval/{number}",
        "prompt": 'def double(x):\n    """Twice x."""\n',
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert True, 'fine'\n",
        "entry_point": "double",
    }


def mbpp_row(number: int = 11, **changes: Any) -> dict[str, Any]:
    row = {
        "task_id": number,
        "text": "Write a function to double a number.",
        "code": "def double(x):\r\n    return 2 * x",
        "test_list": ["assert double(2) == 4", "assert double(0) == 0", "assert double(-1) == -2"],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
    return row | changes


def bcb_row() -> dict[str, Any]:
    return {
        "task_id": "BigCodeBench/0",
        "complete_prompt": 'import math\n\ndef task_func(x):\n    """The root of x."""\n',
        "instruct_prompt": "The root of x. You should write self-contained code.",
        "canonical_solution": "    return math.sqrt(x)\n",
        "code_prompt": "import math\n\ndef task_func(x):\n",
        "test": "import unittest\nclass TestCases(unittest.TestCase):\n    def test_four(self):\n        self.assertEqual(task_func(4), 2)\n",
        "entry_point": "task_func",
    }


def lcb_row(name: str = "double", day: str = "2024-08-01T00:00:00", packed: bool = True) -> dict[str, Any]:
    private = json.dumps([{"input": "5", "output": "10", "testtype": "functional"}])
    return {
        "question_id": f"q-{name or 'stdin'}-{day[:7]}",
        "question_title": "Double",
        "question_content": "Double the number.",
        "contest_date": day,
        "starter_code": "class Solution:\n    def double(self, x: int) -> int:\n        " if name else "",
        "public_test_cases": json.dumps([{"input": "2", "output": "4", "testtype": "functional"}]),
        "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(private))).decode() if packed else private,
        "metadata": json.dumps({"func_name": name} if name else {}),
    }


def test_checks_that_compare_with_literals_are_judged_outside_and_others_inside() -> None:
    cases = humaneval_tests(humaneval_row()["test"], "double")
    assert isinstance(cases, FunctionCases)
    assert (cases.calls, cases.expected) == (("double(2)",), (4,))
    loop = "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == 2 * x\n"
    inside = humaneval_tests(loop, "double")
    assert isinstance(inside, Asserts)
    assert inside.code.endswith("check(double)\n")
    assert isinstance(humaneval_tests("def check(candidate):\n    assert True\n", "double"), Asserts)


def test_humaneval_programs_prompts_and_answers(tmp_path: Path) -> None:
    path = written(tmp_path / "he.jsonl", [humaneval_row()])
    benchmark = load_benchmark(BenchmarkConfig("humaneval", path))
    task = benchmark.tasks["HumanEval/0"]
    assert benchmark.program(task, {"completion": "    return x + x\n"}) == task.prompt + "    return x + x\n"
    assert benchmark.program(task, {"solution": "s"}) == "s"
    assert benchmark.base_prompt(task) == task.prompt
    assert (
        benchmark.solution(task, "    return 2*x\n\nprint(double(2))", chat=False) == task.prompt + "    return 2*x\n"
    )
    messages, begun = benchmark.chat(task)
    assert "def double" in messages[0]["content"]
    assert begun.endswith("```python\n")
    assert (
        benchmark.solution(task, "def double(x):\n    return 2*x\n```\nDone.", chat=True)
        == "def double(x):\n    return 2*x"
    )


def test_mbpp_splits_ids_and_shots(tmp_path: Path) -> None:
    rows = [mbpp_row(n) for n in (2, 3, 4, 11, 510, 511, 601)]
    path = written(tmp_path / "mbpp.jsonl", rows)
    benchmark = load_benchmark(BenchmarkConfig("mbpp", path))
    assert list(benchmark.tasks) == ["Mbpp/11", "Mbpp/510"]
    assert benchmark.task_id(11) == benchmark.task_id("11") == benchmark.task_id("Mbpp/11") == "Mbpp/11"
    task = benchmark.tasks["Mbpp/11"]
    assert benchmark.base_prompt(task).count("[BEGIN]") == 4  # three shots, and the task
    assert benchmark.base_prompt(task).endswith("assert double(-1) == -2\n[BEGIN]\n")
    assert (
        benchmark.solution(task, "def double(x): return 2*x\n[DONE]\nmore", chat=False) == "def double(x): return 2*x\n"
    )
    assert benchmark.stub(task).startswith("def double(*arguments")
    assert len(load_benchmark(BenchmarkConfig("mbpp", path, split="all")).tasks) == 7
    with pytest.raises(UserError, match="split=validation.*11 to 510|no task from 511"):
        load_benchmark(BenchmarkConfig("mbpp", written(tmp_path / "one.jsonl", rows[3:4]), split="validation"))


def test_a_program_of_bigcodebench_stands_behind_the_signature_and_sees_what_the_tests_import(tmp_path: Path) -> None:
    benchmark = load_benchmark(
        BenchmarkConfig("bigcodebench", written(tmp_path / "b.jsonl", [bcb_row()]), variant="instruct")
    )
    task = benchmark.tasks["BigCodeBench/0"]
    text = benchmark.request(task, "base", "def task_func(x): return x").files[0].text
    assert text.endswith("import math\n\ndef task_func(x):\n\n    pass\ndef task_func(x): return x")
    assert benchmark.base_prompt(task).startswith("The root of x")
    two = (
        bcb_row()["test"] + "class Others(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): pass\n"
    )
    made = suite(two)
    assert made.n_tests == 1
    assert made.files[0].text.endswith("del Others\n")


def test_both_forms_of_livecodebench_and_its_date_window(tmp_path: Path) -> None:
    rows = [lcb_row(), lcb_row("", "2024-10-05", packed=False)]
    path = written(tmp_path / "l.jsonl", rows)
    benchmark = load_benchmark(BenchmarkConfig("livecodebench", path))
    called, printed = benchmark.tasks.values()
    request = benchmark.request(called, "base", "class Solution:\n    def double(self, x): return 2 * x\n")
    assert isinstance(request.tests, FunctionCases)
    assert (request.tests.calls, request.tests.expected) == (((2,), (5,)), (4, 10))
    assert isinstance(benchmark.request(printed, "base", "print(2 * int(input()))").tests, StdioCases)
    assert request.files[0].text.startswith(PRELUDE)
    assert "class Solution" in benchmark.chat(called)[0][1]["content"]
    assert benchmark.solution(called, "Here:\n```python\nx = 1\n```\nDone", chat=True) == "x = 1"
    after = load_benchmark(BenchmarkConfig("livecodebench", path, after="2024-09-01"))
    assert list(after.tasks) == [printed.task_id]
    before = load_benchmark(BenchmarkConfig("livecodebench", path, before="2024-10-05"))
    assert list(before.tasks) == [called.task_id]
    with pytest.raises(UserError, match="no task is left; those of .* are from 2024-08-01 to 2024-10-05"):
        load_benchmark(BenchmarkConfig("livecodebench", path, after="2025-01-01"))
    with pytest.raises(UserError, match=r"benchmark\.after=soon: expected a date"):
        load_benchmark(BenchmarkConfig("livecodebench", path, after="soon"))


class _Evil:
    def __reduce__(self) -> Any:
        return (print, ("loaded",))


def test_packed_tests_that_would_run_code_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = lcb_row() | {"private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(_Evil()))).decode()}
    with pytest.raises(
        UserError, match=r"line 1: the tests of q-double-2024-08 cannot be read .*names builtins\.print"
    ):
        load_benchmark(BenchmarkConfig("livecodebench", written(tmp_path / "l.jsonl", [row])))
    assert capsys.readouterr().out == ""


def test_contest_answers_compare_as_the_harness_does() -> None:
    assert not Called("equal")((1, 2), [1, 2])
    assert Called("equal")([(1, 2)], [[1, 2]])  # only the outermost
    assert not Printed()(" 1 2 \nYES\n\n", "1 2\nYES")
    assert not Printed()("1.50 2", "1.5 2.0")
    assert not Printed()("nan", "nan")
    assert Printed()("sNaN", "1") == "line 1: expected '1', got 'sNaN'"
    assert Printed()("1.5000001", "1.5") == "line 1: expected '1.5', got '1.5000001'"
    assert Printed()("1", "1\n2") == "expected 2 lines, got 1"


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("humaneval", [mbpp_row()], "line 1: expected a task of HumanEval .* looks like mbpp: give benchmark=mbpp"),
        ("mbpp_plus", [bcb_row()], "it lacks .*base_input.*looks like bigcodebench"),
        ("bigcodebench", [humaneval_row()], "looks like humaneval: give benchmark=humaneval"),
        ("humaneval", [humaneval_row(), humaneval_row()], "the task HumanEval/0 is there twice"),
        ("mbpp", [mbpp_row(11), mbpp_row(12), mbpp_row(11)], r"line 3: the task 11 is there twice"),
        (
            "mbpp",
            [mbpp_row(11), mbpp_row(12) | {"task_id": "twelve"}],
            r"line 2: not a task as benchmark=mbpp has .*twelve",
        ),
        ("mbpp", [mbpp_row(11) | {"test_list": None}], r"line 1: not a task as benchmark=mbpp has them \(TypeError"),
        ("bigcodebench", [bcb_row() | {"test": "def ("}], r"line 1: not a task .*SyntaxError"),
        ("humaneval", [], "expected at least one task, got none"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_benchmark(BenchmarkConfig(name, written(tmp_path / "t.jsonl", rows)))


def test_a_broken_line_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(humaneval_row()) + "\n{half\n")
    with pytest.raises(UserError, match=r"t\.jsonl, line 2: not a JSON object"):
        load_benchmark(BenchmarkConfig("humaneval", str(path)))
    with pytest.raises(UserError, match=r"benchmark\.path=.*none\.jsonl"):
        load_benchmark(BenchmarkConfig("humaneval", str(tmp_path / "none.jsonl")))
    with pytest.raises(UserError, match=r"benchmark=mbpp_plus needs its tasks: give benchmark\.path=FILE"):
        load_benchmark(BenchmarkConfig("mbpp_plus"))


def test_load_dataset_reads_a_folder_by_split_and_by_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    written(folder / "test.jsonl", [humaneval_row(0), humaneval_row(1)])
    named = load_benchmark(BenchmarkConfig("humaneval", dataset=str(folder), hub_split="test"))
    assert list(named.tasks) == ["HumanEval/0", "HumanEval/1"]
    assert named.origin.source.startswith("datasets: ")
    files = load_benchmark(BenchmarkConfig("humaneval", dataset=str(folder), files="te*.jsonl"))
    assert files.tasks == named.tasks
    assert files.origin.sha256 == named.origin.sha256
    with pytest.raises(UserError, match=r"benchmark\.dataset=.*there is no such folder"):
        load_benchmark(BenchmarkConfig("humaneval", dataset=str(tmp_path / "nothing"), files="*.jsonl"))


def test_the_limit_keeps_the_first_tasks(tmp_path: Path) -> None:
    path = written(tmp_path / "he.jsonl", [humaneval_row(n) for n in range(3)])
    assert list(load_benchmark(BenchmarkConfig("humaneval", path, limit=2)).tasks) == ["HumanEval/0", "HumanEval/1"]
