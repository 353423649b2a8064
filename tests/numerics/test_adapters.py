"""Adapters: the start is the reference, only they train and are stored, and merged they are the same model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iterpref.checkpoints import policy_weights
from iterpref.config import Config, ModelConfig, to_dict
from iterpref.config.model import LoraConfig
from iterpref.data.collate import collate
from iterpref.data.reference_cache import batch_logps
from iterpref.errors import UserError
from iterpref.models.adapters import add_adapters, merged, quantization, trained_only, without_adapters
from iterpref.models.export import export_run
from iterpref.models.module import FocalDPOModule, Meter
from iterpref.models.policy import compile_layers, score_rows

LORA = ModelConfig(lora=LoraConfig(rank=4))


def noisy(model: Any, seed: int = 3) -> Any:
    """Adapters that do something: fresh ones add nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(0.2 * torch.randn(p.shape, generator=generator))
    return model


def adapted(tiny_model: Any, kind: str = "qwen2", config: ModelConfig = LORA, **settings: Any) -> Any:
    return add_adapters(tiny_model(kind, **settings), config)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma2", "starcoder2"])
def test_fresh_adapters_change_nothing_and_trained_ones_do_and_merged_equals_unmerged(
    kind: str, tiny_model: Any, make_examples: Any
) -> None:
    batch = collate(make_examples(3), packing="shared" if kind != "gemma2" else "padded", pad_id=0)

    def logps(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return score_rows(model, batch, None, "torch").policy_logps_R

    before = logps(tiny_model(kind))
    model = adapted(tiny_model, kind)
    assert torch.equal(logps(model), before)
    after = logps(noisy(model))
    assert (after - before).abs().max() > 0.1
    with without_adapters(model):
        assert torch.equal(logps(model), before)
    assert torch.equal(logps(model), after)
    whole = merged(model)
    assert not [name for name, _ in whole.named_parameters() if "lora" in name]
    torch.testing.assert_close(logps(whole), after, rtol=1e-4, atol=1e-4)


def test_every_linear_layer_but_the_head_gets_an_adapter_and_only_they_train(tiny_model: Any) -> None:
    model = adapted(tiny_model, tie_word_embeddings=False)
    layers = {
        name.rpartition(".lora_A")[0].rpartition(".")[2] for name, _ in model.named_parameters() if ".lora_A" in name
    }
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all(("lora_" in name) == p.requires_grad for name, p in model.named_parameters())
    few = adapted(tiny_model, config=ModelConfig(lora=LoraConfig(rank=2, targets=["q_proj"])))
    assert len([p for p in few.parameters() if p.requires_grad]) == 2 * few.config.num_hidden_layers
    with pytest.raises(UserError, match="no layer of smollm2_135m is named nothing"):
        adapted(tiny_model, config=ModelConfig(lora=LoraConfig(rank=2, targets=["nothing"])))


def test_adapters_over_bf16_weights_are_fp32(tiny_model: Any) -> None:
    model = adapted(tiny_model, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("packing", "checkpointing"), [("none", False), ("padded", False), ("shared", False), ("shared", True)]
)
def test_the_three_references_give_the_same_gradient_of_the_adapters(
    packing: str, checkpointing: bool, tiny_model: Any, make_examples: Any
) -> None:
    examples = make_examples(4)

    def gradient(reference: str) -> dict[str, torch.Tensor]:
        model = noisy(adapted(tiny_model)).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        known = examples
        if reference == "cached":
            rows = batch_logps(
                tiny_model("qwen2"), examples, backend="torch", autocast=torch.inference_mode,
                make_batch=lambda e: collate(e, packing=packing, pad_id=0),
            )  # fmt: skip
            known = [
                replace(e, chosen_ref_logps=r.chosen_ref_logps, rejected_ref_logps=r.rejected_ref_logps)
                for e, r in zip(examples, rows, strict=True)
            ]
        twin = tiny_model("qwen2") if reference == "live" else None
        config = Config(reference=reference)
        config.model.lora.rank = 4
        module = FocalDPOModule(config, model, twin, total_steps=1)
        module._step(collate(known, packing=packing, pad_id=0), Meter()).loss.backward()
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    live = gradient("live")
    assert min(g.abs().max() for g in live.values()) > 0
    for other in ("cached", "adapter"):
        for name, g in gradient(other).items():
            where = f"{other} {name}: "
            torch.testing.assert_close(g, live[name], rtol=1e-4, atol=1e-5, msg=lambda m, at=where: at + m)


def test_the_gradient_is_that_of_the_product_of_the_adapters(tiny_model: Any, make_examples: Any) -> None:
    """d loss / d A = (alpha / rank) B^T G and d loss / d B = (alpha / rank) G A^T, with G the gradient of the merged weight."""
    batch = collate(make_examples(3), packing="shared", pad_id=0)
    config = Config(reference="live")
    model = noisy(adapted(tiny_model, config=ModelConfig(lora=LoraConfig(rank=4, alpha=6, targets=["q_proj"]))))
    FocalDPOModule(config, model, tiny_model("qwen2"), total_steps=1)._step(batch, Meter()).loss.backward()
    layer = model.get_decoder().layers[1].self_attn.q_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    grad_a, grad_b, a, b = a.grad.clone(), b.grad.clone(), a.detach().clone(), b.detach().clone()
    whole = merged(model).requires_grad_(True)
    FocalDPOModule(config, whole, tiny_model("qwen2"), total_steps=1)._step(batch, Meter()).loss.backward()
    whole_grad = whole.get_decoder().layers[1].self_attn.q_proj.weight.grad
    torch.testing.assert_close(grad_a, 1.5 * b.T @ whole_grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(grad_b, 1.5 * whole_grad @ a.T, rtol=1e-3, atol=1e-4)


def test_compiled_layers_with_adapters_score_the_same_with_them_on_and_off(tiny_model: Any, make_examples: Any) -> None:
    batch = collate(make_examples(2), packing="shared", pad_id=0)
    model = noisy(adapted(tiny_model))
    plain = score_rows(model, batch, None, "torch").policy_logps_R.detach()
    import torch._dynamo

    torch._dynamo.reset()
    compile_layers(model)
    for layer in model.get_decoder().layers:
        layer._compiled_call_impl = torch.compile(layer._call_impl, backend="eager", dynamic=True)
    torch.testing.assert_close(score_rows(model, batch, None, "torch").policy_logps_R, plain, rtol=1e-4, atol=1e-5)
    with torch.no_grad(), without_adapters(model):
        off = score_rows(model, batch, None, "torch").policy_logps_R
        torch.testing.assert_close(off, score_rows(tiny_model("qwen2"), batch, None, "torch").policy_logps_R)


def test_a_checkpoint_of_another_rank_or_of_a_whole_model_is_refused(tiny_model: Any) -> None:
    config = Config(reference="adapter")
    module = FocalDPOModule(config, adapted(tiny_model), total_steps=1)
    module.trainer = SimpleNamespace(accumulate_grad_batches=32)  # as many passes a step as before
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict(), "hyper_parameters": to_dict(config)}
    module.on_save_checkpoint(checkpoint)
    assert all("lora_" in name for name in checkpoint["state_dict"])
    module.on_load_checkpoint(checkpoint)
    whole = FocalDPOModule(Config(), tiny_model("qwen2"), total_steps=1)
    for one, other in ((whole, checkpoint), (module, {"state_dict": whole.state_dict()})):
        with pytest.raises(UserError, match=r"of another model.*resume=false"):
            one.on_load_checkpoint(other)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["q_proj", "qproj"], r"no layer of tiny is named qproj; choose among .*q_proj"),
        (["proj"], "no layer of tiny is named proj"),
        (["q_proj", "lm_head"], "lm_head is tiny's embedding or head"),
        (["model.embed_tokens"], r"model\.embed_tokens is tiny's embedding or head"),
        (["input_layernorm"], r"targets=\['input_layernorm'\] does not fit tiny"),
    ],
)
def test_a_target_without_effect_is_refused(targets: list[str], expected: str, tiny_model: Any) -> None:
    with pytest.raises(UserError, match=expected):
        add_adapters(tiny_model(), ModelConfig(name="tiny", lora=LoraConfig(rank=2, targets=targets)))


