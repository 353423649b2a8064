"""Arguments of the ops that do not fit: what was expected, what came."""

from __future__ import annotations

import torch
from torch import Tensor

from iterpref.errors import UserError
from iterpref.ops.reference import LogitMap

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def check_logits(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    ref_logits_RV: Tensor | None,
    ref_logps_R: Tensor | None,
) -> None:
    """Raises `ValueError` or `UserError` for arguments of `token_logratio` that do not fit."""
    if (ref_logits_RV is None) == (ref_logps_R is None):
        raise ValueError("expected exactly one of ref_logits_RV and ref_logps_R")
    if policy_logits_RV.ndim != 2 or policy_logits_RV.shape[1] == 0:
        raise ValueError(f"policy_logits_RV: expected [R, V] with V > 0, got {list(policy_logits_RV.shape)}")
    R, V = policy_logits_RV.shape
    others: dict[str, tuple[Tensor, tuple[int, ...]]] = {"labels_R": (labels_R, (R,)), "mask_R": (mask_R, (R,))}
    if ref_logits_RV is not None:
        others["ref_logits_RV"] = (ref_logits_RV, (R, V))
    if ref_logps_R is not None:
        others["ref_logps_R"] = (ref_logps_R, (R,))
    for name, (tensor, shape) in others.items():
        if tensor.shape != shape:
            raise ValueError(f"{name}: expected {list(shape)} for policy logits [{R}, {V}], got {list(tensor.shape)}")
        if tensor.device != policy_logits_RV.device:
            raise ValueError(f"{name} is on {tensor.device}, the policy's logits are on {policy_logits_RV.device}")
    for logits_RV in (policy_logits_RV, ref_logits_RV):
        if logits_RV is not None and logits_RV.dtype not in DTYPES:
            raise ValueError(f"logits: expected bfloat16, float16, float32 or float64, got {logits_RV.dtype}")
    check_rows(labels_R, mask_R, V)


def check_head(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    rows_R: Tensor,
    labels_R: Tensor,
    mask_R: Tensor | None,
    ref_logps_R: Tensor | None,
    head: LogitMap,
) -> torch.dtype:
    """The dtype of the product; raises `ValueError` or `UserError` for what does not fit."""
    if hidden_TH.ndim != 2 or weight_VH.ndim != 2 or hidden_TH.shape[1] != weight_VH.shape[1] or len(weight_VH) == 0:
        raise ValueError(
            f"expected hidden states [T, H] and a weight [V, H] with V > 0, got {list(hidden_TH.shape)} and {list(weight_VH.shape)}"
        )
    (T, H), V, R = hidden_TH.shape, len(weight_VH), rows_R.numel()
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]]
    expected = [("rows_R", rows_R, (R,)), ("labels_R", labels_R, (R,)), ("weight_VH", weight_VH, (V, H))]
    expected += [("mask_R", mask_R, (R,)), ("ref_logps_R", ref_logps_R, (R,)), ("bias_V", head.bias_V, (V,))]
    for name, tensor, shape in expected:
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(
                f"{name}: expected {list(shape)} for {R} rows and a weight [{V}, {H}], got {list(tensor.shape)}"
            )
        if tensor.device != hidden_TH.device:
            raise ValueError(f"{name} is on {tensor.device}, the hidden states are on {hidden_TH.device}")
    if rows_R.is_floating_point() or rows_R.dtype == torch.bool:
        raise ValueError(f"rows_R: expected integers, got {rows_R.dtype}")
    if rows_R.device.type == "cpu" and bool(((rows_R < 0) | (rows_R >= T)).any()):
        raise ValueError(f"rows_R: expected positions in [0, {T}), got {rows_R.min().item()} to {rows_R.max().item()}")
    if not head.scale or (head.softcap is not None and head.softcap <= 0):
        raise ValueError(f"head: expected a scale that is not 0 and a softcap above 0, got {head}")
    check_rows(labels_R, mask_R, V)
    dtypes = {hidden_TH.dtype, weight_VH.dtype}
    if torch.is_autocast_enabled(hidden_TH.device.type) and torch.float64 not in dtypes:
        return torch.get_autocast_dtype(hidden_TH.device.type)
    if len(dtypes) > 1 or hidden_TH.dtype not in DTYPES:
        raise ValueError(
            f"expected hidden states and weight of one dtype, bfloat16, float16, float32 or float64, got {hidden_TH.dtype} and {weight_VH.dtype}"
        )
    return hidden_TH.dtype


def check_rows(labels_R: Tensor, mask_R: Tensor | None, V: int) -> None:
    """Raises `ValueError` for labels that are no integers, `UserError` for one outside [0, V) in a live row."""
    if labels_R.is_floating_point() or labels_R.dtype == torch.bool:
        raise ValueError(f"labels_R: expected integers, got {labels_R.dtype}")
    # On a GPU this look would make the step wait for the device.
    if labels_R.device.type != "cpu":
        return
    stray_R = (labels_R < 0) | (labels_R >= V)
    if mask_R is not None:
        stray_R = stray_R & (mask_R != 0)
    if stray_R.any():
        raise UserError(
            f"label {labels_R[stray_R][0].item()} in a scored row, but the logits have {V} columns: "
            "the tokenizer and the model do not belong together"
        )
