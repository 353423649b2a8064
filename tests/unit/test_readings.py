"""The two readings of the method, and who has the last word: reading < group < experiment < command line."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from iterpref.cli import CONFIG_DIR, config_groups, register_schema
from iterpref.config import Config, load, schema_keys

# The two columns of the method's table.
READINGS = {
    "paper": ("full", "focal", True, "sum", "lcs", "chat", 1e-5, 3),
    "official": ("fence", "focal", True, "mean", "ndiff", "plain", 5e-6, 2),
}


def composed(*overrides: str) -> Config:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        return load(compose("train", list(overrides)))


def reading(config: Config) -> tuple[Any, ...]:
    mask, trained = config.mask, (config.optim.lr, config.trainer.epochs)
    return (
        mask.chosen,
        mask.rejected,
        mask.eos,
        config.loss.nll,
        config.pairs.diff,
        config.model.prompt_format,
        *trained,
    )


def test_the_readings_are_those_of_the_table_and_paper_is_the_default() -> None:
    assert set(config_groups()["reading"]) == set(READINGS)
    assert {name: reading(composed(f"reading={name}")) for name in READINGS} == READINGS
    assert reading(composed()) == reading(Config()) == READINGS["paper"]


@pytest.mark.parametrize("model", ["tiny", "smollm2_135m", "pretrained"])
def test_a_reading_holds_whatever_the_model(model: str) -> None:
    path = ["model.path=x"] if model == "pretrained" else []
    assert reading(composed("reading=official", f"model={model}", *path)) == READINGS["official"]


def test_a_group_has_more_weight_than_a_reading() -> None:
    config = composed("mask=symmetric", "reading=official")
    assert (config.mask.chosen, config.loss.nll) == ("focal", "mean")


def test_an_experiment_has_more_weight_than_a_reading_and_the_command_line_than_both() -> None:
    overrides = ["reading=official", "experiment=demo"]
    config = composed(*overrides)
    assert (config.optim.lr, config.trainer.epochs, config.mask.chosen) == (5e-5, 1, "fence")
    config = composed(*reversed(overrides), "optim.lr=0.5", "mask=full", "pairs.diff=lcs")
    assert (config.optim.lr, config.trainer.epochs, config.mask.chosen, config.pairs.diff) == (0.5, 1, "full", "lcs")


def test_no_group_states_what_a_reading_decides() -> None:
    """It would silence `reading=`. The masks are the exception: a reading chooses their group."""
    keys = {key for key, _ in schema_keys()}
    decided = {
        key
        for name in READINGS
        for section, values in OmegaConf.load(CONFIG_DIR / "reading" / f"{name}.yaml").items()
        for key in (f"{section}.{leaf}" for leaf in values)
    }
    assert decided == {"loss.nll", "pairs.diff", "model.prompt_format", "optim.lr", "trainer.epochs"} <= keys
    for group, choices in config_groups().items():
        if group not in ("reading", "experiment"):
            for choice in choices:
                stated = {f"{group}.{key}" for key in OmegaConf.load(CONFIG_DIR / group / f"{choice}.yaml")}
                assert not stated & decided, (group, choice)
