"""Attention of one new token of each row over what its row holds; heads that share keys are taken together.

    out_h = sum_t w_t v_t,  w = softmax_t(scale q_h . k_t + bias_t)        t: the tokens that the bias does not hide

For answers, token by token. Most of the room beside a row is hidden: in front of a short prompt, and behind what is
answered so far. SDPA reads it all; here a key and a value that count are read once, hidden ones never, whatever stands there.

Softmax in one sweep by a running maximum (Milakov and Gimelshein, arXiv 1805.02867), fp32. Imported only where triton is at hand.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

LEAST_SEEN = tl.constexpr(-32768.0)  # a bias below it hides: half of the least number of fp16
_NUMBERS = 4096  # of keys in a tile
_GROUP = 16  # heads in a tile at least, as tensor cores want them


@triton.jit(do_not_specialize=["T"])
def one_token_kernel(
    q_ptr, k_ptr, v_ptr, bias_ptr, out_ptr, T, scale,
    q_row, q_head, k_row, k_head, k_token, v_row, v_head, v_token, bias_row,
    KEY_HEADS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr,
    GROUP_TILE: tl.constexpr, D_TILE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    # 1. One program, one head of keys of one row. int64: 2,048 rows of 8 heads, 4,096 tokens and 128 numbers pass 2^31.
    row = (tl.program_id(0) // KEY_HEADS).to(tl.int64)
    key_head = tl.program_id(0) % KEY_HEADS
    group = tl.arange(0, GROUP_TILE)
    d = tl.arange(0, D_TILE)
    real = (group < GROUP)[:, None] & (d < D)[None, :]
    head = key_head * GROUP + group
    q = tl.load(q_ptr + row * q_row + head[:, None] * q_head + d[None, :], mask=real, other=0.0)
    k_ptr += row * k_row + key_head * k_head
    v_ptr += row * v_row + key_head * v_head
    bias_ptr += row * bias_row

    # 2. Down the tokens. A tile without one that is seen leaves everything as it is.
    top = tl.full((GROUP_TILE,), float("-inf"), tl.float32)
    total = tl.zeros((GROUP_TILE,), tl.float32)
    out = tl.zeros((GROUP_TILE, D_TILE), tl.float32)
    for first in range(0, T, TILE):
        token = first + tl.arange(0, TILE)
        bias = tl.load(bias_ptr + token, mask=token < T, other=float("-inf")).to(tl.float32)
        seen = bias >= LEAST_SEEN
        wanted = seen[:, None] & (d < D)[None, :]
        k = tl.load(k_ptr + token[:, None] * k_token + d[None, :], mask=wanted, other=0.0)
        v = tl.load(v_ptr + token[:, None] * v_token + d[None, :], mask=wanted, other=0.0)
        # IEEE: for fp32; bf16 and fp16 go into the tensor cores as they are.
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale + bias[None, :]
        scores = tl.where(seen[None, :], scores, float("-inf"))
        new_top = tl.maximum(top, tl.max(scores, axis=1))
        shift = tl.where(new_top == float("-inf"), 0.0, new_top)  # nothing seen yet: -inf - -inf would be NaN
        shrink = tl.exp(top - shift)
        weights = tl.exp(scores - shift[:, None])
        total = total * shrink + tl.sum(weights, axis=1)
        out = out * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        top = new_top

    # 3. A row that sees nothing gives 0.
    out = out / tl.where(total == 0.0, 1.0, total)[:, None]
    at = (row * KEY_HEADS * GROUP + head[:, None]) * D + d[None, :]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=real)


def attend_one(q_SHD: Tensor, k_SKTD: Tensor, v_SKTD: Tensor, bias_ST: Tensor, scale: float) -> Tensor:
    """[S, H, D] of the queries' dtype; a row whose bias hides all tokens gives 0.

    Args:
        q_SHD: H = G K queries a row; those of a group of G, one after the other, share a head of keys.
        k_SKTD, v_SKTD: of the queries' dtype; views may be given, if the D numbers of a token lie side by side.
        bias_ST: added to the scores of all heads; below `LEAST_SEEN` the token is hidden.
        scale: of the products.

    Raises:
        ValueError: for shapes that do not go together.
    """
    S, H, D = q_SHD.shape
    K, T = k_SKTD.shape[1:3]
    if k_SKTD.shape != (S, K, T, D) or v_SKTD.shape != k_SKTD.shape or bias_ST.shape != (S, T) or H % K:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (q_SHD, k_SKTD, v_SKTD, bias_ST))
        raise ValueError(f"expected [S, H, D], [S, K, T, D] twice and [S, T], H a multiple of K; got {shapes}")
    q_SHD, k_SKTD, v_SKTD = (x if x.stride(-1) == 1 else x.contiguous() for x in (q_SHD, k_SKTD, v_SKTD))
    out_SHD = torch.empty(S, H, D, dtype=q_SHD.dtype, device=q_SHD.device)
    d_tile = max(16, triton.next_power_of_2(D))
    one_token_kernel[(S * K,)](
        q_SHD, k_SKTD, v_SKTD, bias_ST, out_SHD, T, scale,
        *q_SHD.stride()[:2], *k_SKTD.stride()[:3], *v_SKTD.stride()[:3], bias_ST.stride(0),
        KEY_HEADS=K, GROUP=H // K, D=D,
        GROUP_TILE=max(_GROUP, triton.next_power_of_2(H // K)), D_TILE=d_tile, TILE=max(16, _NUMBERS // d_tile),
        num_warps=4, num_stages=3,
    )  # fmt: skip
    return out_SHD
