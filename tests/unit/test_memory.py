"""The memory plan: its arithmetic by hand, against what a pass really keeps, and the paper's models under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import GPT2Config, LlamaConfig, Qwen2Config, Starcoder2Config, ViTConfig

from iterpref.cli import CONFIG_DIR, register_schema
from iterpref.config import Config, load
from iterpref.data.collate import collate
from iterpref.errors import UserError
from iterpref.memory import GIB, describe, memory_advice, pass_sizes, plan, shape_of
from iterpref.models.module import FocalDPOModule, Meter

QWEN_1_5B = Qwen2Config(
    vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
    num_key_value_heads=2, tie_word_embeddings=True,
)  # fmt: skip
QWEN_7B = Qwen2Config(
    vocab_size=152_064, hidden_size=3584, intermediate_size=18_944, num_hidden_layers=28, num_attention_heads=28,
    num_key_value_heads=4, tie_word_embeddings=False,
)  # fmt: skip

TRAINER = {
    "compile": "compiled",
    "strategy": "strategy",
    "devices": "devices",
}  # options, and what a measured row calls them


def composed(*overrides: str) -> Config:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        return load(compose("train", list(overrides)))


def bf16(**changes: Any) -> Config:
    config = Config()
    config.model.dtype, config.trainer.precision = "bfloat16", "bf16-true"
    for key, value in changes.items():
        section, leaf = key.split("__")
        setattr(getattr(config, section), leaf, value)
    return config


def test_the_parts_of_a_bf16_model_by_hand() -> None:
    shape = shape_of(QWEN_1_5B)
    assert shape.parameters == 1_543_714_304
    found = plan(bf16(), shape, tokens=1000, rows=500, precision="bf16-true").parts
    assert found["weights"] == found["gradients"] == 2 * 1_543_714_304
    assert found["optimizer"] == 4 * 1_543_714_304
    assert found["reference"] == found["lowered"] == found["gathered"] == 0
    assert found["activations"] == 1000 * 28 * 2 * (6 * 1536 + 2 * 1536 + 2 * 256 + 4 * 8960)
    assert found["scores"] == 500 * 151_936 * 2


def test_the_plan_is_near_the_peaks_that_were_measured_on_an_h200() -> None:
    """1.5B shape, bf16, 3,781 tokens a step: 17.4 GiB with trainer.compile=graphs, 21.6 with all activations kept."""
    shape = shape_of(QWEN_1_5B)
    for compiled, measured in (("graphs", 17.4), ("none", 21.6)):
        found = plan(bf16(trainer__compile=compiled), shape, 3781, 2000, "bf16-true").total / GIB
        assert found == pytest.approx(measured, rel=0.1), compiled


def test_the_plan_is_near_the_peaks_of_every_strategy_that_was_measured() -> None:
    rows = json.loads((Path(__file__).parents[2] / "docs/bench/scaling_h200.json").read_text())["rows"]
    assert {row["strategy"] for row in rows} == {"auto", "ddp", "fsdp2", "deepspeed_3"}
    for row in rows:
        config = bf16(**{f"trainer__{key}": row[said] for key, said in TRAINER.items()})
        shape = shape_of({"1.5B": QWEN_1_5B, "7B": QWEN_7B}[row["shape"]])
        found = plan(config, shape, row["positions"], int(row["loss_rows"]), "bf16-true").total / GIB
        assert found == pytest.approx(row["peak_gib"], rel=0.2), row


def test_options_change_the_parts_that_they_are_for() -> None:
    shape = shape_of(QWEN_7B)

    def parts(config: Config, precision: str = "bf16-true") -> dict[str, float]:
        return plan(config, shape, 4000, 2000, precision).parts

    base = parts(bf16())
    assert parts(bf16(trainer__compile="layers"))["activations"] == pytest.approx(0.7 * base["activations"])
    assert parts(bf16(model__gradient_checkpointing=True))["activations"] < 0.12 * base["activations"]
    live = bf16()
    live.reference = "live"
    assert parts(live)["reference"] == base["weights"]
    lora = bf16()
    lora.model.lora.rank = 16
    small = parts(lora, "bf16-mixed")
    adapters = 4 * 16 * shape.adapters_per_rank
    assert (small["gradients"], small["optimizer"]) == (adapters, 2 * adapters)
    assert small["weights"] == base["weights"] + adapters
    lora.model.quantization = "nf4"
    assert parts(lora, "bf16-mixed")["weights"] < 0.3 * base["weights"]
    shards = parts(bf16(trainer__devices=8, trainer__strategy="fsdp2"))
    assert [shards[name] for name in ("weights", "gradients", "optimizer")] == [
        base[name] / 8 for name in ("weights", "gradients", "optimizer")
    ]
    zero = parts(bf16(trainer__devices=8, trainer__strategy="deepspeed_3"))
    assert [zero[name] * 8 / shape.parameters for name in ("weights", "gradients", "optimizer")] == [2, 4, 12]
    zero = parts(bf16(trainer__devices=8, trainer__strategy="deepspeed_2"))
    assert [zero[name] / shape.parameters for name in ("weights", "gradients", "optimizer")] == [2, 4 / 8, 12 / 8]
    assert zero["gathered"] == 0
    live.trainer.devices, live.trainer.strategy = 8, "deepspeed_3"
    assert parts(live)["reference"] == base["weights"]
    assert parts(Config(), "bf16-mixed")["lowered"] == base["weights"]


def test_what_a_pass_keeps_for_backward_is_what_the_plan_says(tiny_model: Any, make_examples: Any) -> None:
    """Memory that the graph holds between forward and backward, weights left out, on the CPU in fp32; attention is counted apart."""
    sizes = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_hidden_layers": 6,
    }
    model = tiny_model("qwen2", **sizes, max_position_embeddings=4096).train()
    batch = collate(make_examples(6, longest=60), packing="none", pad_id=0)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    config = Config()
    module = FocalDPOModule(config, model, total_steps=1)
    batch.ref_logps_R = torch.zeros(len(batch.rows_R))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = module._step(batch, Meter()).loss
    parts = plan(config, shape_of(model.config), batch.n_tokens, len(batch.rows_R), "32-true").parts
    wanted = parts["activations"]
    assert sum(kept.values()) == pytest.approx(wanted, rel=0.35)
    loss.backward()


def test_a_shared_pass_runs_the_prompt_once() -> None:
    config = Config()
    config.data.micro_batch = 2
    assert pass_sizes(config, 3000, "padded") == (12_000, 8000)
    assert pass_sizes(config, 3000, "shared") == (10_000, 8000)


def test_the_words_say_what_fits_and_what_would_help() -> None:
    config, shape = bf16(data__micro_batch=1, trainer__compile="layers"), shape_of(QWEN_7B)
    told = describe(config, shape, "bf16-true", [("H200", 141 * 10**9), ("A10", 24 * 10**9)])
    assert "fits: H200 has 131.3" in told
    assert "does not fit: A10" in told
    assert "model.lora.rank=16 reference=adapter" in told
    assert "pairs/s, 1 H200(s) at 0.57 of a matrix product's rate" in told
    assert "no GPU here" in describe(config, shape, "bf16-true", [])


@pytest.mark.parametrize(
    ("settings", "lacks"), [(GPT2Config(), "intermediate_size"), (ViTConfig(), "causal language model")]
)
def test_a_model_of_another_build_has_no_plan(settings: Any, lacks: str) -> None:
    with pytest.raises(UserError, match=f"plan=true has no arithmetic for a {settings.model_type}.* no {lacks}"):
        shape_of(settings)


def test_memory_that_is_not_there_ends_in_advice() -> None:
    with (
        pytest.raises(UserError, match=r"Tried to allocate 2 GiB; less memory: .*data\.micro_batch=2.*plan=true"),
        memory_advice(Config()),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has")


MODELS = sorted(p.stem for p in (CONFIG_DIR / "experiment" / "paper").glob("*.yaml") if "\nmodel:" in p.read_text())
SHAPES = {
    "qwen2.5-coder-1.5b": QWEN_1_5B, "qwen2.5-coder-7b": QWEN_7B,
    "qwen2.5-coder-32b": Qwen2Config(
        vocab_size=152_064, hidden_size=5120, intermediate_size=27_648, num_hidden_layers=64, num_attention_heads=40,
        num_key_value_heads=8, tie_word_embeddings=False,
    ),
    "codeqwen1.5-7b-chat": Qwen2Config(
        vocab_size=92_416, hidden_size=4096, intermediate_size=13_440, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=4, tie_word_embeddings=False,
    ),
    "deepseek-coder-7b-instruct-v1.5": LlamaConfig(
        vocab_size=102_400, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=30, num_attention_heads=32,
        num_key_value_heads=32, tie_word_embeddings=False,
    ),
    "deepseek-coder-1.3b": LlamaConfig(
        vocab_size=32_256, hidden_size=2048, intermediate_size=5504, num_hidden_layers=24, num_attention_heads=16,
        num_key_value_heads=16, tie_word_embeddings=False,
    ),
    "deepseek-coder-6.7b": LlamaConfig(
        vocab_size=32_256, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=32, tie_word_embeddings=False,
    ),
    "starcoder2-15b": Starcoder2Config(
        vocab_size=49_152, hidden_size=6144, intermediate_size=24_576, num_hidden_layers=40, num_attention_heads=48,
        num_key_value_heads=4, tie_word_embeddings=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_papers_models_take_128_pairs_a_step_and_fit_their_devices_by_the_plan(name: str) -> None:
    config = composed(f"experiment=paper/{name}")
    assert config.data.global_batch == 128
    assert config.trainer.devices == 8
    found = plan(config, shape_of(SHAPES[name]), *pass_sizes(config, 3072, "shared"), "bf16-true")
    assert found.total < 0.9 * 141e9, found.parts


def test_every_model_of_the_paper_is_there() -> None:
    assert set(MODELS) == set(SHAPES)