def test_targets_by_their_last_name_or_by_all_of_it_get_adapters_and_no_others(tiny_model: Any) -> None:
    config = ModelConfig(lora=LoraConfig(rank=2, targets=["v_proj", "model.layers.1.self_attn.q_proj"]))
    trained = {
        n.split(".lora_")[0] for n, p in add_adapters(tiny_model(), config).named_parameters() if p.requires_grad
    }
    layers = len(tiny_model().get_decoder().layers)
    assert trained == {
        f"base_model.model.model.layers.{n}.self_attn.{one}"
        for n, one in [*((n, "v_proj") for n in range(layers)), (1, "q_proj")]
    }


def test_quantised_weights_need_bitsandbytes_and_a_gpu() -> None:
    assert quantization(ModelConfig()) is None
    if torch.cuda.is_available():
        pytest.skip("4 bits may work here")
    with pytest.raises(UserError, match=r"iterpref\[qlora\]|needs a GPU"):
        quantization(ModelConfig(quantization="nf4", lora=LoraConfig(rank=4)))


def test_stored_tensors_are_those_that_train(tiny_model: Any, tmp_path: Path) -> None:
    model = adapted(tiny_model)
    stored = trained_only(model, model.state_dict())
    torch.save({"global_step": 1, "state_dict": {f"policy.{k}": v for k, v in stored.items()}}, tmp_path / "c.ckpt")
    assert set(policy_weights(tmp_path / "c.ckpt")) == {n for n, p in model.named_parameters() if p.requires_grad}
    assert sum(t.numel() for t in stored.values()) < 0.2 * sum(p.numel() for p in model.parameters())


def test_adapters_alone_name_the_model_that_they_belong_to_as_everybody_knows_it(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "snapshot"
    tiny_model().save_pretrained(start)
    monkeypatch.setattr(
        "iterpref.models.export.load_tokenizer", lambda folder: SimpleNamespace(save_pretrained=lambda f: None)
    )
    config = Config()
    config.model = ModelConfig(source="pretrained", path="somebody/coder", revision="v2", lora=LoraConfig(rank=2))
    weights = trained_only(model := add_adapters(tiny_model(), config.model), model.state_dict())
    folder = export_run(config, tmp_path, start, weights, tmp_path / "adapter", merge=False, step=1)
    told = json.loads((folder / "adapter_config.json").read_text())
    assert (told["base_model_name_or_path"], told["revision"]) == ("somebody/coder", "v2")
    assert "base_model: somebody/coder" in (folder / "README.md").read_text()
    config.model.path = str(start)
    folder = export_run(config, tmp_path, start, weights, tmp_path / "adapter", merge=False, step=1)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(start)
