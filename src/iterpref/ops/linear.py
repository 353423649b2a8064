"""The output head fused with the log-ratio: from hidden states to log pi(y | x) - log pi_ref(y | x) of scored rows only.

No logits exist for a position without a scored row. Those of scored rows are made in chunks, and what happens to a
chunk between forward and backward is decided by memory (`Plan`), for the loss is a nonlinear function of sums over
rows, so that a row's gradient g_r is known only in backward:

    kept          written once, in the dtype of the product; backward turns them into their gradient in place.
                  3 products of size R H V.
    recomputed    dropped, and made again in backward. 4 products, memory of one chunk.
    frozen head   (no gradient for weight or bias) one pass: d logp_r / d h_r needs no g_r, so backward only scales it.
                  2 products, memory of one chunk. For few rows each product costs the reading of the weight.

The label's logit is computed apart, in fp32 from the same operands: rounded to bf16 like the others it would carry
most of the log-prob's error. Weight gradients of several chunks are added in fp32.

Shapes: T positions, H hidden, V vocabulary, R scored rows (a position may stand in several, one for each label).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from iterpref.ops.backend import row_operations
from iterpref.ops.logits import LOGITS_DTYPES, check_rows
from iterpref.ops.reference import IDENTITY, LogitMap, TokenLogRatio, row_gradient, wide

# Logits kept for backward unless the caller says otherwise: on a GPU 13,700 rows of 151,936 bf16 columns.
_KEEP_BYTES = {"cpu": 2**30, "cuda": 4 * 2**30}
# Logits of one chunk that is not kept: on a GPU some 1,700 rows, enough for products at full speed; on a CPU few enough
# for the chunk to meet its softmax in the cache, and enough for the weight to be read seldom.
_CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 512 * 2**20}
_ALIGNMENT_BYTES = 16  # of a row of logits, so that products and kernels move 16 bytes at a time for any V


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
    keep_bytes    logits kept from forward to backward at most; None: 4 GiB on a GPU, 1 GiB on a CPU. Rows beyond are
                  computed again.

    Gradient flows to hidden states, weight and bias through `logratio_R` and `policy_logps_R`. Does not wait for a GPU,
    and repeats bit for bit. Raises `ValueError` for shapes, dtypes, devices or options that do not fit.
    """
    dtype = _check(hidden_TH, weight_VH, rows_R, labels_R, mask_R, ref_logps_R, head)
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


