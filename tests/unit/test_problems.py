"""Tasks from a JSONL file: what is read, and what each kind of broken line says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from iterpref.codeflow.problems import load_problems, read_jsonl, take_evenly
from iterpref.config import ProblemsConfig
from iterpref.errors import UserError
from iterpref.schema import Problem, SourceFile, TestSuite

TESTS = """import unittest
class T(unittest.TestCase):
    def test_a(self):
        pass
    def test_b(self):
        pass
"""
ROW: dict[str, Any] = {"task_id": "t1", "prompt": "Write f.", "tests": TESTS, "solution": "f = 1\n"}


def written(tmp_path: Path, *rows: dict[str, Any] | str | bytes, end: bytes = b"\n") -> Path:
    lines = [r if isinstance(r, bytes) else (r if isinstance(r, str) else json.dumps(r)).encode() for r in rows]
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(end.join(lines))
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_jsonl(path)
    return str(caught.value)


def test_a_row_becomes_a_problem(tmp_path: Path) -> None:
    row = {**ROW, "split": "test", "category": "text", "source": "mine", "license": "MIT"}
    (problem,) = read_jsonl(written(tmp_path, row))
    suite = TestSuite((SourceFile("test_solution.py", TESTS),), "unittest", 2)
    reference = (SourceFile("solution.py", "f = 1\n"),)
    assert problem == Problem("t1", "Write f.", suite, reference, "mine", "MIT", "text", "test")


def test_what_is_left_out_or_null_has_a_default(tmp_path: Path) -> None:
    row = {
        "task_id": "t",
        "prompt": "p",
        "tests": TESTS,
        "solution": None,
        "category": None,
        "source": None,
        "license": None,
    }
    (problem,) = read_jsonl(written(tmp_path, row))
    assert (problem.reference, problem.category, problem.source, problem.license) == ((), "", "jsonl", "unknown")
    assert problem.split == "train"


def test_several_files_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    (problem,) = read_jsonl(written(tmp_path, {**ROW, "tests": {"test_b.py": TESTS, "test_a.py": "x = 1\n"}}))
    assert [f.name for f in problem.tests.files] == ["test_a.py", "test_b.py"]
    assert problem.tests.n_tests == 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n  \n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_line_ends_blank_lines_and_a_byte_order_mark_do_not_matter(
    tmp_path: Path, end: bytes, mark: bytes, tail: bytes
) -> None:
    path = written(tmp_path, ROW, {**ROW, "task_id": "t2"}, end=end)
    path.write_bytes(mark + path.read_bytes() + tail)
    assert [p.task_id for p in read_jsonl(path)] == ["t1", "t2"]


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    raw = json.dumps({**ROW, "prompt": "a\u2028b\x0cc\x85d"}, ensure_ascii=False)
    assert read_jsonl(written(tmp_path, raw))[0].prompt == "a\u2028b\x0cc\x85d"


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    rows = [{**ROW, "task_id": f"t{i}"} for i in range(16)]
    message = refused(written(tmp_path, *rows, '{"task_id": "t16"', ROW))
    assert message.startswith(f"{tmp_path / 'tasks.jsonl'}:17: not a JSON object")
    assert "mend or remove this line" in message


def test_bytes_that_are_no_utf8_are_named_by_their_line(tmp_path: Path) -> None:
    rows = [json.dumps({**ROW, "task_id": f"t{i}"}) for i in range(40)]
    message = refused(written(tmp_path, *rows, b'{"task_id": "caf\xe9"}', rows[0]))
    assert f"{tmp_path / 'tasks.jsonl'}:41: not UTF-8" in message
    assert "at byte 16 of the line" in message
    path = written(tmp_path, "x")
    path.write_text(json.dumps(ROW), encoding="utf-16")
    assert "tasks.jsonl:1: not UTF-8" in refused(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"promt": "x"}, "unknown field 'promt'; the fields are task_id, prompt, tests"),
        ({"task_id": ""}, "'task_id' must be a text that is not empty, '' came"),
        ({"task_id": 7}, "'task_id' must be a text that is not empty, 7 came"),
        ({"prompt": None}, "'prompt' must be a text that is not empty, None came"),
        ({"prompt": "  "}, "'prompt' must be a text"),
        ({"split": "dev"}, "split='dev' is none of train, validation, test"),
        ({"split": ["train"]}, "split=['train'] is none of"),
        ({"tests": ""}, "'tests' must be a text, or an object of file names and texts; '' came"),
        ({"tests": None}, "'tests' must be a text"),
        ({"tests": {}}, "'tests' must be a text"),
        ({"tests": {"a.py": 1}}, "'tests' must be a text"),
        ({"tests": "assert f() == 1"}, "'tests' of t1 holds no unittest test method; at least one was expected"),
        ({"tests": "def f(:\n"}, "test file 'test_solution.py': expected Python source"),
        ({"solution": ["f = 1"]}, "'solution' must be a text"),
        ({"prompt": "\ud800"}, "'\\ud800' is half of a character"),
    ],
)
def test_a_row_that_is_no_task_names_the_line_and_the_fault(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    message = refused(written(tmp_path, {**ROW, "task_id": "t0"}, {**ROW, **change}))
    assert message.startswith(f"{tmp_path / 'tasks.jsonl'}:2: ")
    assert expected in message


def test_a_line_that_is_nested_too_deep_is_named(tmp_path: Path) -> None:
    assert "tasks.jsonl:2: nested too deep" in refused(written(tmp_path, ROW, "[" * 100_000))


@pytest.mark.parametrize(("line", "kind"), [("[1]", "list"), ('"a"', "str"), ("null", "NoneType"), ("3", "int")])
def test_a_line_that_is_no_object_says_what_came(tmp_path: Path, line: str, kind: str) -> None:
    assert f"tasks.jsonl:1: a JSON object was expected, {kind} came" in refused(written(tmp_path, line))


def test_an_id_that_comes_twice_names_both_lines(tmp_path: Path) -> None:
    message = refused(written(tmp_path, ROW, "", {**ROW, "prompt": "other"}))
    assert "tasks.jsonl:3: task_id 't1' stands in " in message
    assert message.endswith("tasks.jsonl:1 already")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.jsonl") == f"problems.path={tmp_path / 'no.jsonl'}: there is no such file"
    (tmp_path / "yes.jsonl").touch()
    assert refused(tmp_path / "yes.json").endswith("there is no such file; did you mean 'yes.jsonl'?")
    assert "JSON lines were expected, and it is a folder; problems=hub reads one" in refused(tmp_path)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_task_is_refused(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=r"there is no task in .*tasks\.jsonl; at least one was expected"):
        load_problems(ProblemsConfig("jsonl", str(path)))


def problem(task_id: str, split: str) -> Problem:
    return Problem(task_id, "p", TestSuite((), "unittest", 1), split=split)


def test_a_limit_takes_two_of_train_for_one_of_each_other_split() -> None:
    rows = [problem(f"{split}{i}", split) for split in ("test", "train", "validation") for i in range(9)]
    taken = [p.task_id for p in take_evenly(rows, 8)]
    assert taken == ["test0", "test1", "train0", "train1", "train2", "train3", "validation0", "validation1"]


def test_a_limit_goes_on_where_a_split_has_ended() -> None:
    rows = [problem("a", "test"), *(problem(f"t{i}", "train") for i in range(5))]
    assert [p.task_id for p in take_evenly(rows, 4)] == ["a", "t0", "t1", "t2"]
    assert len(take_evenly(rows, 100)) == 6


def test_a_larger_limit_keeps_what_a_smaller_one_took() -> None:
    rows = [problem(f"{i:02}", ("train", "test", "validation")[i % 3]) for i in range(20)]
    taken = [{p.task_id for p in take_evenly(rows, limit)} for limit in range(1, 21)]
    assert all(len(small) + 1 == len(large) and small < large for small, large in pairwise(taken))


def test_the_bank_is_a_source() -> None:
    problems = load_problems(ProblemsConfig(limit=4))
    assert len(problems) == 4
    assert {p.split for p in problems} == {"train", "validation", "test"}
