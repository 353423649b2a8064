"""`python -m iterpref.train -m`: a grid that is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from .conftest import SMALL
from .wandb_file import offline_runs

GRID = ["-m", "loss.beta=0.1,0.3", "loss.alpha=0,1"]
KEPT = ["hydra.sweep.dir=killed", "logger.wandb=offline"]
JOBS = [f"loss.alpha={alpha},loss.beta={beta}" for beta in (0.1, 0.3) for alpha in (0, 1)]

# The third job of the grid kills its process after its first checkpoint.
KILLED = """
import os, signal, sys
from pathlib import Path
from iterpref.models.module import FocalDPOModule

step = FocalDPOModule.training_step
*arguments, victim = sys.argv[1:]

def training_step(self, batch, batch_idx):
    if Path(self.config.paths.run).name == victim and self.trainer.current_epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

FocalDPOModule.training_step = training_step
from iterpref.train import main
main(arguments)
"""


def times(*folders: Path) -> dict[Path, int]:
    """When each file below was last written; logs of a job's start aside."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def results(sweep: Path) -> dict[str, dict[str, float]]:
    return {row["folder"]: row["metrics"] for row in json.loads((sweep / "sweep.json").read_text())["jobs"]}


def test_a_grid_that_is_killed_in_its_third_job_ends_as_an_undisturbed_one(
    tmp_path: Path, shared_data: Path, train: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "1"}
    arguments = [*SMALL, f"paths.data={shared_data}", *GRID, *KEPT]
    command = [sys.executable, "-c", KILLED, *arguments, JOBS[2]]
    killed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    sweep = tmp_path / "killed"
    assert sorted(path.parent.name for path in sweep.glob("*/done.json")) == sorted(JOBS[:2])
    assert (sweep / JOBS[2] / "checkpoints" / "last.ckpt").is_file()
    assert not (sweep / JOBS[3]).exists()
    first_two = times(*(sweep / job for job in JOBS[:2]))
    data = {k: v for k, v in times(shared_data).items() if k.suffix in (".parquet", ".json")}
    assert data

    train(*GRID, *KEPT)
    table = capfd.readouterr().out
    assert times(*(sweep / job for job in JOBS[:2])) == first_two
    train(*GRID, "hydra.sweep.dir=undisturbed", "logger=csv")
    assert results(sweep) == results(tmp_path / "undisturbed")
    assert list(results(sweep)) == JOBS
    assert all(metrics["val/loss"] for metrics in results(sweep).values())

    # One preparation of the data served all: nothing of it was written again, and the first job found it there.
    assert {k: v for k, v in times(shared_data).items() if k in data} == data
    stages = {
        p: t for p, t in data.items() if p.relative_to(shared_data).parts[0] in ("trajectories", "pairs", "tokens")
    }
    assert max(stages.values()) < min(first_two.values())
    assert len({json.dumps(json.loads((sweep / job / "run.json").read_text())["data"]) for job in JOBS}) == 1

    # The third job has two files, of one run: what wandb had not written yet when it was killed is not in the first.
    runs = offline_runs(sweep)
    assert len(runs) == 5
    assert len({run.file_id for run in runs}) == 4
    ended = [run for run in runs if run.exit_code is not None]
    assert len({run.id for run in ended}) == 4 == len(ended)
    assert {(run.group, run.exit_code) for run in ended} == {("smoke/killed", 0)}
    assert {(run.config["loss"]["beta"], run.config["loss"]["alpha"]) for run in ended} == {
        (0.1, 0),
        (0.1, 1),
        (0.3, 0),
        (0.3, 1),
    }

    # The end of the sweep, for people.
    with (sweep / "leaderboard.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert sorted(row["folder"] for row in rows) == sorted(JOBS)
    accuracies = [float(row["val/focal_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert "| rank | loss.beta | loss.alpha | val/focal_accuracy |" in (sweep / "leaderboard.md").read_text()
    assert (sweep / "leaderboard.png").read_bytes().startswith(b"\x89PNG")
    assert "by val/focal_accuracy (maximize)" in table


def test_a_job_that_fails_stops_no_other_is_listed_with_its_reason_and_tried_again(
    tmp_path: Path,
    shared_data: Path,
    train: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from iterpref.models.module import FocalDPOModule

    step = FocalDPOModule.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.config.optim.lr == 2e-3:
            raise RuntimeError("this rate is cursed")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FocalDPOModule, "training_step", training_step)
    arguments = ["-m", "optim.lr=2e-3,1e-3", "trainer.epochs=1", "hydra.sweep.dir=failing", "logger=csv"]
    with pytest.raises(SystemExit) as stopped:
        train(*arguments)
    assert stopped.value.code == 2
    assert "1 of 2 jobs failed (optim.lr=0.002: RuntimeError: this rate is cursed)" in capsys.readouterr().err
    sweep = tmp_path / "failing"
    assert "failed: RuntimeError: this rate is cursed" in (sweep / "leaderboard.md").read_text()
    assert "training_step" in (sweep / "optim.lr=0.002" / "error.txt").read_text()
    finished = times(sweep / "optim.lr=0.001")
    monkeypatch.setattr(FocalDPOModule, "training_step", step)
    train(*arguments)
    assert times(sweep / "optim.lr=0.001") == finished
    assert {row["state"] for row in json.loads((sweep / "sweep.json").read_text())["jobs"]} == {"finished"}
    assert not (sweep / "optim.lr=0.002" / "error.txt").exists()


def test_one_process_runs_a_sweep(
    tmp_path: Path, train: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep").mkdir()
    with FileLock(tmp_path / "sweep" / ".lock"), pytest.raises(SystemExit):
        train("-m", "loss.beta=0.1,0.3", "hydra.sweep.dir=sweep")
    assert "another process is running the sweep in sweep" in capsys.readouterr().err


def test_another_configuration_in_the_same_folder_is_refused_job_by_job(
    tmp_path: Path, train: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["-m", "loss.beta=0.1", "optim.lr=1e-3,2e-3", "trainer.max_steps=1", "logger=csv", "hydra.sweep.dir=sweep"]
    train(*grid)
    before = results(tmp_path / "sweep")
    with pytest.raises(SystemExit):
        train(*grid, "optim.weight_decay=0.1")
    assert "2 of 2 jobs failed" in (told := capsys.readouterr().err)
    assert "holds checkpoints of another configuration" in told
    train(*grid)
    assert results(tmp_path / "sweep") == before
