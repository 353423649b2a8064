"""What a GPU does sooner than transformers' own code asks of it, while a model answers.

Attention of one token by `ops/attention.py`, and RMS norms by torch's fused one instead of eight kernels each. A norm is
rounded once, where transformers rounds before it multiplies by the weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from iterpref.ops import resolve_backend

NAME = "iterpref_one_token"  # under which transformers knows our attention
MOST_HEAD = 256  # numbers in a head that its kernel has room for


class AnswerKernels:
    """Those that fit one model: none off a GPU; our attention where the model attends by SDPA; norms that prove to be plain."""

    def __init__(self, model: Any) -> None:
        self._config = model.config.get_text_config()
        fits = resolve_backend("auto", model.device) == "triton"
        self._attends = fits and self._config._attn_implementation == "sdpa"
        self._norms = plain_norms(model) if fits else []

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within, passes of the model run by them."""
        before = self._config._attn_implementation
        if self._attends:
            AttentionInterface.register(NAME, attend)
            self._config._attn_implementation = NAME
        for norm in self._norms:
            norm.forward = partial(_normed, norm)
        try:
            yield
        finally:
            self._config._attn_implementation = before
            for norm in self._norms:
                del norm.forward  # the class's own shows again


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Behind transformers' attention interface: [S, heads, T, D] in, [S, T, heads, D] out. All else than one token is SDPA's."""
    size = query.shape[-1]
    alike = query.dtype == key.dtype == value.dtype and key.shape == value.shape
    if query.shape[2] > 1 or not alike or size > MOST_HEAD or rest.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
    from iterpref.ops.attention import attend_one

    scale = size**-0.5 if scaling is None else scaling
    return attend_one(query[:, :, 0], key, value, attention_mask[:, 0, 0], scale)[:, None], None


def plain_norms(model: Any) -> list[Any]:
    """Modules that give `weight * x / sqrt(mean(x^2) + variance_epsilon)`, as a trial of one of each class tells: other
    families add 1 to the weight, or look at a gate."""
    named = [
        m
        for m in model.modules()
        if hasattr(m, "variance_epsilon") and [n for n, _ in m.named_parameters()] == ["weight"]
    ]
    plain = {kind: _is_plain(next(m for m in named if type(m) is kind)) for kind in {type(m) for m in named}}
    return [m for m in named if plain[type(m)] and "forward" not in vars(m)]


def _is_plain(norm: Any) -> bool:
    weight = norm.weight
    x = torch.linspace(-3, 2, 3 * len(weight), device=weight.device, dtype=weight.dtype).view(3, -1)
    try:
        given = norm(x)
    except TypeError:  # it wants more than x
        return False
    tolerance = 4 * torch.finfo(weight.dtype).eps  # two roundings
    return given.shape == x.shape and torch.allclose(_normed(norm, x), given, rtol=tolerance, atol=tolerance)


def _normed(norm: Any, x: Tensor) -> Tensor:
    return rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)
