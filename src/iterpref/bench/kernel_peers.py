"""Heads to compare with: each takes hidden states, weight and labels, -100 where a row has no loss, and gives log-probs [T].

    eager          all rows through the head, fp32 log-softmax, masked
    compile        the same under torch.compile
    compile-rows   torch.compile on hidden states gathered beforehand: what a caller can do without a kernel of ours
    liger          Liger's fused linear cross entropy, per-token loss; it computes rows without loss too
    liger-rows     the same on gathered hidden states
    liger-sum      its summed loss: gradients in the forward pass, so every row has the same weight. No loss of ours can
                   use it; it is here because it is Liger's fastest
    cce            Cut Cross-Entropy, per-token loss, gradients of unlikely tokens left out (its default)
    cce-exact      the same with all gradients
    trl            TRL's chunked head, on gathered rows, as its trainers call it

A peer that is not installed, or that fails, is recorded with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Head = Callable[[Tensor, Tensor], Tensor]  # hidden [T, H], weight [V, H] -> log-probs of the rows, [T] or [R]

_TRL_VOCABULARY_CHUNK = 8192  # if TRL does not say


def peers(labels_T: Tensor, rows_R: Tensor) -> tuple[dict[str, Head], dict[str, str]]:
    """(the heads that could be built here, by name; why the others could not)"""
    builders: dict[str, Callable[[Tensor, Tensor], Head]] = {
        "eager": lambda labels_T, _: lambda h, w: _logps(h, w, labels_T),
        "compile": lambda labels_T, _: lambda h, w: _compiled()(h, w, labels_T),
        "compile-rows": _compile_rows,
        "liger": lambda labels_T, _: _liger(labels_T, "none"),
        "liger-rows": lambda labels_T, rows_R: _gathered(_liger(labels_T[rows_R], "none"), rows_R),
        "liger-sum": lambda labels_T, _: _liger(labels_T, "sum"),
        "cce": lambda labels_T, _: _cce(labels_T, "high"),
        "cce-exact": lambda labels_T, _: _cce(labels_T, None),
        "trl": _trl,
    }
    heads, absent = {}, {}
    for name, build in builders.items():
        try:
            heads[name] = build(labels_T, rows_R)
        except Exception as error:  # an import of somebody else's package may fail in any way
            absent[name] = f"{type(error).__name__}: {error}"
    return heads, absent


def _logps(hidden_TH: Tensor, weight_VH: Tensor, labels_T: Tensor) -> Tensor:
    logits_TV = F.linear(hidden_TH, weight_VH).float()
    live_T = labels_T >= 0
    label_logits_T = logits_TV.gather(1, labels_T.where(live_T, 0)[:, None])[:, 0]
    return (label_logits_T - logits_TV.logsumexp(1)).where(live_T, 0)


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    return torch.compile(_logps, dynamic=False)


def _compile_rows(labels_T: Tensor, rows_R: Tensor) -> Head:
    labels_R = labels_T[rows_R]
    return _gathered(lambda h, w: _compiled()(h, w, labels_R), rows_R)


def _gathered(head: Head, rows_R: Tensor) -> Head:
    return lambda hidden_TH, weight_VH: head(hidden_TH[rows_R], weight_VH)


def _liger(labels: Tensor, reduction: str) -> Head:
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy as loss

    return lambda hidden, weight_VH: -loss(hidden, weight_VH, labels, reduction=reduction)


def _cce(labels_T: Tensor, filter_eps: str | None) -> Head:
    from cut_cross_entropy import linear_cross_entropy as loss

    return lambda h, w: -loss(h, w, labels_T, reduction="none", filter_eps=filter_eps)


def _trl(labels_T: Tensor, rows_R: Tensor) -> Head:
    from trl.kernels import ChunkedLogProbFunction
    from trl.trainer import utils

    labels_R = labels_T[rows_R]
    chunk = getattr(utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", _TRL_VOCABULARY_CHUNK)
    return _gathered(
        lambda h, w: ChunkedLogProbFunction.apply(h, w, None, labels_R, 1.0, chunk, None, 1.0, ())[0], rows_R
    )
