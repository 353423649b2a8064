"""A model that answers by the kernels for answers, against its own code; under the interpreter or on a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GemmaConfig,
    LlamaConfig,
    Qwen3Config,
)

from iterpref.models import answer_kernels
from iterpref.models.answer_kernels import AnswerKernels, plain_norms

from .cases import INTERPRETED

NO_GPU = INTERPRETED or not torch.cuda.is_available()
GPU = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(NO_GPU, reason="needs a GPU")])
CPU = pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="needs the interpreter"))
SIZES = {
    "vocab_size": 64, "hidden_size": 48, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.5,
}  # fmt: skip
HIDDEN = -65504.0


def of_family(config: type, **more: Any) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(**SIZES, **more)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.normal_(1.0, 0.3)
    return model


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("config", [LlamaConfig, Qwen3Config, GemmaConfig])
def test_a_model_gives_the_logits_of_its_own_code(config, device, monkeypatch):
    model = of_family(config).to(device)
    tokens = torch.randint(0, 64, (4, 9), generator=torch.Generator().manual_seed(1)).to(device)
    later = torch.ones(9, 9, device=device, dtype=torch.bool).triu(1)
    bias = torch.zeros(4, 1, 9, 9, device=device).masked_fill(later, HIDDEN)
    bias[1, :, :, :3] = HIDDEN  # padded on the left
    bias[1, :, :3, 0] = 0
    monkeypatch.setattr(answer_kernels, "resolve_backend", lambda requested, device: "triton")
    with torch.no_grad():
        expected = model(tokens, attention_mask=bias).logits[:, -1]
        cache, seen = DynamicCache(config=model.config), spied_on(monkeypatch)
        with AnswerKernels(model).in_use():
            model(tokens[:, :8], attention_mask=bias[:, :, :8, :8], past_key_values=cache)
            found = model(tokens[:, 8:], attention_mask=bias[:, :, 8:], past_key_values=cache).logits[:, -1]
        after = model(tokens, attention_mask=bias).logits[:, -1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert seen == [(4, 6, 8)] * 3  # one token of each layer, and nothing of the prompt
    assert torch.equal(after, expected)
    assert model.config._attn_implementation == "sdpa"


def spied_on(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the queries that reach our kernel from here on."""
    from iterpref.ops import attention

    plain, seen = attention.attend_one, []
    monkeypatch.setattr(attention, "attend_one", lambda *args: seen.append(tuple(args[0].shape)) or plain(*args))
    return seen


@pytest.mark.parametrize(("config", "number"), [(LlamaConfig, 7), (Qwen3Config, 13), (GemmaConfig, 0)])
def test_only_norms_that_multiply_by_their_weight_are_taken(config, number):
    norms = plain_norms(of_family(config))
    assert len(norms) == number
    x = torch.randn(5, 48) * 3
    for norm in [n for n in norms if len(n.weight) == 48]:
        torch.testing.assert_close(answer_kernels._normed(norm, x), norm(x))


def test_a_norm_that_only_looks_alike_is_left_alone():
    class Gated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            return x * gate

    class Shifted(Gated):
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return torch.nn.functional.rms_norm(x, (8,), 1 + self.weight, 1e-6)

    assert plain_norms(torch.nn.ModuleList([Gated(), Shifted()])) == []


def test_off_a_gpu_a_model_runs_by_its_own_code():
    model = of_family(LlamaConfig)
    with AnswerKernels(model).in_use():
        assert model.config._attn_implementation == "sdpa"
        assert "forward" not in vars(model.model.norm)
