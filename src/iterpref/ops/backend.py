"""Which code runs the rows: Triton kernels on a GPU, or chunks of torch operations anywhere."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Literal

import torch

from iterpref.errors import UserError
from iterpref.ops import reference


def resolve_backend(requested: str, device: torch.device | str) -> Literal["triton", "torch"]:
    """The backend for tensors on `device`; cheap, so that a caller can log it.

    `auto` is Triton on a GPU where triton can be imported, else torch. Raises `UserError` if `triton` cannot run.
    """
    device = torch.device(device)
    if requested == "auto":
        return "triton" if device.type == "cuda" and triton_imports() else "torch"
    if requested == "torch":
        return "torch"
    if requested != "triton":
        raise UserError(f"ops={requested}: expected auto, triton or torch")
    if not triton_imports():
        raise UserError("ops=triton, but triton cannot be imported here: install it (Linux only) or set ops=torch")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise UserError(f"ops=triton needs a GPU, but the logits are on {device}: set ops=torch (or ops=auto)")
    return "triton"


def row_operations(requested: str, device: torch.device, dtype: torch.dtype) -> ModuleType:
    """The module with `forward_rows`, `backward_rows` and `label_products`."""
    if dtype == torch.float64 and requested == "auto":
        return reference
    if resolve_backend(requested, device) == "torch":
        return reference
    if dtype == torch.float64:
        raise ValueError("float64 needs backend=torch: the kernels compute in float32")
    from iterpref.ops import logratio  # late: needs triton, which may be absent

    return logratio


@functools.cache
def triton_imports() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True
