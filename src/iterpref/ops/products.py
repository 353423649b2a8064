"""The matrix products of the fused head, each rounded once, and the chunks that bound their memory.

Shapes: T positions, R scored rows, V vocabulary, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Logits of one chunk, enough for products at full speed; rows in multiples that suit a GPU's tiles.
CHUNK_BYTES = {"cpu": 64 * 2**20, "cuda": 512 * 2**20}
_CHUNK_ROWS = 128
LEAST_COLUMNS = 1024  # of a chunk of the vocabulary, however many rows
_ALIGNMENT_BYTES = 16  # of a row of logits, so that products and kernels move 16 bytes at a time for any V


def device_kind(tensor: Tensor) -> str:
    """The key of `CHUNK_BYTES`."""
    return "cpu" if tensor.device.type == "cpu" else "cuda"


def rows_of_a_chunk(R: int, row_bytes: int, kind: str) -> int:
    """Rows whose logits are computed at once."""
    rows = CHUNK_BYTES[kind] // row_bytes
    return min(R, max(1, rows if rows < _CHUNK_ROWS else rows // _CHUNK_ROWS * _CHUNK_ROWS))


def columns_of_a_chunk(V: int, column_bytes: int, kind: str) -> int:
    """Columns of R rows that are computed at once; `column_bytes` of one."""
    return min(V, max(CHUNK_BYTES[kind] // max(1, column_bytes), LEAST_COLUMNS))


def chunks(n: int, size: int) -> Iterator[slice]:
    """[0, n) in slices of `size`, the last as it falls."""
    size = max(1, size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def new_logits(hidden_RH: Tensor, V: int) -> Tensor:
    """Memory for logits [R, V], each row aligned."""
    step = _ALIGNMENT_BYTES // hidden_RH.element_size()
    return hidden_RH.new_empty(len(hidden_RH), -(-V // step) * step)[:, :V]


def product(hidden_RH: Tensor, weight_VH: Tensor, out_RV: Tensor) -> Tensor:
    """`hidden @ weight.T` into `out_RV`."""
    return torch.mm(hidden_RH, weight_VH.T, out=out_RV)


def matmul(a: Tensor, b: Tensor, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """`a @ b` in `dtype`, rounded once; on a CPU, half precision wanted in fp32 is rounded twice if b is large."""
    if a.dtype == dtype:
        return torch.mm(a, b, out=out)
    if a.device.type == "cuda":
        return torch.mm(a, b, out_dtype=dtype) if out is None else torch.ops.aten.mm.dtype_out(a, b, dtype, out=out)
    product = a.to(dtype) @ b.to(dtype) if b.numel() <= a.numel() else (a @ b).to(dtype)
    return product if out is None else out.copy_(product)


def add_matmul(total: Tensor, a: Tensor, b: Tensor) -> None:
    """`total += a @ b`, the product not rounded to half precision first."""
    if a.dtype != total.dtype and a.device.type == "cuda":
        torch.ops.aten.addmm.dtype_out(total, a, b, total.dtype, out=total)
    else:
        total.addmm_(a.to(total.dtype), b.to(total.dtype))


def scatter(hidden_TH: Tensor, rows_R: Tensor, grad_RH: Tensor | None, dtype: torch.dtype) -> Tensor:
    """zeros[T, H] with each row's gradient added at its position, in a fixed order."""
    grad_TH = torch.zeros(hidden_TH.shape, dtype=dtype, device=hidden_TH.device)
    if grad_RH is not None:
        # On a GPU index_put_ sorts, where index_add_ would add atomically; on a CPU it is the other way round.
        if hidden_TH.device.type == "cpu":
            grad_TH.index_add_(0, rows_R, grad_RH)
        else:
            grad_TH.index_put_((rows_R,), grad_RH, accumulate=True)
    return grad_TH.to(hidden_TH.dtype)