class Plan(NamedTuple):
    """Rows of a chunk, and how many of the first chunks are kept for backward."""

    chunk_rows: int
    kept_chunks: int

    @classmethod
    def of(cls, R: int, row_bytes: int, device: torch.device, keep_bytes: int | None) -> Plan:
        """All rows in one chunk if they may be kept, for one large product is faster than several; `keep_bytes` 0 keeps none."""
        kind = "cpu" if device.type == "cpu" else "cuda"
        keep_bytes = _KEEP_BYTES[kind] if keep_bytes is None else keep_bytes
        chunk_rows = max(1, min(R, _CHUNK_BYTES[kind] // row_bytes))
        if R * row_bytes <= keep_bytes:
            return cls(max(1, R) if kind == "cuda" else chunk_rows, -(-R // chunk_rows))
        return cls(chunk_rows, keep_bytes // (chunk_rows * row_bytes))

    def chunks(self, R: int) -> Iterator[tuple[int, slice]]:
        for i, start in enumerate(range(0, R, self.chunk_rows)):
            yield i, slice(start, min(start + self.chunk_rows, R))


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
        hidden_RH, weight_VH_, head = _operands(hidden_TH, weight_VH, bias_V, call)
        R, V = len(hidden_RH), len(weight_VH)
        label_products_R = None
        if call.dtype.itemsize < 4:
            label_products_R = call.operations.label_products(hidden_RH, weight_VH_, call.labels_R, call.mask_R)
        # Without a trained head nothing is kept for backward.
        keep_bytes = call.keep_bytes if trained else 0
        plan = Plan.of(R, V * call.dtype.itemsize, hidden_TH.device, keep_bytes)
        results, kept, unscaled = [], {}, []
        for i, chunk in plan.chunks(R):
            logits_CV = _product(hidden_RH[chunk], weight_VH_)
            labels_C, mask_C = call.labels_R[chunk], call.mask_R[chunk]
            rest = {"head": head, "label_products_R": _part(label_products_R, chunk)}
            ref_logps_C = _part(call.ref_logps_R, chunk)
            result, lse_C = call.operations.forward_rows(
                logits_CV, labels_C, mask_C, None, ref_logps_C, statistics=call.statistics, **rest
            )
            results.append((*result, lse_C))
            if trained and i < plan.kept_chunks:
                kept[i] = logits_CV
            elif needs_hidden and not trained:
                # d logp_r / d h_r: the gradient of a row whose g_r is 1.
                ones_C = (mask_C != 0).to(lse_C.dtype)
                call.operations.backward_rows(logits_CV, labels_C, lse_C, ones_C, logits_CV, **rest)
                unscaled.append(_matmul(logits_CV, weight_VH_, lse_C.dtype))
        *outputs, lse_R = _joined(results) if results else _nothing(call)
        ctx.save_for_backward(hidden_TH, weight_VH, bias_V, lse_R, label_products_R)
        ctx.call, ctx.plan, ctx.kept = call, plan, kept
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
        with torch.autocast(ctx.saved_tensors[0].device.type, enabled=False):
            return _gradients(ctx, row_gradient(ctx.call.mask_R, grad_logratio_R, grad_logps_R))


def _gradients(ctx: Any, grad_R: Tensor) -> tuple[Tensor | None, ...]:
    """d/d(hidden, weight, bias, -), from g_r."""
    hidden_TH, weight_VH, bias_V, lse_R, label_products_R = ctx.saved_tensors
    call: _Call = ctx.call
    needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
    if not (needs_weight or needs_bias):
        hidden_grads = [] if ctx.unscaled_RH is None else [ctx.unscaled_RH * grad_R[:, None]]
        return _scatter(hidden_TH, call.rows_R, hidden_grads, lse_R.dtype), None, None, None

    hidden_RH, weight_VH_, head = _operands(hidden_TH, weight_VH, bias_V, call)
    weight_sum, bias_sum = _Sum(weight_VH.dtype, ctx.plan.chunk_rows >= len(grad_R)), None
    hidden_grads = []
    for i, chunk in ctx.plan.chunks(len(grad_R)):
        # Kept logits serve once, for they become their gradient; a second backward makes them again.
        logits_CV = ctx.kept.pop(i, None)
        if logits_CV is None:
            logits_CV = _product(hidden_RH[chunk], weight_VH_)
        rest = {"head": head, "label_products_R": _part(label_products_R, chunk)}
        call.operations.backward_rows(logits_CV, call.labels_R[chunk], lse_R[chunk], grad_R[chunk], logits_CV, **rest)
        if needs_hidden:
            hidden_grads.append(_matmul(logits_CV, weight_VH_, lse_R.dtype))
        if needs_weight:
            weight_sum.add(logits_CV, hidden_RH[chunk])
        if needs_bias:
            part_V = logits_CV.sum(0, dtype=lse_R.dtype)
            bias_sum = part_V if bias_sum is None else bias_sum + part_V
    return (
        _scatter(hidden_TH, call.rows_R, hidden_grads, lse_R.dtype) if needs_hidden else None,
        weight_sum.value(weight_VH) if needs_weight else None,
        bias_sum.to(bias_V.dtype) if bias_sum is not None else None,
        None,
    )


class _Sum:
    """sum over chunks of `logits.T @ hidden`, in fp32 if there are several; rounded once."""

    def __init__(self, dtype: torch.dtype, single: bool) -> None:
        self._dtype, self._single = dtype, single
        self._total: Tensor | None = None

    def add(self, logits_CV: Tensor, hidden_CH: Tensor) -> None:
        a_VC, b_CH = logits_CV.T, hidden_CH
        wide_dtype = torch.promote_types(a_VC.dtype, torch.float32)
        if self._total is None:
            self._total = _matmul(a_VC, b_CH, self._dtype if self._single else wide_dtype)
        elif a_VC.dtype != wide_dtype and a_VC.device.type == "cuda":
            torch.ops.aten.addmm.dtype_out(self._total, a_VC, b_CH, wide_dtype, out=self._total)
        else:
            self._total.addmm_(a_VC.to(wide_dtype), b_CH.to(wide_dtype))

    def value(self, weight_VH: Tensor) -> Tensor:
        return torch.zeros_like(weight_VH) if self._total is None else self._total.to(self._dtype)


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


def _product(hidden_CH: Tensor, weight_VH: Tensor) -> Tensor:
    """`hidden @ weight.T`, its rows aligned."""
    V = weight_VH.shape[0]
    step = _ALIGNMENT_BYTES // hidden_CH.element_size()
    out_CV = hidden_CH.new_empty(len(hidden_CH), -(-V // step) * step)[:, :V]
    return torch.mm(hidden_CH, weight_VH.T, out=out_CV)


def _matmul(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """`a @ b` in `dtype`, rounded once where the device can."""
    if a.dtype != dtype and a.device.type == "cuda":
        return torch.mm(a, b, out_dtype=dtype)
    return (a @ b).to(dtype)


def _scatter(hidden_TH: Tensor, rows_R: Tensor, grads: list[Tensor], dtype: torch.dtype) -> Tensor:
    """zeros[T, H] with each row's gradient added at its position, in a fixed order."""
    grad_TH = torch.zeros(hidden_TH.shape, dtype=dtype, device=hidden_TH.device)
    if grads:
        grad_RH = torch.cat(grads) if len(grads) > 1 else grads[0]
        # On a GPU index_put_ sorts, where index_add_ would add atomically; on a CPU it is the other way round.
        if hidden_TH.device.type == "cpu":
            grad_TH.index_add_(0, rows_R, grad_RH)
        else:
            grad_TH.index_put_((rows_R,), grad_RH, accumulate=True)
    return grad_TH.to(hidden_TH.dtype)


def _part(tensor_R: Tensor | None, chunk: slice) -> Tensor | None:
    return None if tensor_R is None else tensor_R[chunk]


def _joined(results: list[tuple[Tensor | None, ...]]) -> list[Tensor | None]:
    if len(results) == 1:
        return list(results[0])
    return [None if parts[0] is None else torch.cat(parts) for parts in zip(*results, strict=True)]


def _nothing(call: _Call) -> list[Tensor | None]:
    """Outputs and logsumexp of an empty set of rows."""
    return [torch.empty_like(call.mask_R) if call.statistics or i not in (3, 4) else None for i in range(6)]


def _check(
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
    if len(dtypes) > 1 or hidden_TH.dtype not in LOGITS_DTYPES:
        raise ValueError(
            f"expected hidden states and weight of one dtype, bfloat16, float16, float32 or float64, got {hidden_TH.dtype} and {weight_VH.dtype}"
        )
    return hidden_TH.dtype
