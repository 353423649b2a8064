"""What several devices may be asked to do, and what they are told when they cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from iterpref.config import Config
from iterpref.config.rules import check_rules
from iterpref.errors import UserError
from iterpref.strategies import build_strategy, check_strategy
from iterpref.train import train


def sharing(strategy: str, **changes: Any) -> Config:
    config = Config()
    config.trainer.devices, config.trainer.strategy = 2, strategy
    for key, value in changes.items():
        section, leaf = key.split("__")
        setattr(getattr(config, section), leaf, value)
    return config


BF16 = {"model__dtype": "bfloat16", "trainer__precision": "bf16-true"}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "deepspeed_2", "deepspeed_3"])
def test_shards_and_copies_are_both_ways_to_share_a_run(strategy: str) -> None:
    check_rules(sharing(strategy))
    check_rules(sharing(strategy, **BF16))


def test_passes_that_are_graphs_are_for_copies() -> None:
    config = sharing("ddp", trainer__compile="graphs")
    check_rules(config)
    assert type(build_strategy(config, "32-true")["strategy"]).__name__ == "Copies"
    assert type(build_strategy(sharing("ddp"), "32-true")["strategy"]).__name__ == "Buckets"


@pytest.mark.parametrize(
    ("strategy", "changes", "message"),
    [
        ("deepspeed_3", {"trainer__compile": "layers"}, r"trainer\.compile=layers.*set trainer\.compile=none"),
        ("deepspeed_2", {"trainer__check_finite": True}, r"trainer\.check_finite=true sees no gradients.*trainer\.strategy=ddp"),
        ("deepspeed_2", {"optim__rounding": "stochastic", **BF16}, r"optim\.rounding=stochastic needs whole parameters"),
        ("fsdp2", {"optim__rounding": "stochastic", **BF16}, r"optim\.rounding=stochastic.*trainer\.strategy=fsdp2 has shards"),
        ("fsdp2", {"trainer__compile": "graphs"}, r"trainer\.compile=graphs records passes of a whole.*set trainer\.compile=layers"),
        ("deepspeed_3", {"trainer__compile": "replay"}, r"trainer\.compile=replay.*set trainer\.compile=none"),
    ],
)  # fmt: skip
def test_an_option_that_a_strategy_has_no_place_for_is_refused(
    strategy: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_rules(sharing(strategy, **changes))


def test_shards_have_no_quantised_weights() -> None:
    for strategy in ("fsdp2", "deepspeed_3"):
        config = sharing(strategy, model__quantization="nf4", model__dtype="bfloat16")
        config.model.lora.rank = 4
        with pytest.raises(UserError, match=rf"trainer\.strategy={strategy} has no shards of model\.quantization=nf4"):
            check_rules(config)


def test_deepspeed_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("iterpref.strategies.find_spec", lambda name: None if name == "deepspeed" else find(name))
    with pytest.raises(UserError, match=r"needs deepspeed: pip install 'iterpref\[deepspeed\]'"):
        check_strategy(sharing("deepspeed_3").trainer)
    check_strategy(sharing("fsdp2").trainer)


def test_bf16_weights_are_left_as_they_are_by_lightning_which_would_lower_the_batch_too() -> None:
    assert build_strategy(Config(), "bf16-true")["precision"] == "32-true"
    assert build_strategy(Config(), "bf16-mixed")["precision"] == "bf16-mixed"
    assert build_strategy(Config(), "bf16-mixed")["strategy"] == "auto"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
@pytest.mark.parametrize(
    ("absent", "change", "expected"),
    [
        ("bitsandbytes", {"model__quantization": "nf4", "model__lora__rank": 4}, r"iterpref\[qlora\]"),
        ("", {"trainer__compile": "replay"}, "records CUDA graphs"),
        ("", {"optim__rounding": "stochastic"}, "needs a GPU and Triton"),
        ("deepspeed", {"trainer__strategy": "deepspeed_3", "trainer__devices": 2}, r"iterpref\[deepspeed\]"),
        ("peft", {"trainer__strategy": "ddp", "trainer__devices": 2, "model__lora__rank": 4}, r"iterpref\[lora\]"),
    ],
)
def test_what_this_machine_has_not_is_told_before_any_pair_is_made(
    absent: str, change: dict[str, Any], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    for module in ("iterpref.strategies", "iterpref.models.adapters"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name == absent else find(name))
    config = Config()
    config.trainer.accelerator = "cpu"
    config.paths.run, config.paths.data = str(tmp_path / "run"), str(tmp_path / "data")
    for key, value in change.items():
        *path, leaf = key.split("__")
        section: Any = config
        for name in path:
            section = getattr(section, name)
        setattr(section, leaf, value)
    with pytest.raises(UserError, match=expected):
        train(config)
    assert not (tmp_path / "data").exists()
