"""Each family in `FAMILIES`: the three packings are one computation, and neighbours in a row never see each other.

Models compute in fp64, their norms and rotary angles inside transformers in fp32: hence 1e-5, not 1e-12.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from iterpref.batch import Batch, Terms
from iterpref.config import Config
from iterpref.data.collate import collate
from iterpref.losses import combine, pair_sums
from iterpref.models.policy import scored_logits
from iterpref.models.shared_prefix import FAMILIES
from iterpref.ops import token_logratio_definition

LOSS_ROWS = Terms(preference=True, nll="chosen")
# What a family has beside plain causal attention: windows shorter than the pairs, soft caps.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {kind: (kind, {}) for kind in FAMILIES} | {
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral, window 5": ("mistral", {"sliding_window": 5}),
    "starcoder2, window 4": ("starcoder2", {"sliding_window": 4}),
    "qwen2, window 5 in one layer": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "gemma2, window 3": (
        "gemma2",
        {"sliding_window": 3, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0},
    ),
    "gemma3, window 4": ("gemma3_text", {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}),
}


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Target-RPO against a reference of zeros, from the batch, in fp64."""
    logits_RV = scored_logits(model, batch)
    live_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
    zeros_R = torch.zeros(len(batch.labels_R), dtype=torch.float64)
    ratios = token_logratio_definition(logits_RV, batch.labels_R, live_R, ref_logps_R=zeros_R)
    return combine(pair_sums(ratios, batch), Config().loss, batch.step_pairs).loss


def gradients(model: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss = loss_of(model, batch)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss.detach(), {n: g for n, g in zip(names, found, strict=True) if g is not None}


@pytest.mark.parametrize("variant", VARIANTS)
def test_none_padded_and_shared_have_one_loss_and_one_gradient_of_every_parameter(
    variant: str, tiny_model: Any, make_examples: Any
) -> None:
    kind, settings = VARIANTS[variant]
    model = tiny_model(kind, torch.float64, **settings)
    examples = make_examples(5, longest=6)
    loss, wanted = gradients(model, collate(examples, packing="none", pad_id=0))
    layouts: list[dict[str, Any]] = [
        {"packing": packing, "terms": terms} for packing in ("none", "padded", "shared") for terms in (None, LOSS_ROWS)
    ]
    layouts += [{"packing": "shared", "terms": LOSS_ROWS, "one_row": True, "parts": 16}]
    for layout in layouts:
        found, gradient = gradients(model, collate(examples, pad_id=0, **layout))
        torch.testing.assert_close(found, loss, rtol=1e-5, atol=1e-5)
        assert gradient.keys() == wanted.keys()
        for name in wanted:
            torch.testing.assert_close(
                gradient[name], wanted[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name, w=layout: f"{w}, {n}: {m}"
            )
