"""The log-ratio of one scored token as two Triton kernels (backend `triton`): every logit is read once.

Forward, one program per row: logsumexp over the vocabulary of the policy and of the reference side by side, then the
label's logits. Backward, one program per tile of a row: softmax from the saved logsumexp, gradient written at once,
into the logits' own buffer if the caller says so. A row that is masked, or whose gradient is zero, loads no logits.

    extra memory   fp32 numbers per row, and nothing of size [R, V]
    bytes          forward 2 R V, backward 2 R V (read and write), times the size of an element and the share of live
                   rows; masked rows still cost the write of their zeros

The equations stand in `reference.py`. Imported only when this backend is used: `triton` may be absent.
Shapes: R rows of logits, V vocabulary.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from iterpref.ops.reference import TokenLogRatio

# Launch rule. A tile is a power of two that covers the row or, for real vocabularies, 4096 columns: 16 per thread of 8
# warps, so that two 16-byte loads of bf16 per model are in flight from each thread, while few enough registers are
# taken that several programs share a multiprocessor and one's loads hide the other's reductions. V is a constant of
# the kernel: a model has one vocabulary, and the compiler sees how many tiles there are and whether the last is whole.
_MAX_BLOCK = 4096
_COLUMNS_PER_WARP = 512


def _launch(V: int) -> tuple[int, int]:
    """(columns of a tile, warps)"""
    block = min(triton.next_power_of_2(V), _MAX_BLOCK)
    return block, max(1, block // _COLUMNS_PER_WARP)


@triton.jit
def _fold(top, total, tile):
    """Folds a tile into a running logsumexp = top + log(total)."""
    new_top = tl.maximum(top, tl.max(tile, axis=0))
    # As long as only -inf was seen (masked vocabulary), shifting by the maximum would be -inf - -inf = NaN.
    shift = tl.where(new_top == float("-inf"), 0.0, new_top)
    total = total * tl.exp(top - shift) + tl.sum(tl.exp(tile - shift), axis=0)
    return new_top, total


@triton.jit
def _label_logit(row_ptr, label, stride, V: tl.constexpr):
    """The label's logit in fp32; NaN, not a stray read, for a label outside [0, V)."""
    label = label.to(tl.int64)
    known = (label >= 0) & (label < V)
    return tl.load(row_ptr + label * stride, mask=known, other=float("nan")).to(tl.float32)


