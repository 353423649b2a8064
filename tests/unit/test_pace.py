"""Operations of a pair by hand, and hours out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import MixtralConfig, Qwen3MoeConfig

from iterpref.config import Config
from iterpref.memory import Shape, shape_of
from iterpref.pace import PRODUCT, SHARE, describe_pace, operations, pairs_per_s

SHAPE = Shape(
    parameters=1300, matrices=1000, active=1000, layers=2, hidden=10, intermediate=40, query=10, key=10, vocabulary=30, adapters_per_rank=40,
)  # fmt: skip


def config_of(**model: object) -> Config:
    config = Config()
    config.data.micro_batch = 3  # of which a single pair knows nothing
    for name, value in model.items():
        setattr(config.model, name, value)
    return config


def test_a_pair_takes_six_operations_a_parameter_and_token_and_the_head_those_of_scored_rows() -> None:
    # 90 tokens a sequence: a prompt of 30, twice 60 completed, all of these scored.
    assert operations(config_of(), SHAPE, 90, "shared") == 6 * (1000 * 150 + 300 * 120)
    assert operations(config_of(), SHAPE, 90, "padded") == 6 * (1000 * 180 + 300 * 120)


@pytest.mark.parametrize(
    ("change", "factor"),
    [({}, 6), ({"gradient_checkpointing": True}, 8), ({"rank": 4}, 4), ({"reference": "live"}, 8), ({"rank": 4, "reference": "adapter"}, 6)],
)  # fmt: skip
def test_what_runs_once_more_or_not_at_all_is_counted(change: dict[str, object], factor: int) -> None:
    config = config_of(gradient_checkpointing=change.get("gradient_checkpointing", False))
    config.model.lora.rank = int(change.get("rank", 0))  # type: ignore[call-overload]
    config.reference = str(change.get("reference", "cached"))
    assert operations(config, SHAPE, 90, "shared") == factor * (1000 * 150 + 300 * 120)


def test_devices_share_the_pairs_and_hours_are_those_of_the_papers_pairs() -> None:
    config = config_of()
    config.trainer.devices, config.trainer.epochs = 8, 2
    rate = pairs_per_s(config, SHAPE, 90, "shared")
    assert rate == pytest.approx(8 * SHARE * PRODUCT / operations(config, SHAPE, 90, "shared"))
    first, second = describe_pace(config, SHAPE, [90])
    assert first.startswith("pairs/s, 8 H200(s) at 0.57")
    assert float(first.split()[-1]) == pytest.approx(rate, rel=1e-3)
    assert "59,000 pairs x 2 epochs" in second
    assert float(second.split()[-1]) == pytest.approx(118_000 / rate / 3600, abs=0.1)


def test_of_experts_a_token_meets_those_that_the_config_says_and_memory_is_of_all() -> None:
    """One layer of hidden 8 and heads of 8: attention 2 * 8 * (8 + 8), the router 0; experts 3 * 8 * 4 each, two of six a token."""
    said: dict[str, Any] = {
        "vocab_size": 32, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4,
        "num_experts_per_tok": 2, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    mixtral = MixtralConfig(**said, intermediate_size=4, num_local_experts=6)
    qwen = Qwen3MoeConfig(**said, intermediate_size=99, moe_intermediate_size=4, num_experts=6)
    for settings in (mixtral, qwen):
        shape = shape_of(settings)
        assert shape.active == 256 + 2 * 96
        assert shape.matrices == 256 + 6 * 96
        assert shape.intermediate == 2 * 4
        assert shape.parameters >= 256 + 6 * 96 + 2 * 32 * 8
        assert operations(config_of(), shape, 90, "padded") == 6 * (448 * 180 + 8 * 32 * 120)


def test_the_pace_of_a_mixture_that_does_not_say_its_experts_a_token_is_not_told() -> None:
    (line,) = describe_pace(config_of(), replace(SHAPE, active=None), [90])
    assert "not told" in line
