"""The log-ratio of one scored token by the Triton kernels of `kernels.py` (backend `triton`): every logit is read once.

    sweep      a program for each piece of a row, of the policy's logits or the reference's: (top, total) of its
               logsumexp = top + log(total)
    finish     a program for each 128 rows: pieces -> logsumexp; the label's logit; the outputs
    backward   a program for each tile of a row: softmax from the saved logsumexp, gradient written at once, into the
               logits' own buffer if the caller says so

A row that is masked, or whose gradient is zero, loads no logits.

    extra memory   fp32 numbers per row and piece, and nothing of size [R, V]
    bytes          forward 2 R V (R V without a reference's logits), backward 2 R V (read and write), times the size of
                   an element and the share of live rows; masked rows still cost the write of their zeros

The equations stand in `reference.py`. Imported only when this backend is used: `triton` may be absent.
Shapes: R rows of logits, V vocabulary, H hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from iterpref.ops.kernels import backward_kernel, finish_kernel, label_product_kernel, sweep_kernel
from iterpref.ops.reference import IDENTITY, LogitMap, TokenLogRatio

_FINISH_ROWS = 128
_HIDDEN_BLOCK = 1024


class Launch(NamedTuple):
    """How the kernels are cut. V is a constant of theirs: a model has one vocabulary, and no tile is checked but the last.

    A thread of the sweep takes 8 neighbouring columns at a time (16 bytes of bf16) and folds them into a logsumexp of
    its own, so that threads wait for each other once in a piece, not once in a tile, and an element costs 9/8
    exponentials: exponentials, not bytes, would be the limit at 2. Four warps of 16 columns a thread leave room for
    many programs on a multiprocessor, whose loads hide each other's waiting; pieces of rows even out what is left to do
    where few rows are live. Chosen among 24 cuts on an H200, of which most were within 5 %; Ampere has the same warps,
    registers and 16-byte loads.
    """

    tile: int  # columns
    warps: int
    pieces: int  # of a row in the sweep

    @classmethod
    def of(cls, R: int, V: int) -> Launch:
        tile = min(max(triton.next_power_of_2(V), 256), 2048)
        tiles = triton.cdiv(V, tile)
        wanted = triton.next_power_of_2(triton.cdiv(32_768, max(R, 1)))
        return cls(tile, max(1, tile // 512), max(1, min(max(wanted, 4), 16, tiles // 4)))


def forward_rows(
    logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    ref_logits_RV: Tensor | None,
    ref_logps_R: Tensor | None,
    *,
    head: LogitMap = IDENTITY,
    label_products_R: Tensor | None = None,
    statistics: bool = False,
) -> tuple[TokenLogRatio, Tensor]:
    """`reference.forward_rows` in two launches; does not wait for the device. `mask_R` is fp32."""
    R, V = logits_RV.shape
    device = logits_RV.device
    # Allocated apart, not as rows of one: each starts aligned, and none is a view in autograd's eyes.
    outputs = [torch.empty(R, dtype=torch.float32, device=device) for _ in range(6 if statistics else 4)]
    logratio_R, policy_logps_R, out_ref_logps_R, lse_R, *statistics_R = outputs
    entropy_R, top1_R = statistics_R or (None, None)
    if R > 0:
        launch = Launch.of(R, V)
        models = 1 if ref_logits_RV is None else 2
        parts = torch.empty(models * 3 * launch.pieces * R, dtype=torch.float32, device=device)
        ref = ref_logits_RV if ref_logits_RV is not None else lse_R if ref_logps_R is None else ref_logps_R.float()
        strides = (*logits_RV.stride(), *(ref_logits_RV.stride() if ref_logits_RV is not None else (0, 0)))
        maps = _map_arguments(head, lse_R)
        mask_R = mask_R.contiguous()
        options: dict[str, int] = {
            "MAPPED": not head.is_identity,
            "CAPPED": head.softcap is not None,
            "ENERGY": statistics,
        }
        options |= {"BIASED": head.bias_V is not None, "PIECES": launch.pieces, "V": V}
        # Triton launches on the current device, which need not be the one that holds the tensors.
        with torch.cuda.device_of(logits_RV):
            sweep_kernel[(R * launch.pieces * models,)](
                logits_RV, ref, mask_R, maps[0], parts, *strides, *maps[1:], R,
                MODELS=models, TILE=launch.tile, num_warps=launch.warps, **options,
            )  # fmt: skip
            finish_kernel[(triton.cdiv(R, _FINISH_ROWS),)](
                logits_RV, ref.contiguous() if models == 1 else ref, labels_R.contiguous(), mask_R, maps[0],
                lse_R if label_products_R is None else label_products_R.contiguous(), parts,
                logratio_R, policy_logps_R, out_ref_logps_R, lse_R,
                lse_R if entropy_R is None else entropy_R, lse_R if top1_R is None else top1_R,
                *strides, *maps[1:], R,
                REF_LOGITS=models == 2, REF_LOGPS=models == 1 and ref_logps_R is not None,
                EXACT=label_products_R is not None, ROWS=_FINISH_ROWS, num_warps=4, **options,
            )  # fmt: skip
    return TokenLogRatio(logratio_R, policy_logps_R, out_ref_logps_R, entropy_R, top1_R), lse_R


def backward_rows(
    logits_RV: Tensor,
    labels_R: Tensor,
    lse_R: Tensor,
    grad_R: Tensor,
    out_RV: Tensor,
    *,
    head: LogitMap = IDENTITY,
    label_products_R: Tensor | None = None,
) -> None:
    """`reference.backward_rows` in one launch. `out_RV` may be `logits_RV`."""
    R, V = logits_RV.shape
    if R == 0:
        return
    launch = Launch.of(R, V)
    bias, scale, softcap = _map_arguments(head, lse_R)
    with torch.cuda.device_of(logits_RV):
        backward_kernel[(R * triton.cdiv(V, launch.tile),)](
            logits_RV, out_RV, labels_R.contiguous(), lse_R.contiguous(), grad_R.contiguous(), bias,
            lse_R if label_products_R is None else label_products_R.contiguous(),
            *logits_RV.stride(), *out_RV.stride(), scale, softcap,
            V=V, EXACT=label_products_R is not None, MAPPED=not head.is_identity,
            CAPPED=head.softcap is not None, BIASED=head.bias_V is not None, TILE=launch.tile, num_warps=launch.warps,
        )  # fmt: skip


def label_products(hidden_RH: Tensor, weight_VH: Tensor, labels_R: Tensor, mask_R: Tensor) -> Tensor:
    """`reference.label_products` in one launch."""
    R, H = hidden_RH.shape
    out_R = torch.empty(R, dtype=torch.float32, device=hidden_RH.device)
    if R > 0:
        with torch.cuda.device_of(hidden_RH):
            label_product_kernel[(R,)](
                hidden_RH, weight_VH, labels_R.contiguous(), mask_R.contiguous(), out_R,
                *hidden_RH.stride(), *weight_VH.stride(), weight_VH.shape[0], H=H, BLOCK=_HIDDEN_BLOCK, num_warps=4,
            )  # fmt: skip
    return out_R


def _map_arguments(head: LogitMap, unused: Tensor) -> tuple[Tensor, float, float]:
    bias = unused if head.bias_V is None else head.bias_V.float().contiguous()
    return bias, float(head.scale), float(head.softcap or 1.0)
