"""AdamW's kernel against the equations in fp64 and against torch's own, under the interpreter or on a GPU."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import AdamW

from .cases import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs Triton's interpreter or a GPU"
)
GPU = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(INTERPRETED, reason="needs a GPU")])
CPU = pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="needs the interpreter"))
SIZES = [(1,), (7,), (4096,), (4097,), (3, 2731), (64, 64), (0,), (16_384,), (16_391,)]
OPTIONS = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8}


def adamw(groups: Any, **options: Any) -> Any:
    from iterpref.ops.adamw import TritonAdamW

    return TritonAdamW(groups, **{**OPTIONS, **options})


def parameters(dtype: torch.dtype, device: str, seed: int = 0) -> list[torch.nn.Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(size, generator=g).to(device, dtype)) for size in SIZES]


def set_gradients(params: list[Any], step: int, scale: float = 1.0) -> None:
    g = torch.Generator().manual_seed(100 + step)
    for p in params:
        p.grad = (scale * torch.randn(p.shape, generator=g)).to(p.device, p.dtype)


def by_hand(params: list[Tensor], decay: float, steps: int, limit: float) -> list[Tensor]:
    """The equations of `ops/adamw.py` in fp64."""
    values = [p.detach().cpu().double() for p in params]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in values]
    b1, b2 = OPTIONS["betas"]
    for t in range(1, steps + 1):
        set_gradients(params, t)
        grads = [p.grad.cpu().double() for p in params]
        norm = math.sqrt(sum(g.square().sum().item() for g in grads))
        for i, g in enumerate(grads):
            g = g * min(1.0, limit / (norm + 1e-6))
            m, v = moments[i]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            moments[i] = m, v
            change = m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + OPTIONS["eps"])
            values[i] = (1 - OPTIONS["lr"] * decay) * values[i] - OPTIONS["lr"] * change
    return values


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("limit", [1.0, 1e9])
def test_three_steps_follow_the_equations(device: str, limit: float) -> None:
    params = parameters(torch.float32, device)
    wanted = by_hand(params, 0.1, 3, limit)
    optimizer = adamw([{"params": params[:3], "weight_decay": 0.1}, {"params": params[3:], "weight_decay": 0.1}])
    for t in (1, 2, 3):
        set_gradients(params, t)
        norm = optimizer.clip(limit)
        assert norm.item() == pytest.approx(torch.cat([p.grad.flatten() for p in params]).norm().item(), rel=1e-6)
        optimizer.step()
    for p, w in zip(params, wanted, strict=True):
        torch.testing.assert_close(p.detach().cpu().double(), w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_steps_as_torchs_does_and_their_states_are_exchanged(dtype: torch.dtype, device: str) -> None:
    ours, theirs = parameters(dtype, device), parameters(dtype, device)
    mine = adamw([{"params": ours, "weight_decay": 0.1}])
    torchs = AdamW([{"params": theirs, "weight_decay": 0.1}], **OPTIONS, fused=True)
    for t in range(1, 5):
        set_gradients(ours, t)
        set_gradients(theirs, t)
        mine.step()
        torchs.step()
        if t == 2:  # each goes on from where the other stands
            one, other = copy.deepcopy(mine.state_dict()), copy.deepcopy(torchs.state_dict())
            mine.load_state_dict(other)
            torchs.load_state_dict(one)
            with torch.no_grad():
                for p, q in zip(ours, theirs, strict=True):
                    p.copy_(q)
    # In bf16 each step may end one number beside torch's (and does so more often where the interpreter cuts off).
    near = 1e-6 if dtype == torch.float32 else 4e-2
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=near, atol=min(near, 1e-2))


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_parameter_without_a_gradient_stays_and_counts_its_own_steps(device: str) -> None:
    first, late = parameters(torch.float32, device)[1:3]
    before = late.detach().clone()
    optimizer = adamw([{"params": [first, late], "weight_decay": 0.1}])
    for t in range(3):
        set_gradients([first], t)
        late.grad = torch.ones_like(late) if t == 2 else None
        optimizer.clip(1e9)
        optimizer.step()
        if t < 2:
            assert torch.equal(late, before)
    # The first step of Adam is one learning rate long, whatever the gradient.
    torch.testing.assert_close(late, before * (1 - 1e-3) - 1e-2)
    assert [int(optimizer.state[p]["step"]) for p in (first, late)] == [3, 1]


@pytest.mark.parametrize("device", [CPU, GPU])
def test_stochastic_rounding_keeps_the_mean_and_repeats(device: str) -> None:
    results = []
    for _ in range(2):
        p = torch.nn.Parameter(torch.ones(20_000, dtype=torch.bfloat16, device=device))
        optimizer = adamw([{"params": [p], "weight_decay": 0.0}], lr=1e-4, stochastic=True)
        for _ in range(8):
            p.grad = torch.ones_like(p)
            optimizer.step()
        results.append(p.detach().float())
    assert torch.equal(*results)
    # Eight steps of 1e-4, each a fortieth of the distance from 1 to the next bf16 below: to nearest, nothing would move.
    moved = 1 - results[0].mean().item()
    assert moved == pytest.approx(8e-4, rel=0.1)


@pytest.mark.parametrize("device", [CPU, GPU])
def test_stochastic_rounding_lets_the_second_moment_forget(device: str) -> None:
    p = torch.nn.Parameter(torch.zeros(10_000, dtype=torch.bfloat16, device=device))
    optimizer = adamw([{"params": [p], "weight_decay": 0.0}], betas=(0.9, 0.999), stochastic=True)
    for t in range(30):
        p.grad = torch.full_like(p, 1.0 if t == 0 else 0.0)
        optimizer.step()
    found = optimizer.state[p]["exp_avg_sq"].float().mean().item()
    assert found == pytest.approx(1e-3 * 0.999**29, rel=2e-3)


@pytest.mark.parametrize("device", [CPU, GPU])
def test_what_the_kernel_cannot_take_is_refused(device: str) -> None:
    p = torch.nn.Parameter(torch.zeros(4, 6, device=device).T)
    p.grad = torch.zeros_like(p)
    with pytest.raises(ValueError, match="contiguous"):
        adamw([{"params": [p], "weight_decay": 0.0}]).step()
    half = torch.nn.Parameter(torch.zeros(4, device=device, dtype=torch.float16))
    half.grad = torch.zeros_like(half)
    with pytest.raises(ValueError, match="fp32 and bf16"):
        adamw([{"params": [half], "weight_decay": 0.0}]).step()


@pytest.mark.parametrize("device", [CPU, GPU])
def test_memory_that_begins_anywhere_is_stepped_alike(device: str) -> None:
    results = []
    for offset in (0, 1):
        base = torch.zeros(5001, device=device)
        p = torch.nn.Parameter(base[offset : offset + 5000])
        p.grad = torch.linspace(-1, 1, 5000, device=device)
        optimizer = adamw([{"params": [p], "weight_decay": 0.0}])
        optimizer.clip(1.0)
        optimizer.step()
        results.append(p.detach().clone())
    assert torch.equal(*results)
