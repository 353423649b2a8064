"""Random heads, and the comparison of the fused head with fp64 whose tolerance is eager torch's own error."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from iterpref.ops import LogitMap, TokenLogRatio, linear_logratio, linear_logratio_definition

from .cases import BACKEND, INTERPRETED


class Case(NamedTuple):
    hidden_TH: Tensor
    weight_VH: Tensor
    bias_V: Tensor | None
    rows_R: Tensor
    labels_R: Tensor
    mask_R: Tensor
    ref_logps_R: Tensor
    grads: tuple[Tensor, Tensor]  # into logratio and logps
    scale: float = 1.0
    softcap: float | None = None

    @property
    def leaves(self) -> list[Tensor]:
        return [t for t in (self.hidden_TH, self.weight_VH, self.bias_V) if t is not None]

    @property
    def head(self) -> LogitMap:
        return LogitMap(self.scale, self.softcap, self.bias_V)

    def to(self, dtype: torch.dtype) -> Case:
        tensors = {name: getattr(self, name).detach().to(dtype).clone() for name in ("hidden_TH", "weight_VH")}
        tensors["bias_V"] = None if self.bias_V is None else self.bias_V.detach().to(dtype).clone()
        return self._replace(**tensors)


def make_head(
    T: int = 9, H: int = 12, V: int = 70, R: int = 6, dtype: torch.dtype = torch.float32, *, bias: bool = False,
    scale: float = 1.0, softcap: float | None = None, density: float = 1.0, seed: int = 0, device: str = "cpu",
) -> Case:  # fmt: skip
    g = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, device=device)

    mask_R = (torch.rand(R, generator=g, device=device) + 0.5) * (torch.rand(R, generator=g, device=device) < density)
    return Case(
        normal(T, H).to(dtype),
        (3 * normal(V, H) / H**0.5).to(dtype),
        normal(V).to(dtype) if bias else None,
        torch.randint(T, (R,), generator=g, device=device) if T else torch.zeros(0, dtype=torch.long, device=device),
        torch.randint(V, (R,), generator=g, device=device).where(mask_R != 0, -100),
        mask_R,
        normal(R),
        (normal(R), normal(R)),
        scale,
        softcap,
    )


def differentiate_head(fn, case: Case, frozen: bool = False, **options) -> tuple[TokenLogRatio, list[Tensor]]:
    """(outputs, gradients of hidden states, weight and, if there is one, bias; of the hidden states alone if frozen)"""
    leaves = case.leaves[:1] if frozen else case.leaves
    for leaf in case.leaves:
        leaf.requires_grad_(any(leaf is one for one in leaves))
    out = fn(
        case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R, mask_R=case.mask_R, ref_logps_R=case.ref_logps_R,
        head=case.head, **options,
    )  # fmt: skip
    grads = torch.autograd.grad(out[:2], leaves, [g.to(out[0].dtype) for g in case.grads])
    return TokenLogRatio(*(None if o is None else o.detach() for o in out)), list(grads)


def ours_head(*args, **kwargs) -> TokenLogRatio:
    return linear_logratio(*args, **{"backend": BACKEND, "statistics": True, **kwargs})


def assert_head_no_worse_than_eager(case: Case, frozen: bool = False, fn=ours_head, **options) -> None:
    """|ours - fp64| <= 2 max |eager - fp64| + a few roundings, for outputs and gradients."""
    truth, truth_grads = differentiate_head(linear_logratio_definition, case.to(torch.float64), frozen)
    eager, eager_grads = differentiate_head(linear_logratio_definition, case.to(case.hidden_TH.dtype), frozen)
    mine, my_grads = differentiate_head(fn, case.to(case.hidden_TH.dtype), frozen, **options)
    names = [*TokenLogRatio._fields[:4], "d hidden", "d weight", "d bias"]
    # Not top-1: two logits that eager torch rounds to a tie are none in fp64.
    triples = zip(names, [*mine[:4], *my_grads], [*eager[:4], *eager_grads], [*truth[:4], *truth_grads], strict=False)
    for name, m, e, t in triples:
        if t.numel() == 0:
            assert m.shape == t.shape
            continue
        allowed = 2 * (e.double() - t).abs().max() + 8 * torch.finfo(torch.float32).eps * t.abs().max().clamp(min=1)
        if name.startswith("d ") and INTERPRETED:
            # The interpreter cuts fp32 off to bf16 where a GPU rounds to nearest.
            allowed = allowed + 4 * torch.finfo(case.hidden_TH.dtype).eps * t.abs().max()
        worst = (m.double() - t).abs().max()
        assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"
