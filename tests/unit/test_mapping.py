"""Rows of any shape as tasks, by expressions over their columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from iterpref.cli import CONFIG_DIR
from iterpref.codeflow.problems import read_jsonl
from iterpref.codeflow.suites import NO_TESTS, as_tests
from iterpref.config.codeflow import MappingConfig
from iterpref.errors import UserError
from iterpref.schema import Problem

MBPP = {
    "text": "Add one.", "code": "def f(x):\r\n    return x + 1", "task_id": 601, "test_setup_code": "import math",
    "test_list": ["assert f(1) == 2", "assert f(2) == 3"], "challenge_test_list": [],
}  # fmt: skip


def preset(name: str) -> MappingConfig:
    stated: Any = OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / "problems" / f"{name}.yaml"))
    return MappingConfig(**stated["mapping"])


def read(tmp_path: Path, mapping: MappingConfig, *rows: dict[str, Any]) -> list[Problem]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_jsonl(path, mapping)


def test_a_row_of_mbpp(tmp_path) -> None:
    (problem,) = read(tmp_path, preset("mbpp"), MBPP)
    assert problem.task_id == "mbpp/601"
    assert problem.prompt == "Add one.\n\nIt must satisfy checks such as:\n\nassert f(1) == 2"
    assert (problem.split, problem.license, problem.tests.framework) == ("train", "CC-BY-4.0", "asserts")
    assert {f.name: f.text for f in problem.tests.files} == {
        "setup.py": "import math", "checks.py": "assert f(1) == 2\nassert f(2) == 3",
    }  # fmt: skip
    assert problem.reference[0].text == "def f(x):\n    return x + 1"


@pytest.mark.parametrize(
    ("number", "split"),
    [(10, "train"), (11, "test"), (510, "test"), (511, "validation"), (600, "validation"), (601, "train")],
)
def test_the_splits_of_mbpp_are_its_authors(tmp_path, number: int, split: str) -> None:
    assert read(tmp_path, preset("mbpp"), {**MBPP, "task_id": number})[0].split == split


def test_a_program_that_reads_standard_input(tmp_path) -> None:
    row = {
        "problem_id": 7, "question": "Echo.", "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]}),
        "solutions": json.dumps(["print(input())"]), "difficulty": "interview",
    }  # fmt: skip
    (problem,) = read(tmp_path, preset("stdio"), row)
    tests: Any = as_tests(problem.tests)
    assert (tests.inputs, tests.outputs, problem.category) == (("1\n",), ("1\n",), "interview")
    assert problem.reference[0].text == "print(input())"
    assert read(tmp_path, preset("stdio"), {**row, "solutions": ""})[0].reference == ()


def test_plain_instructions_have_no_tests_and_are_named_by_their_line(tmp_path) -> None:
    problems = read(tmp_path, preset("instructions"), {"instruction": "One."}, {"instruction": "Two."})
    assert [(p.task_id, p.prompt, p.tests) for p in problems] == [("1", "One.", NO_TESTS), ("2", "Two.", NO_TESTS)]


def test_a_unittest_module_is_recognised(tmp_path) -> None:
    tests = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(f())\n"
    (problem,) = read(tmp_path, MappingConfig(prompt="q", tests="t"), {"q": "Do.", "t": tests})
    assert (problem.tests.framework, problem.tests.n_tests) == ("unittest", 1)


@pytest.mark.parametrize(
    ("mapping", "row", "message"),
    [
        ({"prompt": "q ~"}, {"q": "x"}, r"problems\.mapping\.prompt=q ~: no Jinja expression"),
        ({"prompt": "qq"}, {"q": "x"}, r"rows\.jsonl:1: problems\.mapping\.prompt: 'qq' is undefined; the columns are q"),
        ({"prompt": "q"}, {"q": " "}, r"rows\.jsonl:1: .*empty text"),
        ({"prompt": "q"}, {"q": ["x"]}, r"rows\.jsonl:1: problems\.mapping\.prompt must give a text"),
        ({"prompt": "q", "split": "'dev'"}, {"q": "x"}, r"'dev', which is none of train, validation, test"),
        ({"prompt": "q", "tests": "t"}, {"q": "x", "t": "assert ("}, r"rows\.jsonl:1: .*"),
        ({"prompt": "q", "inputs": "i", "outputs": "o"}, {"q": "x", "i": [1], "o": ["1"]}, r"inputs must give a list of texts"),
        ({"prompt": "q", "inputs": "i", "outputs": "o"}, {"q": "x", "i": ["1"], "o": ["1", "2"]}, r"one output an input"),
        ({"prompt": "q", "inputs": "(j | fromjson).a", "outputs": "o"}, {"q": "x", "j": "{", "o": []}, r"problems\.mapping\.inputs"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_line_and_the_option(tmp_path, mapping, row, message) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, MappingConfig(**mapping), row)
