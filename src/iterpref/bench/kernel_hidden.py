"""The log-probs of scored rows from hidden states: our fused head and its peers, forward with backward.

T hidden states, of which a share (the density) has loss; a gradient of its own for every row; gradients of hidden states
and weight. `ours` keeps the logits of its rows for backward, `ours-recompute` makes them again, `ours-frozen` has no
gradient for the weight.

floor for R rows with loss and a trained weight, the larger of

    products   3 x 2 R H V operations / the product rate measured here
    weight     what little work cannot go below: the weight read twice and its gradient written / copy bandwidth

A frozen weight leaves two products, and can be below. Errors: log-probs of checked rows against fp64 (largest), gradients
of hidden states (over checked rows) and of the weight (whole) as |g - fp64| / |fp64|.

Shapes: T positions, R rows with loss, H hidden, V vocabulary.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from iterpref.bench.kernel_peers import Head, peers
from iterpref.bench.timing import extra_memory, median_times
from iterpref.ops import linear_logratio

SHAPES = ((8192, 1536, 151_936), (8192, 3584, 151_936))
DENSITIES = (1.0, 0.5, 0.1, 0.03)
DTYPE = torch.bfloat16
CHECKED_ROWS = 64
LOGIT_SPREAD = 3.0

Outcome = tuple[Tensor, tuple[Tensor, ...]]  # log-probs; gradients of hidden states and, unless frozen, weight


@dataclass(frozen=True)
class HiddenResult:
    positions: int
    hidden: int
    vocabulary: int
    density: float
    rows: int
    contender: str
    both_ms: float
    floor_ms: float
    extra_gib: float  # peak memory of forward and backward, beyond hidden states and weight; gradients count
    logp_error: float
    hidden_gradient_error: float
    weight_gradient_error: float | None


@dataclass(frozen=True)
class Problem:
    hidden_TH: Tensor
    weight_VH: Tensor
    labels_T: Tensor
    rows_R: Tensor
    upstream_T: Tensor

    @classmethod
    def random(cls, T: int, H: int, V: int, density: float) -> Problem:
        g = torch.Generator("cuda").manual_seed(0)
        hidden_TH = torch.randn(T, H, generator=g, device="cuda").to(DTYPE)
        weight_VH = (torch.randn(V, H, generator=g, device="cuda") * LOGIT_SPREAD / H**0.5).to(DTYPE)
        rows_R = torch.randperm(T, generator=g, device="cuda")[: max(1, round(density * T))].sort().values
        labels_T = torch.full((T,), -100, device="cuda")
        labels_T[rows_R] = torch.randint(V, (len(rows_R),), generator=g, device="cuda")
        upstream_T = torch.rand(T, generator=g, device="cuda") + 0.5
        return cls(hidden_TH.requires_grad_(), weight_VH.requires_grad_(), labels_T, rows_R, upstream_T)

    def call(self, head: Head, frozen: bool = False) -> Callable[[], Outcome]:
        weight_VH = self.weight_VH.detach() if frozen else self.weight_VH
        leaves = [self.hidden_TH] if frozen else [self.hidden_TH, self.weight_VH]

        def both() -> Outcome:
            logps = head(self.hidden_TH, weight_VH)
            if logps.ndim == 0:  # a summed loss takes one gradient for all
                return logps, torch.autograd.grad(logps, leaves)
            upstream = self.upstream_T if len(logps) == len(self.labels_T) else self.upstream_T[self.rows_R]
            return logps, torch.autograd.grad(logps, leaves, upstream.to(logps.dtype))

        return both


def measure_hidden(
    T: int, H: int, V: int, density: float, bandwidth: float, rate: float, rounds: int
) -> tuple[list[HiddenResult], dict[str, str]]:
    """(all contenders on one shape and density, why some are missing)"""
    problem = Problem.random(T, H, V, density)
    heads, absent = peers(problem.labels_T, problem.rows_R)
    calls = {name: problem.call(head) for name, head in {**heads, **_ours(problem)}.items() if "frozen" not in name}
    calls["ours-frozen"] = problem.call(_ours(problem)["ours-frozen"], frozen=True)
    truth = Truth(problem)
    errors = {}
    for name in list(calls):
        try:
            errors[name] = truth.errors(calls[name]())
        except Exception as error:  # out of memory, or a peer that does not run on this version
            absent[name] = f"{type(error).__name__}: {str(error)[:300]}"
            del calls[name]
        gc.collect()
        torch.cuda.empty_cache()
    del truth
    times = median_times(calls.values(), rounds)
    R = len(problem.rows_R)
    floor_ms = 1e3 * max(6 * R * H * V / rate, 3 * V * H * DTYPE.itemsize / bandwidth)
    results = []
    for (name, call), both_ms in zip(calls.items(), times, strict=True):
        extra_gib = extra_memory(call) / 2**30
        results.append(HiddenResult(T, H, V, density, R, name, both_ms, floor_ms, extra_gib, *errors[name]))
    return results, absent


def _ours(problem: Problem) -> dict[str, Head]:
    labels_R = problem.labels_T[problem.rows_R]

    def head(keep_bytes: int | None) -> Head:
        return lambda h, w: linear_logratio(h, w, problem.rows_R, labels_R, keep_bytes=keep_bytes).policy_logps_R

    return {"ours": head(None), "ours-recompute": head(0), "ours-frozen": head(None)}


class Truth:
    """Log-probs and gradients of a problem in fp64, in chunks of rows."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rows_R = problem.rows_R
        weight_VH = problem.weight_VH.detach().double()
        self._weighted = self._gradients(weight_VH, problem.upstream_T.double())
        self._plain = self._gradients(weight_VH, torch.ones_like(problem.upstream_T, dtype=torch.float64))

    def _gradients(self, weight_VH: Tensor, upstream_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(log-probs and d/d hidden of the checked rows, d/d weight)"""
        hidden_TH = self._problem.hidden_TH.detach()
        total_VH = torch.zeros_like(weight_VH)
        checked: tuple[Tensor, Tensor] | None = None
        for rows_C in self._rows_R.split(512):
            hidden_CH = hidden_TH[rows_C].double()
            logps_CV = (hidden_CH @ weight_VH.T).log_softmax(1)
            labels_C1 = self._problem.labels_T[rows_C][:, None]
            label_logps_C = logps_CV.gather(1, labels_C1)[:, 0]
            grad_CV = logps_CV.exp_().neg_()
            grad_CV.scatter_add_(1, labels_C1, torch.ones_like(labels_C1, dtype=torch.float64))
            grad_CV *= upstream_T[rows_C][:, None]
            total_VH.addmm_(grad_CV.T, hidden_CH)
            if checked is None:
                checked = label_logps_C[:CHECKED_ROWS], grad_CV[:CHECKED_ROWS] @ weight_VH
        assert checked is not None
        return *checked, total_VH

    def errors(self, outcome: Outcome) -> tuple[float, float, float | None]:
        logps, gradients = outcome
        rows_R = self._rows_R[:CHECKED_ROWS]
        true_logps_R, true_hidden_RH, true_weight_VH = self._plain if logps.ndim == 0 else self._weighted
        checked = logps[rows_R] if logps.ndim and len(logps) == len(self._problem.labels_T) else logps
        if logps.ndim == 0:
            logp_error = float("nan")  # a sum over all rows
        else:
            logp_error = (checked[: len(rows_R)].detach().double() - true_logps_R).abs().max().item()
        weight_error = _relative(gradients[1], true_weight_VH) if len(gradients) > 1 else None
        return logp_error, _relative(gradients[0][rows_R], true_hidden_RH), weight_error


def _relative(mine: Tensor, truth: Tensor) -> float:
    return ((mine.double() - truth).norm() / truth.norm()).item()
