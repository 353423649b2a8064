"""`ops/attention.py` as a model's own attention, while it answers token by token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from iterpref.ops import resolve_backend

NAME = "iterpref_one_token"  # under which transformers knows it
MOST_HEAD = 256  # numbers in a head that the kernel has room for


@contextmanager
def one_token_attention(model: Any) -> Iterator[None]:
    """Within, a model that attends by SDPA on a GPU does so by our kernel where a row's query is one token, with a 4-D mask."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before != "sdpa" or resolve_backend("auto", model.device) != "triton":
        yield
        return
    AttentionInterface.register(NAME, attend)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Behind transformers' attention interface: [S, heads, T, D] in, [S, T, heads, D] out. All else than one token is SDPA's."""
    size = query.shape[-1]
    if query.shape[2] > 1 or key.shape != value.shape or size > MOST_HEAD or rest.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
    from iterpref.ops.attention import attend_one

    scale = size**-0.5 if scaling is None else scaling
    return attend_one(query[:, :, 0], key, value, attention_mask[:, 0, 0], scale)[:, None], None
