"""`run.json` and `config.yaml`: whole at every moment, continued by a resumed run, read back as the same config."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iterpref import run_record
from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.run_record import (
    RunRecord,
    git_state,
    hardware,
    package_versions,
    read_config,
    read_done,
    run_key,
    write_whole,
)


def config_in(run: Path) -> Config:
    config = Config(seed=7, name="caf\u00e9")
    config.paths.run, config.loss.beta, config.generate.kinds, config.logger.group = str(run), 0.3, ["off_by_one"], None
    return config


def test_a_config_comes_back_as_it_was(tmp_path: Path) -> None:
    RunRecord.start(tmp_path, config_in(tmp_path))
    assert read_config(tmp_path) == config_in(tmp_path)


def test_a_folder_without_a_config_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no run.*python -m iterpref\.train paths\.run="):
        read_config(tmp_path)


def test_a_run_that_is_near_is_named(tmp_path: Path) -> None:
    run = tmp_path / "runs/smoke/2026"
    RunRecord.start(run, config_in(run))
    for wrong in (tmp_path / "runs", tmp_path / "runs/smoke", tmp_path / "runs/smoke/2025", tmp_path / "runs/other/x"):
        with pytest.raises(UserError, match=re.escape(f"(the last run there: {run})")):
            read_config(wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no options"), (": : :", "holds no YAML"), ("foo: 1", "config.yaml: unknown option 'foo'")],
)
def test_a_damaged_config_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"config\.yaml.*{re.escape(words.removeprefix('config.yaml'))}"):
        read_config(tmp_path)


def test_a_damaged_record_or_result_is_named_with_the_way_out(tmp_path: Path) -> None:
    for text in ('{"config": ', "[1]"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(UserError, match=r"run\.json .*it was damaged: put it back"):
            RunRecord(tmp_path)
        (tmp_path / "done.json").write_text(text)
        with pytest.raises(UserError, match=r"done\.json .*it was damaged: delete it"):
            read_done(tmp_path, "key")


def test_the_record_names_command_versions_hardware_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["iterpref-train", "name=a b"])
    RunRecord.start(tmp_path, config_in(tmp_path))
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["command"] == "iterpref-train 'name=a b'"
    assert found["versions"] == package_versions()
    assert {"python", "torch", "lightning", "transformers", "iterpref"} <= set(found["versions"])
    assert found["hardware"] == hardware()
    assert found["hardware"]["cores"] >= 1
    assert (found["seed"], found["finished"], found["stage_seconds"]) == (7, None, {})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["started"])


def test_a_resumed_run_keeps_its_beginning_and_adds_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.5])
    monkeypatch.setattr(run_record.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(run_record, "now", lambda: "first")
    first = RunRecord.start(tmp_path, config_in(tmp_path))
    with first.stage("train"):
        pass
    monkeypatch.setattr(run_record, "now", lambda: "second")
    second = RunRecord.start(tmp_path, config_in(tmp_path))
    with second.stage("train"):
        pass
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["started"] == "first"
    assert found["stage_seconds"] == {"train": 5.5}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_whole(path, "old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_whole(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("run.json", "new")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which the package's file is committed."""
    (tmp_path / "run_record.py").touch()
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(run_record, "__file__", str(tmp_path / "run_record.py"))
    return tmp_path


def test_the_commit_and_its_cleanliness_are_those_of_the_code(checkout: Path) -> None:
    state = git_state()
    assert state is not None
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["dirty"] is False
    (checkout / "run_record.py").write_text("changed")
    assert git_state() == {**state, "dirty": True}


def test_an_installed_package_inside_another_checkout_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = checkout / "venv"
    site.mkdir()
    monkeypatch.setattr(run_record, "__file__", str(site / "run_record.py"))
    assert git_state() is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_state() is None


@pytest.mark.parametrize(
    ("section", "change", "same"),
    [
        ("sandbox", {"workers": 7}, True),
        ("sandbox", {"allow_unsafe": True, "tier": "plain"}, True),
        ("sandbox", {"cpu_s": 7.0}, False),
        ("trainer", {"devices": 4}, True),
        ("trainer", {"epochs": 4}, False),
        ("data", {"prefetch": 0}, True),
        ("loss", {"beta": 0.2}, False),
    ],
)
def test_a_run_may_go_on_wherever_it_would_compute_the_same(section: str, change: dict[str, Any], same: bool) -> None:
    config = Config()
    other = replace(config, **{section: replace(getattr(config, section), **change)})
    assert (run_key(other) == run_key(config)) == same
    assert run_key(replace(config, executor="ray")) == run_key(config)
