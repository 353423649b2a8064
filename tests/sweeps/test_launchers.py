"""Launchers: each composes; those that run here run jobs side by side, in processes of their own, each with a GPU of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from iterpref.cli import config_groups, run_command

# A task that trains nothing, so that its worker loads no torch: what it sees of GPUs is what is tested.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
import iterpref.sweeps.jobs
from iterpref.cli import run_command

iterpref.sweeps.jobs.prepare_shared = lambda configs: {}

def task(config):
    from iterpref.run_record import run_key

    run = Path(config.paths.run)
    seen = {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid(), "torch": "torch" in sys.modules}
    (run / "seen.json").write_text(json.dumps(seen))
    # Until the other is under way as well.
    deadline = time.monotonic() + 60
    while len(list(run.parent.glob("*/seen.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    done = {"config": run_key(config), "metrics": {"val/focal_accuracy": config.loss.beta}, "pruned": None}
    (run / "done.json").write_text(json.dumps(done))

run_command("train", task, sys.argv[1:])
"""


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_parallel_jobs_of_one_host_see_a_gpu_each(launcher: str, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "TMPDIR": str(tmp_path / "locks"),
        "HYDRA_FULL_ERROR": "1",
    }
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = ["-m", f"launcher={launcher}", "loss.beta=0.1,0.3", "experiment=smoke", "hydra.sweep.dir=sweep"]
    done = subprocess.run(
        [sys.executable, "program.py", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [json.loads(path.read_text()) for path in sorted((tmp_path / "sweep").glob("*/seen.json"))]
    assert [job["gpu"] for job in seen] == ["GPU-a", "GPU-b"]
    assert len({job["pid"] for job in seen}) == 2
    assert not any(job["torch"] for job in seen)
    assert "| 1 | 0.3 |" in (tmp_path / "sweep" / "leaderboard.md").read_text()


PLUGINS = {"joblib": "joblib", "submitit": "submitit", "submitit_local": "submitit", "ray": "ray"}


@pytest.mark.parametrize("launcher", config_groups()["launcher"])
def test_a_launcher_composes_or_says_what_to_install(
    launcher: str, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"launcher={launcher}", "--cfg", "hydra", "--package", "hydra.launcher"]
    if launcher in PLUGINS and find_spec(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher") is None:
        with pytest.raises(SystemExit):
            run_command("train", print, arguments)
        extra = "ray" if launcher == "ray" else "sweep"
        assert capsys.readouterr().err.endswith(f"pip install 'iterpref[{extra}]'\n")
    else:
        run_command("train", print, arguments)
        assert "_target_: hydra" in capsys.readouterr().out


@pytest.mark.skipif(
    find_spec("hydra_plugins.hydra_submitit_launcher") is None, reason="the extra sweep is not installed"
)
def test_slurm_jobs_without_slurm_are_refused_before_any_work(
    in_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        run_command("train", print, ["-m", "launcher=submitit", "experiment=smoke", "loss.beta=0.1,0.3"])
    assert "there is no srun here" in capsys.readouterr().err
    assert not list(tmp_path.rglob("done.json"))
