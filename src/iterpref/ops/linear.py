"""The output head fused with the log-ratio: from hidden states to log pi(y | x) - log pi_ref(y | x) of scored rows only.

No logits exist for a position without a scored row. What becomes of those of scored rows between forward and backward
is decided by memory, for the loss is a nonlinear function of sums over rows, so that a row's gradient g_r is known
only in backward:

    kept          written once, in the dtype of the product; backward turns them into their gradient in place.
                  3 products of size R H V.
    recomputed    made a chunk of rows at a time, dropped, and made again in backward, a chunk of the vocabulary at a time:
                  logsumexp is known by then, and so each part of the weight's gradient is one product, rounded once.
                  4 products, memory of one chunk.
    frozen head   (no gradient for weight or bias) one pass: d logp_r / d h_r needs no g_r, so backward only scales it.
                  2 products, memory of one chunk.

For few rows each product costs the reading of the weight. The label's logit is computed apart, in fp32 from the same
operands: rounded to bf16 like the others it would carry most of the log-prob's error. Gradients of hidden states are
summed over chunks of the vocabulary in fp32.

Shapes: T positions, H hidden, V vocabulary, R scored rows (a position may stand in several, one for each label).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from iterpref.ops.backend import row_operations
from iterpref.ops.checks import check_head
from iterpref.ops.products import (
    add_matmul,
    chunks,
    columns_of_a_chunk,
    device_kind,
    matmul,
    new_logits,
    product,
    rows_of_a_chunk,
    scatter,
)
from iterpref.ops.reference import IDENTITY, LogitMap, TokenLogRatio, row_gradient, wide

# Logits kept for backward unless the caller says otherwise: on a GPU 14,100 rows of 151,936 bf16 columns.
KEEP_BYTES = {"cpu": 2**30, "cuda": 4 * 2**30}


def linear_logratio(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    rows_R: Tensor,
    labels_R: Tensor,
    *,
    mask_R: Tensor | None = None,
    ref_logps_R: Tensor | None = None,
    head: LogitMap = IDENTITY,
    statistics: bool = False,
    backend: str = "auto",
    keep_bytes: int | None = None,
) -> TokenLogRatio:
    """`token_logratio(head.logits(hidden[rows] @ weight.T), labels, mask, ref_logps_R=ref)` without the logits of all rows.

    hidden_TH     [T, H] bf16, fp16, fp32 or (torch only) fp64. Under autocast the product is computed in autocast's dtype.
    weight_VH     [V, H], the same dtype unless under autocast, where gradients come back in fp32 for fp32 parameters.
    rows_R        [R] integers in [0, T): the position of each scored row. May repeat; gradients add up in fp32, in a
                  fixed order. Outside the range: `ValueError` on the CPU, a device assertion on a GPU.
    labels_R      [R] integers in [0, V). Outside that range on a live row: a `UserError` on the CPU, NaN on a GPU.
    mask_R        [R] bool or float, ones if None. 0 zeroes the row's outputs and gradient, whatever its hidden state, label
                  or reference hold; any other number weighs the log-ratio. A GPU computes the products of masked rows
                  all the same (leaving them out would wait for the device): leave them out of `rows_R`.
    ref_logps_R   [R], the reference's log-probs of the labels; 0 if None, so that `logratio_R` is mask * log-prob.
    head          scale, soft cap and bias between product and logits; the bias may take gradient.
    statistics    also `entropy_R` and `top1_R`, from the same reading of the logits.
    keep_bytes    the logits of all rows are kept from forward to backward if they take no more than this, else computed
                  again; None: 4 GiB on a GPU, 1 GiB on a CPU. 0 is the least memory.

    Gradient flows to hidden states, weight and bias through `logratio_R` and `policy_logps_R`. Does not wait for a GPU,
    and repeats bit for bit. Raises `ValueError` for shapes, dtypes, devices or options that do not fit.
    """
    dtype = check_head(hidden_TH, weight_VH, rows_R, labels_R, mask_R, ref_logps_R, head)
    operations = row_operations(backend, hidden_TH.device, dtype)
    wide_dtype = torch.promote_types(dtype, torch.float32)
    R, device = len(rows_R), hidden_TH.device
    masked, live_L = mask_R is not None, None
    mask_R = torch.ones(R, dtype=wide_dtype, device=device) if mask_R is None else mask_R.to(wide_dtype)
    if device.type == "cpu" and bool((mask_R == 0).any()):
        live_L = mask_R.nonzero()[:, 0]
        rows_R, labels_R, mask_R = rows_R[live_L], labels_R[live_L], mask_R[live_L]
        ref_logps_R = ref_logps_R[live_L] if ref_logps_R is not None else None
        masked = False
    call = _Call(
        rows_R.long(), labels_R.long(), mask_R, masked, ref_logps_R, head._replace(bias_V=None), statistics, operations, dtype,
        keep_bytes, torch.is_grad_enabled(),
    )  # fmt: skip
    # The dtype of each product is chosen here; autocast would lower the fp32 sums as well.
    with torch.autocast(device.type, enabled=False):
        outputs = _LinearLogRatioFunction.apply(hidden_TH, weight_VH, head.bias_V, call)
    if live_L is not None:
        zeros_R = torch.zeros(R, dtype=wide_dtype)
        outputs = [None if output is None else zeros_R.index_copy(0, live_L, output) for output in outputs]
    return TokenLogRatio(*outputs)


class _Call(NamedTuple):
    """What the function needs beside the tensors that take gradient."""

    rows_R: Tensor
    labels_R: Tensor
    mask_R: Tensor
    masked: bool  # whether the mask may hold zeros
    ref_logps_R: Tensor | None
    head: LogitMap  # without bias
    statistics: bool
    operations: ModuleType
    dtype: torch.dtype  # of the product
    keep_bytes: int | None
    differentiated: bool


class _LinearLogRatioFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_TH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, call: _Call) -> tuple[Any, ...]:
        needs_hidden, needs_weight, needs_bias, _ = (call.differentiated and need for need in ctx.needs_input_grad)
        trained = needs_weight or needs_bias
        hidden_RH, cast_VH, head = _operands(hidden_TH, weight_VH, bias_V, call)
        R, V = len(hidden_RH), len(weight_VH)
        label_products_R = None
        if call.dtype.itemsize < 4:
            label_products_R = call.operations.label_products(hidden_RH, cast_VH, call.labels_R, call.mask_R)
        kind = device_kind(hidden_TH)
        keep_bytes = KEEP_BYTES[kind] if call.keep_bytes is None else call.keep_bytes
        kept_RV = new_logits(hidden_RH, V) if trained and R * V * call.dtype.itemsize <= keep_bytes else None
        size = R if kept_RV is not None else rows_of_a_chunk(R, V * call.dtype.itemsize, kind)
        out_CV = new_logits(hidden_RH[:size], V) if kept_RV is None else kept_RV
        results, unscaled = [], []
        for chunk in chunks(R, size):
            logits_CV = product(hidden_RH[chunk], cast_VH, out_CV[: chunk.stop - chunk.start])
            labels_C, mask_C = call.labels_R[chunk], call.mask_R[chunk]
            rest = {"head": head, "label_products_R": _part(label_products_R, chunk)}
            ref_logps_C = _part(call.ref_logps_R, chunk)
            result, lse_C = call.operations.forward_rows(
                logits_CV, labels_C, mask_C, None, ref_logps_C, statistics=call.statistics, **rest
            )
            results.append((*result, lse_C))
            if needs_hidden and not trained:
                # d logp_r / d h_r: the gradient of a row whose g_r is 1.
                ones_C = (mask_C != 0).to(lse_C.dtype)
                call.operations.backward_rows(logits_CV, labels_C, lse_C, ones_C, logits_CV, **rest)
                unscaled.append(matmul(logits_CV, cast_VH, lse_C.dtype))
        *outputs, lse_R = _joined(results) if results else _nothing(call)
        ctx.save_for_backward(hidden_TH, weight_VH, bias_V, lse_R, label_products_R)
        ctx.call, ctx.kept_RV = call, kept_RV
        ctx.unscaled_RH = torch.cat(unscaled) if unscaled else None
        ctx.mark_non_differentiable(*(output for output in outputs[2:] if output is not None))
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logratio_R: Tensor | None, grad_logps_R: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        if grad_logratio_R is None and grad_logps_R is None:
            return None, None, None, None
        call: _Call = ctx.call
        hidden_TH, weight_VH, bias_V, lse_R, label_products_R = ctx.saved_tensors
        grad_R = row_gradient(call.mask_R, grad_logratio_R, grad_logps_R)
        with torch.autocast(hidden_TH.device.type, enabled=False):
            if not any(ctx.needs_input_grad[1:3]):
                unscaled_RH = ctx.unscaled_RH
                grad_RH = None if unscaled_RH is None else unscaled_RH * grad_R[:, None]
                return scatter(hidden_TH, call.rows_R, grad_RH, lse_R.dtype), None, None, None
            # Kept logits serve once, for they become their gradient; a second backward makes them again.
            kept_RV, ctx.kept_RV = ctx.kept_RV, None
            operands = _operands(hidden_TH, weight_VH, bias_V, call)
            parts = _Backward(call, *operands, lse_R, label_products_R, grad_R, ctx.needs_input_grad, weight_VH.dtype)
            grad_RH, grad_VH, grad_V = parts.from_kept(kept_RV) if kept_RV is not None else parts.recomputed()
            return (
                scatter(hidden_TH, call.rows_R, grad_RH, lse_R.dtype) if ctx.needs_input_grad[0] else None,
                grad_VH,
                grad_V.to(bias_V.dtype) if grad_V is not None else None,
                None,
            )


class _Backward(NamedTuple):
    """Gradients of the rows' hidden states (fp32 or fp64), of the weight (in its dtype) and of the bias (fp32 or fp64)."""

    call: _Call
    hidden_RH: Tensor
    weight_VH: Tensor
    head: LogitMap
    lse_R: Tensor
    label_products_R: Tensor | None
    grad_R: Tensor
    needs: tuple[bool, ...]  # hidden, weight, bias
    weight_dtype: torch.dtype

    def from_kept(self, logits_RV: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        self._into_gradient(logits_RV, self.call.labels_R, self.head)
        dtype = self.lse_R.dtype
        return (
            matmul(logits_RV, self.weight_VH, dtype) if self.needs[0] else None,
            matmul(logits_RV.T, self.hidden_RH, self.weight_dtype) if self.needs[1] else None,
            logits_RV.sum(0, dtype=dtype) if self.needs[2] else None,
        )

    def recomputed(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (R, _), (V, H), dtype = self.hidden_RH.shape, self.weight_VH.shape, self.lse_R.dtype
        device = self.hidden_RH.device
        sum_RH = torch.zeros(R, H, dtype=dtype, device=device) if self.needs[0] else None
        grad_VH = torch.empty(V, H, dtype=self.weight_dtype, device=device) if self.needs[1] else None
        grad_V = torch.empty(V, dtype=dtype, device=device) if self.needs[2] else None
        columns = columns_of_a_chunk(V, R * self.call.dtype.itemsize, device_kind(self.hidden_RH))
        out_RC = new_logits(self.hidden_RH, columns)
        for part in chunks(V, columns):
            weight_CH = self.weight_VH[part]
            logits_RC = product(self.hidden_RH, weight_CH, out_RC[:, : len(weight_CH)])
            head = self.head if self.head.bias_V is None else self.head._replace(bias_V=self.head.bias_V[part])
            # A label of another part of the vocabulary matches no column here.
            self._into_gradient(logits_RC, self.call.labels_R - part.start, head)
            if sum_RH is not None:
                add_matmul(sum_RH, logits_RC, weight_CH)
            if grad_VH is not None:
                matmul(logits_RC.T, self.hidden_RH, self.weight_dtype, out=grad_VH[part])
            if grad_V is not None:
                grad_V[part] = logits_RC.sum(0, dtype=dtype)
        return sum_RH, grad_VH, grad_V

    def _into_gradient(self, logits_RC: Tensor, labels_R: Tensor, head: LogitMap) -> None:
        self.call.operations.backward_rows(
            logits_RC, labels_R, self.lse_R, self.grad_R, logits_RC, head=head, label_products_R=self.label_products_R
        )


def _operands(
    hidden_TH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, call: _Call
) -> tuple[Tensor, Tensor, LogitMap]:
    """(hidden states of the rows and weight, in the dtype of the product; scale, cap and fp32 bias)."""
    head = call.head if bias_V is None else call.head._replace(bias_V=wide(bias_V))
    hidden_RH = hidden_TH.index_select(0, call.rows_R).to(call.dtype)
    if call.masked:
        # The weight's gradient multiplies them by 0, which does not silence a NaN.
        hidden_RH = hidden_RH.where((call.mask_R != 0)[:, None], 0)
    return hidden_RH, weight_VH.to(call.dtype), head


def _part(tensor_R: Tensor | None, chunk: slice) -> Tensor | None:
    return None if tensor_R is None else tensor_R[chunk]


def _joined(results: list[tuple[Tensor | None, ...]]) -> list[Tensor | None]:
    if len(results) == 1:
        return list(results[0])
    return [None if parts[0] is None else torch.cat(parts) for parts in zip(*results, strict=True)]


def _nothing(call: _Call) -> list[Tensor | None]:
    """Outputs and logsumexp of an empty set of rows."""
    return [torch.empty_like(call.mask_R) if call.statistics or i not in (3, 4) else None for i in range(6)]
