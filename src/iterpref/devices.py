"""Which device, and which arithmetic it is good at."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from iterpref.config import TrainerConfig
from iterpref.errors import UserError


def resolve_device(config: TrainerConfig, option: str = "trainer.accelerator") -> torch.device:
    """The device that the accelerator, which `option` names, means here; raises `UserError` when the machine has no such device, or too few."""
    wanted = config.accelerator
    if wanted == "auto":
        wanted = "gpu" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted == "gpu" and not torch.cuda.is_available():
        raise UserError(f"{option}=gpu, but torch sees no CUDA device here: set {option}=auto")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"{option}=mps, but torch sees no Apple GPU here: set {option}=auto")
    # On a CPU a strategy must be asked for by name: its devices are the same cores.
    cores = 1 if config.strategy == "auto" else config.devices
    available, kind = {
        "gpu": (torch.cuda.device_count(), f"{torch.cuda.device_count()} GPU(s)"),
        "mps": (1, "one Apple GPU"),
        "cpu": (cores, "a CPU and no GPU, which trains as one device"),
    }[wanted]
    if config.devices > available:
        raise UserError(
            f"trainer.devices={config.devices}, but this machine has {kind}: set trainer.devices={available}"
        )
    return torch.device({"gpu": "cuda"}.get(wanted, wanted))


def resolve_precision(config: TrainerConfig, device: torch.device) -> Any:
    """`trainer.precision`, with `auto` made `bf16-mixed` where the device computes in bf16 and `32-true` elsewhere.

    A CPU without bf16 instructions emulates them some hundred times slower than fp32.
    """
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if device.type == "cpu" and _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of a forward pass under this precision."""
    if precision == "bf16-mixed":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
