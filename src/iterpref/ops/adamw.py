"""AdamW over all parameters at once, clipping included: every number is read once and written once.

    c = min(1, limit / (||g|| + 1e-6)),  g <- c g                    the norm is that of all gradients together
    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2
    p <- (1 - lr decay) p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

All in fp32, rounded once when stored. 14 bytes a bf16 parameter travel for the step and 2 for the norm, the least there
are; torch's fused AdamW after `clip_grad_norm_` takes two times as long on an H200 (docs/results.md).

Rounding to nearest loses what is below half a unit in the last place: a bf16 weight of 0.02 ignores a step of 1e-6, and a
bf16 v, which moves by a thousandth of itself, hardly moves. `stochastic` rounds p, m and v up or down with the
probability that leaves their mean right; the draw follows from `t` and the place of the number, so that runs repeat.

Source of AdamW: Loshchilov and Hutter, arXiv 1711.05101. Imported only where triton is at hand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.optim import AdamW

# Numbers of a program: of the step, which holds four of each, and of the norm, which holds one.
_BLOCK, _NORM_BLOCK = 4096, 16_384
_WARPS = 8
_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}


class TritonAdamW(AdamW):
    """torch's AdamW, state dict included, for dense fp32 and bf16 parameters on a GPU.

    Args:
        stochastic: round bf16 parameters and their averages stochastically instead of to nearest.
    """

    def __init__(
        self, params: Any, *, lr: float, betas: tuple[float, float], eps: float = 1e-8, stochastic: bool = False
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=0.0)
        self._stochastic = stochastic
        self._factor: Tensor | None = None  # on the gradients of the next step

    @torch.no_grad()
    def clip(self, limit: float) -> Tensor:
        """The norm of all gradients, fp32 and on their device; the next `step` scales them to at most `limit`."""
        groups = [[p.grad for p in group["params"]] for group in self.param_groups]
        parts = [_norm_parts(table) for gradients in groups for table in _tables(_NORM_BLOCK, gradients)]
        norm = torch.cat(parts).sum().sqrt()
        self._factor = (limit / (norm + 1e-6)).clamp(max=1.0) if limit < float("inf") else None
        return norm

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; the gradients stay as they are. Returns what the closure returns."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for number, group in enumerate(self.param_groups):
            by_step: dict[int, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_step.setdefault(self._count(p), []).append(p)
            for t, parameters in by_step.items():
                self._update(group, number, t, parameters)
        self._factor = None
        return result

    def _count(self, p: Tensor) -> int:
        """Numbers the step that this parameter is about to take, from 1. Counted on the CPU: nobody waits for the GPU."""
        state = self.state[p]
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        elif state["step"].device.type != "cpu":  # out of a checkpoint of torch's fused AdamW
            state["step"] = state["step"].cpu()
        state["step"] += 1
        return int(state["step"])

    def _update(self, group: dict[str, Any], number: int, t: int, parameters: list[Tensor]) -> None:
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        states = [self.state[p] for p in parameters]
        columns = [parameters, [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]]
        for table in _tables(_BLOCK, [p.grad for p in parameters], *columns):
            _adamw_kernel[(table.blocks,)](
                *table.arguments, self._factor if self._factor is not None else table.pointers,
                1 - lr * group["weight_decay"], lr / (1 - beta1**t), (1 - beta2**t) ** -0.5, 1 - beta1, 1 - beta2, group["eps"],
                2 * t + number, SCALED=self._factor is not None, STOCHASTIC=self._stochastic and table.dtypes[1] is tl.bfloat16,
                ALIGNED=table.aligned, GRAD=table.dtypes[0], OWN=table.dtypes[1], BLOCK=_BLOCK, num_warps=_WARPS,
            )  # fmt: skip


class _Table:
    """Where tensors of one dtype lie, and which block of which tensor each program has.

    Args:
        block: numbers of a program.
        columns: gradients first, and as many tensors of the same shapes in each other column.
    """

    def __init__(self, block: int, columns: list[list[Tensor]]) -> None:
        for tensors in columns:
            for tensor, first in zip(tensors, columns[0], strict=True):
                if not tensor.is_contiguous() or tensor.device != first.device or tensor.shape != first.shape:
                    raise ValueError(
                        "AdamW's kernel needs parameters, gradients and averages that are contiguous and lie on one device, "
                        f"got {tuple(tensor.shape)} with strides {tensor.stride()} on {tensor.device}"
                    )
        self.dtypes = [_TYPES[tensors[0].dtype] for tensors in columns]
        rows = [[t.data_ptr() for t in tensors] for tensors in zip(*columns, strict=True)]
        # Memory that was not allocated as a whole may begin anywhere.
        self.aligned = all(pointer % 16 == 0 for row in rows for pointer in row)
        device = columns[0][0].device
        table = torch.tensor(rows, dtype=torch.int64)
        self.pointers = table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table
        self.owners, self.starts, self.sizes = _layout(block, tuple(t.numel() for t in columns[0]), device)
        self.blocks = len(self.owners)

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        return self.pointers, self.owners, self.starts, self.sizes


def _tables(block: int, gradients: Iterable[Tensor | None], *columns: list[Tensor]) -> list[_Table]:
    """A table for each pair of dtypes (gradient, parameter); tensors without a gradient or a number in them are left out."""
    by_dtype: dict[tuple[torch.dtype, ...], list[tuple[Tensor, ...]]] = {}
    for gradient, *own in zip(gradients, *columns, strict=True):
        if gradient is not None and gradient.numel():
            row = (gradient, *own)
            if unknown := {t.dtype for t in row} - set(_TYPES):
                raise ValueError(f"AdamW's kernel takes fp32 and bf16, got {unknown}")
            by_dtype.setdefault(tuple(t.dtype for t in row), []).append(row)
    return [_Table(block, [list(column) for column in zip(*rows, strict=True)]) for rows in by_dtype.values()]


@functools.lru_cache(maxsize=16)
def _layout(block: int, sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(tensor of each block, its first number there, number of numbers of each tensor)"""
    size_N = torch.tensor(sizes)
    blocks_N = -(-size_N // block)
    owner_B = torch.arange(len(sizes)).repeat_interleave(blocks_N)
    start_B = (torch.arange(len(owner_B)) - (blocks_N.cumsum(0) - blocks_N)[owner_B]) * block
    return owner_B.to(device, torch.int32), start_B.to(device), size_N.to(device)


def _norm_parts(table: _Table) -> Tensor:
    """Sum of the squares of each block, [B] fp32."""
    parts_B = torch.empty(table.blocks, dtype=torch.float32, device=table.pointers.device)
    _squares_kernel[(table.blocks,)](
        *table.arguments, parts_B, ALIGNED=table.aligned, GRAD=table.dtypes[0], BLOCK=_NORM_BLOCK, num_warps=_WARPS
    )
    return parts_B


@triton.jit
def _place(pointers, row, column, TYPE: tl.constexpr, COLUMNS: tl.constexpr, ALIGNED: tl.constexpr):
    place = tl.load(pointers + row * COLUMNS + column).to(tl.pointer_type(TYPE))
    if ALIGNED:
        # Said of the pointer, not of the number that it was: else every load is one of two bytes.
        place = tl.multiple_of(place, 16)
    return place


@triton.jit
def _squares_kernel(
    pointers, owners, starts, sizes, parts, ALIGNED: tl.constexpr, GRAD: tl.constexpr, BLOCK: tl.constexpr
):
    block = tl.program_id(0)
    row = tl.load(owners + block)
    start = tl.multiple_of(tl.load(starts + block), BLOCK)
    size = tl.load(sizes + row)
    at = start + tl.arange(0, BLOCK)
    place = _place(pointers, row, 0, GRAD, 1, ALIGNED)
    # Whole blocks need no mask, whose comparison with a size of any number would break up the loads.
    if start + BLOCK <= size:
        g = tl.load(place + at).to(tl.float32)
    else:
        g = tl.load(place + at, mask=at < size, other=0.0).to(tl.float32)
    tl.store(parts + block, tl.sum(g * g))


@triton.jit(do_not_specialize=["seed"])
def _adamw_kernel(
    pointers, owners, starts, sizes, factor, keep, rate, second_scale, fresh1, fresh2, eps, seed,
    SCALED: tl.constexpr, STOCHASTIC: tl.constexpr, ALIGNED: tl.constexpr, GRAD: tl.constexpr, OWN: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """keep = 1 - lr decay, rate = lr / (1 - b1^t), second_scale = 1 / sqrt(1 - b2^t), fresh = 1 - b."""
    block = tl.program_id(0)
    row = tl.load(owners + block)
    start = tl.multiple_of(tl.load(starts + block), BLOCK)
    size = tl.load(sizes + row)
    at = start + tl.arange(0, BLOCK)
    grads, params = _place(pointers, row, 0, GRAD, 4, ALIGNED), _place(pointers, row, 1, OWN, 4, ALIGNED)
    firsts, seconds = _place(pointers, row, 2, OWN, 4, ALIGNED), _place(pointers, row, 3, OWN, 4, ALIGNED)
    scale = tl.load(factor) if SCALED else 1.0
    if start + BLOCK <= size:
        g, p = tl.load(grads + at).to(tl.float32), tl.load(params + at).to(tl.float32)
        m, v = tl.load(firsts + at).to(tl.float32), tl.load(seconds + at).to(tl.float32)
    else:
        inside = at < size
        g = tl.load(grads + at, mask=inside, other=0.0).to(tl.float32)
        p = tl.load(params + at, mask=inside, other=0.0).to(tl.float32)
        m = tl.load(firsts + at, mask=inside, other=0.0).to(tl.float32)
        v = tl.load(seconds + at, mask=inside, other=0.0).to(tl.float32)
    g = g * scale
    m = m + fresh1 * (g - m)
    v = v + fresh2 * (g * g - v)
    p = keep * p - rate * m / (tl.sqrt(v) * second_scale + eps)
    if STOCHASTIC:
        # 32 random bits a number: the halves for p and m, and a mixture of both for v.
        bits = tl.randint(seed, (start + tl.arange(0, BLOCK)).to(tl.int32) + row * 0x61C88647).to(
            tl.uint32, bitcast=True
        )
        p, m = _dithered(p, bits & 0xFFFF), _dithered(m, bits >> 16)
        v = _dithered(v, ((bits ^ (bits >> 15)) * 0x2C1B3C6D) >> 16)
    p, m, v = p.to(OWN), m.to(OWN), v.to(OWN)
    if start + BLOCK <= size:
        tl.store(params + at, p)
        tl.store(firsts + at, m)
        tl.store(seconds + at, v)
    else:
        inside = at < size
        tl.store(params + at, p, mask=inside)
        tl.store(firsts + at, m, mask=inside)
        tl.store(seconds + at, v, mask=inside)


@triton.jit
def _dithered(x, noise):
    """x, an fp32, moved to one of the two bf16 around it: `noise`, 16 random bits, carries into the upper half or not."""
    bits = (x.to(tl.uint32, bitcast=True) + noise) & 0xFFFF0000
    # A NaN has bits set that could carry into the sign.
    return tl.where(x == x, bits.to(tl.float32, bitcast=True), x)
