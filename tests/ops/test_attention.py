"""Attention of one token against the equation in fp64, under the interpreter or on a GPU."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from .cases import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs Triton's interpreter or a GPU"
)
GPU = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(INTERPRETED, reason="needs a GPU")])
CPU = pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="needs the interpreter"))
HIDDEN = -65504.0


def attend_one(*arguments: object) -> Tensor:
    from iterpref.ops.attention import attend_one

    return attend_one(*arguments)


def definition(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """[S, H, D] in the dtype of what comes in, by whole scores."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    scores = torch.einsum("shd,shtd->sht", q, k) * scale + bias[:, None]
    return torch.einsum("sht,shtd->shd", scores.softmax(-1), v)


def case(S: int, H: int, K: int, T: int, D: int, dtype: torch.dtype, device: str) -> tuple[Tensor, ...]:
    """Rows with prompts of their own length, padded on the left, and room behind; hidden places hold NaN."""
    g = torch.Generator().manual_seed(S + T + D)
    q, k, v = (torch.randn(S, *shape, generator=g).to(dtype) for shape in ((H, D), (K, T, D), (K, T, D)))
    bias = torch.full((S, T), HIDDEN).to(dtype)
    for row in range(S):
        first = int(torch.randint(0, max(1, T // 2), (), generator=g))
        bias[row, first : max(first + 1, T - T // 4)] = 0
    bias[:, T // 2] = -1.5  # seen, with less weight
    for held in (k, v):
        held.masked_fill_((bias < -1000)[:, None, :, None], math.nan)
    return tuple(x.to(device) for x in (q, k, v, bias))


def as_counted(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [x.nan_to_num().double().cpu() for x in tensors]


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize(("H", "K"), [(9, 3), (4, 4), (28, 4), (20, 1)])
@pytest.mark.parametrize(("T", "D"), [(1, 64), (40, 64), (129, 16), (70, 96), (65, 128), (33, 256)])
def test_a_token_attends_to_what_its_row_shows_and_reads_nothing_else(T, D, H, K, device):
    tensors = case(3, H, K, T, D, torch.float32, device)
    expected = definition(*as_counted(tensors), D**-0.5)
    torch.testing.assert_close(attend_one(*tensors, D**-0.5).double().cpu(), expected, rtol=1e-5, atol=1e-5)


# The interpreter multiplies the bits of bf16 as if they were integers.
@pytest.mark.parametrize(
    ("dtype", "device"),
    [pytest.param(torch.float16, "cpu", marks=CPU.marks)]
    + [pytest.param(dtype, "cuda", marks=GPU.marks) for dtype in (torch.bfloat16, torch.float16)],
)
def test_half_precision_errs_as_little_as_whole_scores_in_it_do(dtype, device):
    tensors = case(4, 9, 3, 300, 64, dtype, device)
    exact = definition(*as_counted(tensors), 0.125)
    plain = definition(*(x.to(dtype) for x in as_counted(tensors)), 0.125).double()
    error = (attend_one(*tensors, 0.125).double().cpu() - exact).abs().max()
    assert error <= 1.5 * (plain - exact).abs().max()


@pytest.mark.parametrize("device", [CPU, GPU])
def test_views_into_larger_rooms_give_what_copies_give(device):
    q, k, v, bias = case(4, 6, 2, 48, 32, torch.float32, device)
    rooms = [torch.full((7, 2, 100, 32), math.nan, device=device) for _ in range(2)]
    for room, held in zip(rooms, (k, v), strict=True):
        room[2:6, :, :48] = held
    wide = torch.zeros(9, 64, device=device)
    wide[:4, :48] = bias
    views = (q.mT.contiguous().mT, *(room[2:6, :, :48] for room in rooms), wide[:4, :48])
    assert torch.equal(attend_one(*views, 0.2), attend_one(q, k, v, bias, 0.2))


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_row_that_sees_nothing_gives_zeros(device):
    q, k, v, bias = case(2, 3, 3, 20, 16, torch.float32, device)
    bias[1] = HIDDEN
    found = attend_one(q, k, v, bias, 0.25)
    assert found[0].isfinite().all()
    assert found[0].any()
    assert not found[1].any()


def test_shapes_that_do_not_go_together_are_named():
    q, k, v, bias = case(2, 4, 3, 20, 16, torch.float32, "cpu")
    with pytest.raises(ValueError, match=r"H a multiple of K; got \(2, 4, 16\), \(2, 3, 20, 16\)"):
        attend_one(q, k, v, bias, 0.25)
