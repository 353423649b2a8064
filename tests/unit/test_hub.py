"""Tasks out of data sets that `datasets.load_dataset` reads, here from folders and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from hydra import compose, initialize_config_dir

from iterpref.cli import CONFIG_DIR, register_schema
from iterpref.codeflow.problems import load_problems
from iterpref.config import load
from iterpref.config.codeflow import MappingConfig, ProblemsConfig
from iterpref.errors import UserError
from iterpref.schema import Problem

MBPP = {
    "text": "Add one.", "code": "def f(x):\n    return x + 1", "task_id": 601, "test_setup_code": "", "test_list": ["assert f(1) == 2"],
    "challenge_test_list": [],
}  # fmt: skip
APPS = {
    "problem_id": 7, "question": "Echo.", "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]}),
    "solutions": json.dumps(["print(input())"]), "difficulty": "interview",
}  # fmt: skip
TESTS = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(f())\n"


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(tmp_path: Path, path: Path | str, mapping: dict[str, str] | None = None, **options: Any) -> list[Problem]:
    config = ProblemsConfig(source="hub", path=str(path), mapping=MappingConfig(**(mapping or {})), **options)
    return load_problems(config, tmp_path / "cache")


def composed(*overrides: str) -> ProblemsConfig:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        return load(compose("prepare", list(overrides))).problems


@pytest.mark.parametrize(
    ("preset", "row", "framework"),
    [("mbpp", MBPP, "asserts"), ("stdio", APPS, "stdio"), ("instructions", {"instruction": "Do it."}, "none")],
)
def test_each_mapping_works_on_the_hub_as_on_a_file(tmp_path, preset: str, row: dict[str, Any], framework: str) -> None:
    path = lines(tmp_path / "rows.jsonl", row)
    config = composed(f"problems={preset}", "problems.source=hub", f"problems.path={path}")
    (found,) = load_problems(config, tmp_path / "cache")
    (known,) = load_problems(replace(config, source="jsonl"))
    assert found.tests.framework == framework
    assert replace(found, source="jsonl", task_id="x") == replace(known, task_id="x")
    assert found.source == str(path)


def test_the_splits_of_a_folder_become_ours(tmp_path) -> None:
    for split, n in (("train", 2), ("validation", 1), ("test", 1)):
        lines(tmp_path / "set" / f"{split}.jsonl", *({"q": f"{split} {i}"} for i in range(n)))
    found = read(tmp_path, tmp_path / "set", {"prompt": "q"})
    assert [(p.split, p.prompt) for p in found] == [
        ("train", "train 0"), ("train", "train 1"), ("validation", "validation 0"), ("test", "test 0"),
    ]  # fmt: skip
    assert len({p.task_id for p in found}) == 4
    (only,) = read(tmp_path, tmp_path / "set", {"prompt": "q"}, hub_split="test")
    assert only.prompt == "test 0"
    (mine,) = read(tmp_path, tmp_path / "set", {"prompt": "q", "split": "'train'"}, hub_split="test")
    assert mine.split == "train"
    with pytest.raises(
        UserError, match=r"problems\.hub_split=tset: .*has the splits train, validation, test; did you mean 'test'"
    ):
        read(tmp_path, tmp_path / "set", {"prompt": "q"}, hub_split="tset")


def test_rows_with_our_own_fields_need_no_mapping_and_null_is_absent(tmp_path) -> None:
    DatasetDict({
        "dev": Dataset.from_list([
            {"task_id": "a", "prompt": "Do.", "tests": {"test_a.py": TESTS, "test_b.py": None}, "license": None},
            {"task_id": "b", "prompt": "Do.", "tests": {"test_a.py": None, "test_b.py": TESTS}, "license": "MIT"},
        ]),
    }).save_to_disk(str(tmp_path / "saved"))  # fmt: skip
    a, b = read(tmp_path, tmp_path / "saved")
    assert [f.name for f in (*a.tests.files, *b.tests.files)] == ["test_a.py", "test_b.py"]
    assert (a.split, a.license, b.license) == ("validation", "unknown", "MIT")
    with pytest.raises(UserError, match=r"problems\.subset has no effect on .*saved"):
        read(tmp_path, tmp_path / "saved", subset="small")


def test_a_parquet_file_is_read(tmp_path) -> None:
    Dataset.from_list([{"q": "One."}]).to_parquet(str(tmp_path / "rows.parquet"))
    assert [p.prompt for p in read(tmp_path, tmp_path / "rows.parquet", {"prompt": "q"})] == ["One."]


def test_what_cannot_be_had_or_read_is_told_with_its_option(tmp_path, monkeypatch) -> None:
    path = lines(tmp_path / "rows.jsonl", {"q": "One."}, {"q": "Two."})
    with pytest.raises(
        UserError, match=r"rows\.jsonl:train/1: problems\.mapping\.prompt: 'question' is undefined; the columns are q"
    ):
        read(tmp_path, path, {"prompt": "question"})
    with pytest.raises(UserError, match=r"rows\.jsonl:train/2: task_id 'same' stands in .*rows\.jsonl:train/1 already"):
        read(tmp_path, path, {"prompt": "q", "task_id": "'same'"})
    with pytest.raises(UserError, match=r"rows\.jsonl:train/1: unknown field 'q'"):
        read(tmp_path, path)
    with pytest.raises(UserError, match=r"problems\.path=.*nowhere: there is no such file or folder.*OWNER/NAME"):
        read(tmp_path, tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"problems\.revision has no effect on .*rows\.jsonl"):
        read(tmp_path, path, {"prompt": "q"}, revision="main")
    with pytest.raises(UserError, match=r"a file ending in \.jsonl.* was expected"):
        read(tmp_path, lines(tmp_path / "rows.txt", {"q": 1}))
    (tmp_path / "bad.jsonl").write_text('{"q": ')
    with pytest.raises(UserError, match=r"problems\.path=.*bad\.jsonl: datasets cannot load it"):
        read(tmp_path, tmp_path / "bad.jsonl", {"prompt": "q"})

    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(
        UserError,
        match=r"problems\.path=owner/name: datasets cannot load it.*OfflineModeIsEnabled.*problems\.subset, problems\.revision, the network",
    ):
        read(tmp_path, "owner/name", {"prompt": "q"})
