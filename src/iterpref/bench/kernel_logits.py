"""The log-ratio from logits: ours, eager torch and torch.compile, against the bytes that must move.

    eager     the definition, on all rows, then masked
    compile   the same under torch.compile
    triton    our kernels: masked rows load nothing, their gradient is zeros that are written
    rows      our kernels on the live rows alone, as a head that leaves the others out hands them over
    torch     our backend for machines without Triton: live rows only, in chunks

Ours write the gradient into the logits, the other two into memory of their own. So the logits of every later round
are gradients of an earlier one; no contender's time depends on their values, and nothing is cloned inside the timing.

floor = bytes / copy bandwidth. Bytes: live rows of both models' logits read once; with backward, live rows of the
policy's read once more and a gradient written for every row of logits that the contender was given, zeros included.
A kernel that mostly reads can be faster than a copy, hence a little faster than its floor.

Shapes: R rows of logits, V vocabulary, L live rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from iterpref.bench.timing import extra_memory, median_times
from iterpref.ops import TokenLogRatio, token_logratio, token_logratio_definition

SHAPES = ((4096, 49_152), (8192, 151_936))
DENSITIES = (1.0, 0.5, 0.1)
DTYPE = torch.bfloat16
CHECKED_ROWS = 64


@dataclass(frozen=True)
class LogitsResult:
    rows: int
    vocabulary: int
    density: float
    contender: str
    forward_ms: float
    forward_floor_ms: float
    both_ms: float
    both_floor_ms: float
    extra_gib: float  # peak memory of forward and backward, beyond the two models' logits
    max_error: float  # of the log-ratio against fp64, over the checked rows


@dataclass(frozen=True)
class Contender:
    run: Callable[[Tensor], TokenLogRatio]  # from the policy's logits
    policy_RV: Tensor
    upstream_R: Tensor

    def forward(self) -> TokenLogRatio:
        return self.run(self.policy_RV)

    def both(self) -> object:
        return torch.autograd.grad(self.forward().logratio_R, self.policy_RV, self.upstream_R)


def measure_logits(R: int, V: int, density: float, bandwidth: float, rounds: int) -> list[LogitsResult]:
    """All contenders on one shape and density."""
    generator = torch.Generator("cuda").manual_seed(0)

    def logits(n: int) -> Tensor:
        return torch.empty(n, V, dtype=DTYPE, device="cuda").normal_(0, 3, generator=generator)

    policy_RV, ref_RV = logits(R), logits(R)
    mask_R = (torch.rand(R, generator=generator, device="cuda") < density).float()
    labels_R = torch.randint(V, (R,), generator=generator, device="cuda").where(mask_R != 0, -100)
    upstream_R = torch.rand(R, generator=generator, device="cuda") + 0.5
    entrants = _contenders(policy_RV, ref_RV, labels_R, mask_R, upstream_R)
    # Before anything is timed, for timing overwrites the logits.
    errors = _errors(entrants, policy_RV, ref_RV, labels_R, mask_R)

    forward_ms = median_times([e.forward for e in entrants.values()], rounds)
    both_ms = median_times([e.both for e in entrants.values()], rounds)
    row_bytes = V * DTYPE.itemsize
    live_bytes = int(mask_R.sum().item()) * row_bytes
    return [
        LogitsResult(
            rows=R,
            vocabulary=V,
            density=density,
            contender=name,
            forward_ms=forward_ms[i],
            forward_floor_ms=2 * live_bytes / bandwidth * 1e3,
            both_ms=both_ms[i],
            both_floor_ms=(3 * live_bytes + len(entrant.policy_RV) * row_bytes) / bandwidth * 1e3,
            extra_gib=extra_memory(entrant.both) / 2**30,
            max_error=errors[name],
        )
        for i, (name, entrant) in enumerate(entrants.items())
    ]


def _contenders(
    policy_RV: Tensor, ref_RV: Tensor, labels_R: Tensor, mask_R: Tensor, upstream_R: Tensor
) -> dict[str, Contender]:
    policy_RV.requires_grad_()

    def ours(backend: str) -> Contender:
        def run(policy_RV: Tensor) -> TokenLogRatio:
            return token_logratio(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, backend=backend)

        return Contender(run, policy_RV, upstream_R)

    def definition(fn: Callable[[], Callable[..., tuple[Tensor, ...]]]) -> Contender:
        return Contender(lambda p: TokenLogRatio(*fn()(p, labels_R, mask_R, ref_RV)), policy_RV, upstream_R)

    entrants = {"eager": definition(lambda: _plain), "compile": definition(_compiled), "triton": ours("triton")}
    live_L = mask_R.nonzero()[:, 0]
    if len(live_L) < len(mask_R):
        ref_LV, labels_L, mask_L = ref_RV[live_L], labels_R[live_L], mask_R[live_L]
        entrants["rows"] = Contender(
            lambda p: token_logratio(p, labels_L, mask_L, ref_logits_RV=ref_LV, backend="triton"),
            policy_RV.detach()[live_L].requires_grad_(),
            upstream_R[live_L],
        )
    return {**entrants, "torch": ours("torch")}


def _plain(policy_RV: Tensor, labels_R: Tensor, mask_R: Tensor, ref_RV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return token_logratio_definition(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, statistics=False)[:3]


@functools.cache
def _compiled() -> Callable[..., tuple[Tensor, ...]]:
    return torch.compile(_plain, dynamic=False)


def _errors(
    entrants: dict[str, Contender], policy_RV: Tensor, ref_RV: Tensor, labels_R: Tensor, mask_R: Tensor
) -> dict[str, float]:
    """max |logratio - fp64| over the first live rows."""
    rows = mask_R.nonzero()[:CHECKED_ROWS, 0]
    exact = token_logratio_definition(
        policy_RV.detach()[rows].double(), labels_R[rows], mask_R[rows], ref_logits_RV=ref_RV[rows].double()
    )
    errors = {}
    for name, entrant in entrants.items():
        logratio_R = entrant.forward().logratio_R.detach()
        checked = logratio_R[:CHECKED_ROWS] if name == "rows" else logratio_R[rows]
        errors[name] = (checked[: len(rows)] - exact.logratio_R).abs().max().item()
    return errors
