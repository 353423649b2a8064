"""Operations of a pair by hand, and hours out of them."""

from __future__ import annotations

import pytest

from iterpref.config import Config
from iterpref.memory import Shape
from iterpref.pace import PRODUCT, SHARE, describe_pace, operations, pairs_per_s

SHAPE = Shape(
    parameters=1300, matrices=1000, layers=2, hidden=10, intermediate=40, query=10, key=10, vocabulary=30, adapters_per_rank=40,
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
