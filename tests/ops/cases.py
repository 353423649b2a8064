"""What the tests of the ops share: random rows, and the comparison with fp64 whose tolerance is eager torch's own error."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from iterpref.ops import TokenLogRatio, token_logratio, token_logratio_definition

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
BACKEND = "triton" if INTERPRETED else "torch"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
INF = float("inf")


def make(R: int, V: int, dtype: torch.dtype = torch.float32, scale: float = 3.0, seed: int = 0):
    """(policy logits, reference logits, labels, soft mask, gradient to come into logratio, and into logps)"""
    g = torch.Generator().manual_seed(seed)
    policy_RV, ref_RV = (scale * torch.randn(2, R, V, generator=g)).to(dtype)
    labels_R = torch.randint(V, (R,), generator=g)
    mask_R = torch.rand(R, generator=g) + 0.5
    return policy_RV, ref_RV, labels_R, mask_R, torch.randn(R, generator=g), torch.randn(R, generator=g)


def differentiate(fn, policy_RV: Tensor, *args, grads: tuple[Tensor | None, Tensor | None], **kwargs):
    """(outputs, d/dpolicy of sum over both outputs of grad * output); leaves `policy_RV` as it is."""
    leaf_RV = policy_RV.clone(memory_format=torch.preserve_format).requires_grad_()
    out = fn(leaf_RV, *args, **kwargs)
    pairs = [(o, g.to(o.dtype)) for o, g in zip(out, grads, strict=False) if g is not None]
    (grad_RV,) = torch.autograd.grad([o for o, _ in pairs], leaf_RV, [g for _, g in pairs])
    return TokenLogRatio(*(o.detach() for o in out)), grad_RV


def ours(*args, **kwargs) -> TokenLogRatio:
    return token_logratio(*args, backend=BACKEND, statistics=True, **kwargs)


def assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, **ref) -> None:
    """|ours - fp64| <= 2 max |eager - fp64| + a few roundings, for the outputs and the gradient."""
    wide = {k: v.double() for k, v in ref.items()}
    truth, truth_grad_RV = differentiate(
        token_logratio_definition, policy_RV.double(), labels_R, mask_R, grads=grads, **wide
    )
    eager, eager_grad_RV = differentiate(token_logratio_definition, policy_RV, labels_R, mask_R, grads=grads, **ref)
    mine, mine_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, grads=grads, **ref)
    assert mine_grad_RV.dtype == policy_RV.dtype
    assert all(o.dtype == torch.float32 for o in mine)
    names = [*TokenLogRatio._fields, "gradient"]
    for name, m, e, t in zip(
        names, [*mine, mine_grad_RV], [*eager, eager_grad_RV], [*truth, truth_grad_RV], strict=True
    ):
        if t.numel() == 0:
            assert m.shape == t.shape
            continue
        allowed = 2 * (e.double() - t).abs().max() + 4 * torch.finfo(torch.float32).eps * t.abs().max().clamp(min=1)
        if name == "gradient" and INTERPRETED:
            # The interpreter cuts fp32 off to bf16 where a GPU rounds to nearest.
            allowed = allowed + torch.finfo(policy_RV.dtype).eps * t.abs().max()
        worst = (m.double() - t).abs().max()
        assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"
