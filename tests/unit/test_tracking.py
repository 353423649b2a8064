"""Loggers: wandb never asks and obeys WANDB_MODE, the CSV of a resumed run has each step once."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from iterpref import tracking
from iterpref.config import Config
from iterpref.config.training import LoggerConfig
from iterpref.errors import UserError
from iterpref.tracking import build_loggers, check_trackers, finish_wandb, run_id, wandb_mode


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    # Lightning and wandb set variables of their own; these come off again with the others.
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))
    (tmp_path / "home").mkdir()
    yield
    finish_wandb()


def log_in(tmp_path: Path, host: str = "api.wandb.ai") -> None:
    (tmp_path / "home" / ".netrc").write_text(f"machine {host}\n  login user\n  password 0123\n")


def test_without_a_login_auto_is_offline() -> None:
    assert wandb_mode("auto") == "offline"


def test_with_a_stored_key_auto_is_online(tmp_path: Path) -> None:
    log_in(tmp_path)
    assert wandb_mode("auto") == "online"


def test_a_key_in_the_environment_counts_as_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert wandb_mode("auto") == "online"


def test_a_key_for_another_host_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org:8080/api")
    assert wandb_mode("auto") == "offline"
    log_in(tmp_path, "wandb.example.org")
    assert wandb_mode("auto") == "online"


def test_an_unreadable_netrc_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "home" / ".netrc").write_text("machine\n")
    assert wandb_mode("auto") == "offline"


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_mode_of_the_environment_is_honoured_even_when_logged_in(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(tmp_path)
    monkeypatch.setenv("WANDB_MODE", mode)
    assert wandb_mode("auto") == mode


def test_wandb_mode_online_without_a_login_writes_offline_and_does_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    assert wandb_mode("auto") == "offline"


def test_online_by_name_without_a_login_says_what_to_do() -> None:
    with pytest.raises(UserError, match="wandb login.*logger.wandb=offline"):
        wandb_mode("online")


def settings(mode: str) -> Config:
    config = Config(name="n")
    config.logger.wandb = mode
    return config


def test_disabled_writes_nothing_of_wandb(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (logger,) = build_loggers(settings("disabled"), run, 0)
    assert isinstance(logger, CSVLogger)
    assert not [path.name for path in run.rglob("*wandb*")]


def test_offline_logs_into_the_run_folder_without_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("wandb asked"))
    run = tmp_path / "run"
    _, logger = build_loggers(settings("auto"), run, 0)
    logger.log_metrics({"train/loss": 1.5, "trainer/global_step": 3})
    assert logger.experiment.settings._offline
    finish_wandb()
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert folder.name.endswith(logger.version)
    finish_wandb()  # nothing is open: nothing happens


def test_the_wandb_id_belongs_to_the_run_folder(tmp_path: Path) -> None:
    ids = []
    for folder in ("a", "b", "a"):
        _, logger = build_loggers(settings("offline"), tmp_path / folder, 0)
        assert isinstance(logger, WandbLogger)
        ids.append(logger._id)
        finish_wandb()
    assert ids[0] == ids[2] != ids[1]


def test_tensorboard_files_stand_in_the_run_folder(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = settings("disabled")
    config.logger.tensorboard = True
    for step in (0, 1):  # a resumed run adds to them
        _, logger = build_loggers(config, tmp_path, step)
        logger.log_metrics({"train/loss": 1.5 - step}, step)
        logger.finalize("success")
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(0, 1.5), (1, 0.5)]


def test_mlflow_keeps_a_resumed_run_in_one(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    config = settings("disabled")
    config.logger.mlflow, config.logger.group, config.logger.tags = f"sqlite:///{tmp_path / 'mlflow.db'}", "g", ["a"]
    for step in (0, 1):
        _, logger = build_loggers(config, tmp_path / "run", step)
        logger.log_metrics({"train/loss": 1.5 - step}, step)
        logger.finalize("success")
    client = mlflow.MlflowClient(config.logger.mlflow)
    (run,) = client.search_runs([client.get_experiment_by_name("iterpref").experiment_id])
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train/loss")] == [(0, 1.5), (1, 0.5)]
    assert (run.info.run_name, run.data.tags["group"], run.data.tags["tags"]) == ("run", "g", "a")


def test_an_agents_run_keeps_the_id_that_its_sweep_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run_id(tmp_path)
    monkeypatch.setenv("WANDB_RUN_ID", "by-hand")
    assert run_id(tmp_path) == own
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert run_id(tmp_path) == "by-hand"


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as handle:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(handle)]


def logged(run: Path, first_step: int, *steps: int, **more: float) -> None:
    (logger,) = build_loggers(settings("disabled"), run, first_step)
    for step in steps:
        logger.log_metrics({"train/loss": step / 10, **more}, step)
    logger.finalize("success")


def test_a_resumed_run_keeps_earlier_rows_and_has_each_step_once(tmp_path: Path) -> None:
    logged(tmp_path, 0, 0, 1, 2, 3)
    # The checkpoint was written after step 1: steps 2 and 3 come again.
    logged(tmp_path, 2, 2, 3, 4, **{"train/nll": 7.0})
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3", "4"]
    assert rows(tmp_path)[1] == {"step": "1", "train/loss": "0.1"}
    assert rows(tmp_path)[2] == {"step": "2", "train/loss": "0.2", "train/nll": "7.0"}


def test_a_run_killed_before_its_first_step_loses_no_row(tmp_path: Path) -> None:
    logged(tmp_path, 0, 0, 1)
    build_loggers(settings("disabled"), tmp_path, 2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1"]


def test_a_half_written_last_row_does_not_stop_the_run(tmp_path: Path) -> None:
    logged(tmp_path, 0, 0, 1)
    with (tmp_path / "metrics.csv").open("a") as handle:
        handle.write("2")
    logged(tmp_path, 2, 2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2"]


def test_a_fresh_run_in_an_old_folder_begins_with_an_empty_csv(tmp_path: Path) -> None:
    logged(tmp_path, 0, 0, 1)
    logged(tmp_path, 0, 0)
    assert [row["step"] for row in rows(tmp_path)] == ["0"]


def test_only_rank_zero_touches_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged(tmp_path, 0, 0, 1)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logged(tmp_path, 0, 5)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tensorboard": True}, r"needs TensorBoard: pip install 'iterpref\[tracking\]'"),
        ({"mlflow": "sqlite:///x.db"}, r"needs MLflow: pip install 'iterpref\[tracking\]'"),
        ({"wandb": "online"}, "no wandb key is stored here"),
    ],
)
def test_a_tracker_that_is_not_here_is_told_without_a_run(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda package: None)
    check_trackers(LoggerConfig(wandb="offline"))
    with pytest.raises(UserError, match=message):
        check_trackers(LoggerConfig(**{"wandb": "offline", **options}))


def test_a_key_that_is_too_short_is_told_without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "abc")
    with pytest.raises(UserError, match=r"\$WANDB_API_KEY has 3 characters, and a key of wandb at least 40"):
        check_trackers(LoggerConfig(wandb="auto"))
    check_trackers(LoggerConfig(wandb="offline"))


def test_what_wandb_says_against_a_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**settings: Any) -> None:
        raise wandb.errors.CommError("no\n such host")

    log_in(tmp_path)
    monkeypatch.setattr(wandb, "init", refused)
    with pytest.raises(UserError, match=r"wandb opens no run \(no such host\).*logger\.wandb=offline"):
        build_loggers(settings("online"), tmp_path, 0)