@triton.jit
def _forward_kernel(
    policy_ptr,
    ref_ptr,  # logits [R, V] if REF_LOGITS, else log-probs [R]
    labels_ptr,
    mask_ptr,
    logratio_ptr,
    policy_logps_ptr,
    ref_logps_ptr,
    lse_ptr,
    policy_row_stride,
    policy_col_stride,
    ref_row_stride,
    ref_col_stride,
    V: tl.constexpr,
    REF_LOGITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # 1. One program, one row. int64, because row * stride passes 2^31 at row 14,134 of V = 151,936.
    row = tl.program_id(0).to(tl.int64)

    # 2. A masked row is done before any logit is read; its label, which may be -100, is not read either.
    weight = tl.load(mask_ptr + row)
    if weight == 0.0:
        tl.store(logratio_ptr + row, 0.0)
        tl.store(policy_logps_ptr + row, 0.0)
        tl.store(ref_logps_ptr + row, 0.0)
        tl.store(lse_ptr + row, 0.0)
        return

    # 3. The label's logits, while the row is on its way.
    label = tl.load(labels_ptr + row)
    policy_row_ptr = policy_ptr + row * policy_row_stride
    policy_label = _label_logit(policy_row_ptr, label, policy_col_stride, V)

    # 4. One sweep over the vocabulary, both models in step so that twice the loads are in flight. Columns are int64
    #    too: a transposed view has a column stride of R or more.
    columns = tl.arange(0, BLOCK).to(tl.int64)
    policy_top = tl.full((), float("-inf"), tl.float32)
    policy_total = tl.full((), 0.0, tl.float32)
    if REF_LOGITS:
        ref_row_ptr = ref_ptr + row * ref_row_stride
        ref_label = _label_logit(ref_row_ptr, label, ref_col_stride, V)
        ref_top = tl.full((), float("-inf"), tl.float32)
        ref_total = tl.full((), 0.0, tl.float32)
        for start in range(0, V, BLOCK):
            at = start + columns
            # The tail of the last tile reads -inf, which adds nothing; 0 would add exp(0 - top).
            policy = tl.load(policy_row_ptr + at * policy_col_stride, mask=at < V, other=float("-inf"))
            ref = tl.load(ref_row_ptr + at * ref_col_stride, mask=at < V, other=float("-inf"))
            policy_top, policy_total = _fold(policy_top, policy_total, policy.to(tl.float32))
            ref_top, ref_total = _fold(ref_top, ref_total, ref.to(tl.float32))
        ref_logp = (ref_label - ref_top) - tl.log(ref_total)
    else:
        for start in range(0, V, BLOCK):
            at = start + columns
            policy = tl.load(policy_row_ptr + at * policy_col_stride, mask=at < V, other=float("-inf"))
            policy_top, policy_total = _fold(policy_top, policy_total, policy.to(tl.float32))
        ref_logp = tl.load(ref_ptr + row)

    # 5. (z - top) - log(total), in this order: top + log(total) alone would round at the size of the logits.
    policy_logp = (policy_label - policy_top) - tl.log(policy_total)
    tl.store(logratio_ptr + row, weight * (policy_logp - ref_logp))
    tl.store(policy_logps_ptr + row, policy_logp)
    tl.store(ref_logps_ptr + row, ref_logp)
    tl.store(lse_ptr + row, policy_top + tl.log(policy_total))


@triton.jit
def _backward_kernel(
    logits_ptr,
    out_ptr,  # may be logits_ptr: a program reads its own tile, then writes that tile and no other
    labels_ptr,
    lse_ptr,
    grad_ptr,
    row_stride,
    col_stride,
    out_row_stride,
    out_col_stride,
    V: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # 1. One program, one tile. Tiles run fastest, on the one grid axis that has no limit of 65,535.
    tiles_per_row: tl.constexpr = tl.cdiv(V, BLOCK)
    program = tl.program_id(0)
    row = (program // tiles_per_row).to(tl.int64)  # int64 for row * stride, as in the forward kernel
    columns = (program % tiles_per_row) * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    inside = columns < V
    out_tile_ptr = out_ptr + row * out_row_stride + columns * out_col_stride

    # 2. A row without gradient gets zeros, and its logits (stale, or anything) are not read.
    grad = tl.load(grad_ptr + row)
    if grad == 0.0:
        tl.store(out_tile_ptr, tl.zeros((BLOCK,), dtype=out_ptr.dtype.element_ty), mask=inside)
        return

    # 3. g (onehot - softmax) in fp32, rounded once, on the store. A logit of -inf has softmax exp(-inf - lse) = 0.
    logits = tl.load(logits_ptr + row * row_stride + columns * col_stride, mask=inside, other=float("-inf"))
    softmax = tl.exp(logits.to(tl.float32) - tl.load(lse_ptr + row))
    onehot = tl.where(columns == tl.load(labels_ptr + row), 1.0, 0.0)
    tl.store(out_tile_ptr, (grad * (onehot - softmax)).to(out_ptr.dtype.element_ty), mask=inside)


def forward_rows(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    ref_logits_RV: Tensor | None,
    ref_logps_R: Tensor | None,
) -> tuple[TokenLogRatio, Tensor]:
    """`reference.forward_rows` in one launch; does not wait for the device. `mask_R` is fp32."""
    R, V = policy_logits_RV.shape
    # Four allocations, not rows of one: each starts aligned, and none is a view in autograd's eyes.
    logratio_R, policy_logps_R, out_ref_logps_R, lse_R = (
        torch.empty(R, dtype=torch.float32, device=policy_logits_RV.device) for _ in range(4)
    )
    if ref_logits_RV is not None:
        ref, ref_strides = ref_logits_RV, ref_logits_RV.stride()
    else:
        assert ref_logps_R is not None
        ref, ref_strides = ref_logps_R.float().contiguous(), (0, 0)
    block, warps = _launch(V)
    if R > 0:
        # Triton launches on the current device, which need not be the one that holds the tensors.
        with torch.cuda.device_of(policy_logits_RV):
            _forward_kernel[(R,)](
                policy_logits_RV,
                ref,
                labels_R.contiguous(),
                mask_R.contiguous(),
                logratio_R,
                policy_logps_R,
                out_ref_logps_R,
                lse_R,
                *policy_logits_RV.stride(),
                *ref_strides,
                V=V,
                REF_LOGITS=ref_logits_RV is not None,
                BLOCK=block,
                num_warps=warps,
            )
    return TokenLogRatio(logratio_R, policy_logps_R, out_ref_logps_R), lse_R


def backward_rows(logits_RV: Tensor, labels_R: Tensor, lse_R: Tensor, grad_R: Tensor, out_RV: Tensor) -> None:
    """`reference.backward_rows` in one launch. `out_RV` may be `logits_RV`."""
    R, V = logits_RV.shape
    block, warps = _launch(V)
    if R > 0:
        with torch.cuda.device_of(logits_RV):
            _backward_kernel[(R * triton.cdiv(V, block),)](
                logits_RV,
                out_RV,
                labels_R.contiguous(),
                lse_R,
                grad_R.contiguous(),
                *logits_RV.stride(),
                *out_RV.stride(),
                V=V,
                BLOCK=block,
                num_warps=warps,
            )
