"""FlexAttention's kernel is made for any length of rows and for these very heads, whoever compiled the layers around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from iterpref.models import shared_prefix


def test_heads_that_a_layer_for_any_length_returns_are_static_for_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[list[list[bool]]] = []

    def keep(graph: Any, inputs: list[Any]) -> Any:
        values = [node.meta["example_value"] for node in graph.graph.nodes if node.op == "placeholder"]
        graphs.append([[isinstance(n, int) for n in v.shape] for v in values if isinstance(v, Tensor)])
        return graph

    def attend(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> Tensor:
        return query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT @ value[:, :1]

    kernel = torch.compile(attend, backend=keep)
    monkeypatch.setattr(shared_prefix, "_compiled", lambda: kernel)

    # As under FSDP, where a layer's attributes are no constants: heads and their width are symbols of its graph.
    @torch.compile(dynamic=True, backend="aot_eager")
    def layer(hidden_ST: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
        heads = hidden_ST.view(1, hidden_ST.shape[1], -1, width).transpose(1, 2)
        return heads * 1, heads[:, :2] * 2, heads[:, :2] * 3

    marked = 0
    for length in (10, 12, 14, 16):
        found = layer(torch.randn(1, length, 48, requires_grad=True), 8)
        marked += sum("dynamic_indices" in name for tensor in found for name in vars(tensor))
        shared_prefix.flex_attention(None, *found, SimpleNamespace(seq_lengths=(length, length)), 1.0)
    assert marked  # else torch has ceased to mark, and nothing need be done
    # The second is for any length: batch, heads and their width are as fixed as in the first.
    assert graphs == [3 * [[True, True, True, True]], 3 * [[True, True, False, True]]]


def test_attention_is_taken_out_of_layers_only_where_it_is_flex(tiny_model: Any) -> None:
    model = tiny_model()
    shared_prefix.attend_apart(model)
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation(shared_prefix.register_flex())
    shared_prefix.attend_apart(model)
    assert model.config._attn_implementation == shared_prefix.FLEX_APART
