"""Which device, and which arithmetic, on machines that this one is not."""

from __future__ import annotations

import pytest
import torch

from iterpref.config import TrainerConfig
from iterpref.devices import autocast, resolve_device, resolve_precision
from iterpref.errors import UserError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """`machine(gpus=2)`: what torch says about it."""

    def pretend(gpus: int = 0, mps: bool = False, cpu: dict[str, object] | None = None, gpu_bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: gpu_bf16 or including_emulation
        )
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu or {})

    return pretend


@pytest.mark.parametrize(
    ("hardware", "wanted", "device"),
    [
        ({}, "auto", CPU), ({"gpus": 1}, "auto", CUDA), ({"mps": True}, "auto", MPS), ({"gpus": 1, "mps": True}, "auto", CUDA),
        ({"gpus": 1}, "cpu", CPU), ({"gpus": 1}, "gpu", CUDA), ({"mps": True}, "mps", MPS),
    ],
)  # fmt: skip
def test_auto_takes_the_best_device_and_a_name_takes_that_one(
    hardware, wanted: str, device: torch.device, machine
) -> None:
    machine(**hardware)
    assert resolve_device(TrainerConfig(accelerator=wanted)) == device


@pytest.mark.parametrize("wanted", ["gpu", "mps"])
def test_a_device_that_is_not_there_names_the_override(wanted: str, machine) -> None:
    machine()
    with pytest.raises(UserError, match=rf"trainer\.accelerator={wanted}.*set trainer\.accelerator=auto"):
        resolve_device(TrainerConfig(accelerator=wanted))


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ({}, r"trainer\.devices=4, but this machine has a CPU and no GPU.*set trainer\.devices=1"),
        ({"mps": True}, r"trainer\.devices=4, but this machine has one Apple GPU: set trainer\.devices=1"),
        ({"gpus": 2}, r"trainer\.devices=4, but this machine has 2 GPU\(s\): set trainer\.devices=2"),
    ],
)
def test_more_devices_than_there_are_name_the_override(hardware, message: str, machine) -> None:
    machine(**hardware)
    with pytest.raises(UserError, match=message):
        resolve_device(TrainerConfig(devices=4))


def test_as_many_devices_as_there_are_will_do(machine) -> None:
    machine(gpus=4)
    assert resolve_device(TrainerConfig(devices=4)) == CUDA


@pytest.mark.parametrize(
    ("features", "precision"),
    [
        ({}, "32-true"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"bf16": True}, "bf16-mixed"),
    ],
)
def test_auto_precision_on_a_cpu_is_bf16_only_with_its_instructions(features, precision: str, machine) -> None:
    machine(cpu=features)
    assert resolve_precision(TrainerConfig(), CPU) == precision


def test_auto_precision_on_a_gpu_does_not_count_emulated_bf16(machine) -> None:
    machine(gpus=1)
    assert resolve_precision(TrainerConfig(), CUDA) == "bf16-mixed"
    machine(gpus=1, gpu_bf16=False)
    assert resolve_precision(TrainerConfig(), CUDA) == "32-true"


def test_auto_precision_on_an_apple_gpu_is_fp32(machine) -> None:
    machine(mps=True, cpu={"bf16": True})
    assert resolve_precision(TrainerConfig(), MPS) == "32-true"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_a_precision_by_name_is_taken(precision: str, machine) -> None:
    machine(cpu={"bf16": True})
    assert resolve_precision(TrainerConfig(precision=precision), CPU) == precision


def test_autocast_lowers_a_product_under_bf16_mixed_only() -> None:
    a = torch.ones(2, 2)
    for precision, dtype in (("bf16-mixed", torch.bfloat16), ("32-true", torch.float32), ("bf16-true", torch.float32)):
        with autocast(CPU, precision):
            assert (a @ a).dtype == dtype
