"""A job's folder says what it varies, a sweep's what its jobs share: the same command finds both again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.overrides import parse
from iterpref.sweeps import gpus
from iterpref.sweeps.folders import LONGEST, folder_name, place_sweep, swept_keys


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"loss.beta": 0.1, "loss.alpha": 1}, "loss.alpha=1,loss.beta=0.1"),
        ({"loss.alpha": 1, "loss.beta": 0.1}, "loss.alpha=1,loss.beta=0.1"),
        ({"optim.lr": 1e-5}, "optim.lr=1e-05"),
        (
            {"trainer.deterministic": True, "data.max_train_pairs": None},
            "data.max_train_pairs=null,trainer.deterministic=true",
        ),
        ({}, "one"),
    ],
)
def test_a_folder_is_named_by_keys_and_values_in_the_order_of_the_keys(values: dict[str, Any], expected: str) -> None:
    assert folder_name(values) == expected


def test_values_that_are_written_differently_and_equal_share_a_folder() -> None:
    names = {folder_name({"loss.beta": parse([f"loss.beta={text}"])[0].value()}) for text in ("0.1", "0.10", "1e-1")}
    assert names == {"loss.beta=0.1"}


def test_what_a_file_name_cannot_hold_is_replaced_and_told_apart_by_a_hash() -> None:
    names = [folder_name({"experiment": value}) for value in ("paper/dpo", "paper_dpo", "paper dpo", "Paper_dpo")]
    assert names[1] == "experiment=paper_dpo"
    assert all(name.startswith("experiment=paper_dpo~") for name in (names[0], names[2]))
    assert len({name.lower() for name in names}) == 4


@given(
    st.dictionaries(st.text(max_size=80), st.text(max_size=300) | st.integers() | st.floats() | st.none(), max_size=6)
)
def test_any_name_is_short_stable_and_safe(values: dict[str, Any]) -> None:
    name = folder_name(values)
    assert name == folder_name(dict(reversed(values.items())))
    assert 0 < len(name) <= LONGEST
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-~")
    assert name not in (".", "..")


def sweep_dir(*task: str, hydra: tuple[str, ...] = (), params: dict[str, str] | None = None) -> str:
    config = OmegaConf.create(
        {
            "name": "smoke",
            "hydra": {
                "sweep": {"dir": "runs/sweeps/smoke/grid"},
                "overrides": {"task": list(task), "hydra": list(hydra)},
            },
        }
    )
    place_sweep(config, params or {})
    return config.hydra.sweep.dir


def test_a_sweep_with_more_values_is_the_same_and_with_other_shared_overrides_another() -> None:
    plain = sweep_dir("loss.beta=0.1,0.3")
    assert (
        plain
        == "runs/sweeps/smoke/grid"
        == sweep_dir("loss.beta=0.1,0.3,0.5")
        == sweep_dir("loss.beta=0.2", params={"loss.beta": "1,2"})
    )
    two = sweep_dir("trainer.epochs=2", "loss.beta=0.1,0.3")
    assert two.startswith(plain + "-")
    assert (
        two == sweep_dir("loss.beta=0.1,0.5", "trainer.epochs=2") != sweep_dir("loss.beta=0.1,0.3", "trainer.epochs=3")
    )


def test_what_changes_no_result_changes_no_folder() -> None:
    assert (
        sweep_dir("loss.beta=1,2", "paths.data=/d", "logger=csv", "sweep.metric=val/nll", "experiment=smoke")
        == "runs/sweeps/smoke/grid"
    )
    assert sweep_dir("loss.beta=1,2", "trainer.epochs=2", hydra=("hydra.sweep.dir=mine",)) == "runs/sweeps/smoke/grid"


def test_swept_are_the_keys_with_several_values_and_those_that_the_yaml_names() -> None:
    assert swept_keys(parse(["a=1", "b=1,2", "c=range(1,3)", "d=interval(0,1)"]), {"e": "1,2"}) == ["e", "b", "c", "d"]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_claimed", None)
    monkeypatch.setenv(gpus.OFFER, "1:GPU-a,GPU-b")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_jobs_of_one_host_claim_a_gpu_each_and_a_worker_keeps_its_own(
    offered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claimed = []
    for job in (1, 3, 5):  # three workers, each with its first job; all begin at the second GPU
        monkeypatch.setattr(gpus, "_claimed", None)
        claimed.append(gpus.claim_gpu(job, tmp_path))
        assert gpus.claim_gpu(job + 1, tmp_path) == claimed[-1]
        claimed.append(gpus._claimed)  # the lock lives as long as its worker
    assert claimed[0::2] == ["GPU-b", "GPU-a", "GPU-b"]
    assert "all 2 GPUs are taken: job 5 shares GPU-b" in caplog.text


def test_a_gpu_whose_worker_ended_is_free_again(offered: None, tmp_path: Path) -> None:
    program = f"from pathlib import Path; from iterpref.sweeps.gpus import claim_gpu; print(claim_gpu(0, Path({str(tmp_path)!r})))"
    worker = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert worker.stdout.strip() == "GPU-a"
    assert gpus.claim_gpu(2, tmp_path) == "GPU-a"


def test_without_an_offer_or_in_the_sweeps_own_process_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    assert gpus.claim_gpu(0, tmp_path) is None
    gpus.offer_gpus()
    assert gpus.claim_gpu(0, tmp_path) is None
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert gpus.claim_gpu(1, tmp_path) == "3"
    monkeypatch.delenv(gpus.OFFER)


def test_gpus_are_named_as_the_driver_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1-2)'\necho 'GPU 1: NVIDIA H100 (UUID: GPU-3-4)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible_gpus() == ["GPU-1-2", "GPU-3-4"]
    tool.unlink()
    assert gpus.visible_gpus() == []


@pytest.mark.parametrize("launcher", [None, "basic", "joblib", "submitit_local", "submitit_slurm"])
def test_jobs_of_several_devices_need_a_host_each(launcher: str | None) -> None:
    config = Config()
    gpus.refuse_shared_devices(config, launcher)
    config.trainer.devices = 2
    if launcher == "submitit_slurm":
        gpus.refuse_shared_devices(config, launcher)
    else:
        with pytest.raises(UserError, match=r"sweep with trainer\.devices=1"):
            gpus.refuse_shared_devices(config, launcher)
