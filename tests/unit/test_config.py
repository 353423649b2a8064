"""The schema and its rules: what a composed config may be, and what a wrong one says."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from iterpref.cli import CONFIG_DIR, config_groups, register_schema
from iterpref.config import SECTIONS, Config, load, schema_keys, to_dict, unknown_key
from iterpref.config.rules import check_effects
from iterpref.errors import UserError, nearest
from iterpref.overrides import GLOBAL_GROUPS

COMMANDS = tuple(SECTIONS)
NEEDS_A_VALUE = {
    **{("generate", name): ["generate.model=some-model"] for name in ("openai", "replay")},
    **{("problems", name): ["problems.path=tasks.jsonl"] for name in ("jsonl", "hub", "mbpp", "stdio", "instructions")},
    ("model", "pretrained"): ["model.path=some/model"],
    ("pairs", "external"): ["pairs.path=some/pairs"],
}
CHOICES = [(group, choice) for group, choices in config_groups().items() for choice in choices]
# The others reach into all sections.
SECTION_GROUPS = {group: choices for group, choices in config_groups().items() if group not in GLOBAL_GROUPS}


def composed(command: str, *overrides: str) -> Config:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        return load(compose(command, list(overrides)))


def changed(**values: Any) -> Config:
    """The defaults with `section__field=value`, loaded as if composed."""
    plain = OmegaConf.create(to_dict(Config()))
    for key, value in values.items():
        OmegaConf.update(plain, key.replace("__", "."), value, force_add=True)
    return load(plain)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_config_that_loads(command: str) -> None:
    assert composed(command).loss.beta == 0.1


def differing(stated: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Keys that do not hold what is stated; of a section within, those that are stated alone are looked at."""
    return [
        k for k, v in stated.items() if (differing(v, found[k]) if isinstance(v, dict) and isinstance(found[k], dict) else v != found[k])
    ]  # fmt: skip


@pytest.mark.parametrize("turn", range(max(map(len, SECTION_GROUPS.values()))))
def test_each_choice_of_each_group_composes_and_loads(turn: int) -> None:
    # A composition costs a quarter of a second: each takes one choice of every group, until all have had their turn.
    chosen = {group: choices[turn % len(choices)] for group, choices in SECTION_GROUPS.items()}
    extra = [override for item in chosen.items() for override in NEEDS_A_VALUE.get(item, [])]
    config = to_dict(composed("train", *(f"{group}={choice}" for group, choice in chosen.items()), *extra))
    for group, choice in chosen.items():
        stated: Any = OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / group / f"{choice}.yaml"))
        assert set(differing(stated, config[group])) <= {"path", "model"}, group


def test_every_yaml_is_a_command_the_base_or_a_choice() -> None:
    top = {path.stem for path in CONFIG_DIR.glob("*.yaml")}
    assert top == {*COMMANDS, "base"}
    studies = list(CONFIG_DIR.glob("study/*.yaml"))  # files of a command that Hydra does not compose
    assert len(list(CONFIG_DIR.rglob("*.yaml"))) == len(top) + len(CHOICES) + len(studies)


@pytest.mark.parametrize(("group", "choice"), NEEDS_A_VALUE)
def test_a_choice_that_needs_a_value_asks_for_it(group: str, choice: str) -> None:
    with pytest.raises(UserError, match=rf"add {group}\.\w+="):
        composed("train", f"{group}={choice}")


def test_the_smoke_experiment_replaces_model_trainer_and_logger() -> None:
    config = composed("train", "experiment=smoke", "optim.lr=0.5")
    assert (config.model.source, config.trainer.accelerator, config.logger.wandb) == ("tiny", "cpu", "disabled")
    assert (config.problems.limit, config.optim.lr) == (12, 0.5)


def test_yaml_states_the_paper_numbers() -> None:
    config = composed("train")
    assert (config.loss.beta, config.loss.alpha, config.data.global_batch) == (0.1, 1.0, 128)
    assert (config.optim.warmup_ratio, config.debug.max_refinements, config.pairs.max_d_minus_lines) == (0.03, 5, 20)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("loss__alpha", True, r"loss\.alpha=True has the wrong type: float was expected"),
        ("loss__beta", [1], r"loss\.beta=\[1\] has the wrong type: float was expected"),
        ("loss__beta", "abc", r"loss\.beta='abc' has the wrong type: float was expected"),
        ("seed", 1.5, r"seed=1\.5 has the wrong type: int was expected"),
        ("seed", None, r"seed=None has the wrong type: int was expected"),
        ("name", None, r"name=None has the wrong type: str was expected"),
        ("trainer__deterministic", 1.5, r"trainer\.deterministic=1\.5 has the wrong type: bool"),
        ("logger__tags", "a", r"logger\.tags='a' has the wrong type: list\[str\]"),
        ("logger__tags", ["a", None], r"logger\.tags=\['a', None\] has the wrong type: list\[str\]"),
        ("problems__limit", "many", r"problems\.limit='many' has the wrong type: int \| None"),
    ],
)
def test_a_wrong_type_names_the_key_the_value_and_the_type(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        changed(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("loss__beta", 0, r"loss\.beta=0\.0 is out of range: above 0"),
        ("loss__beta", math.nan, r"loss\.beta=nan is out of range"),
        ("loss__beta", math.inf, r"loss\.beta=inf is out of range: above 0 and finite"),
        ("loss__alpha", -1, r"loss\.alpha=-1\.0 is out of range: at least 0"),
        ("generate__wrong_repair", 1.01, r"generate\.wrong_repair=1\.01 is out of range: at least 0 and at most 1"),
        ("seed", 2**32, r"seed=4294967296 is out of range"),
        ("seed", -1, r"seed=-1 is out of range"),
        ("problems__limit", 0, r"problems\.limit=0 is out of range: at least 1"),
        (
            "mask__chosen",
            "focall",
            r"mask\.chosen=focall is none of full, fence, focal, diff_aug, soft; did you mean 'focal'\?",
        ),
        ("pairs__diff", "xyz", r"pairs\.diff=xyz is none of lcs, ndiff, prefix_suffix, token_lcs; .*plugins="),
    ],
)
def test_a_value_out_of_range_names_the_key_and_the_range(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        changed(**{key: value})


@pytest.mark.parametrize(
    "key", [k for k, item in schema_keys() if item.metadata and item.type in ("float", "float | None")]
)
def test_nan_is_refused_by_every_number(key: str) -> None:
    with pytest.raises(UserError, match=rf"{key.replace('.', '[.]')}=nan"):
        changed(**{key.replace(".", "__"): math.nan})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"generate__bugs_min": 5}, r"generate\.bugs_min=5 is above generate\.bugs_max=4"),
        ({"problems__source": "jsonl"}, r"add problems\.path=FILE\.jsonl"),
        ({"problems__path": "a.jsonl"}, r"problems\.path has no effect with problems\.source=bank: use problems=jsonl"),
        ({"generate__name": "openai"}, r"generate=openai needs the model's name: add generate\.model=NAME"),
        (
            {"generate__name": "openai", "generate__model": "x", "generate__base_url": "localhost:8000/v1"},
            r"generate\.base_url=localhost:8000/v1 is no address: .* as in http://localhost:8000/v1",
        ),
        ({"generate__name": "replay"}, r"generate=replay needs the model's name"),
        (
            {"generate__name": "vllm", "generate__model": "x", "generate__concurrency": 99},
            r"say model=pretrained model\.path=x",
        ),
        (
            {"generate__name": "transformers", "generate__batch_rows": 64},
            r"generate\.batch_rows=64 .* generate\.concurrency=32 calls",
        ),
        (
            {"generate__name": "transformers", "generate__concurrency": 64, "generate__debugger__name": "openai"},
            r"the debugger, by openai, needs the model's name: add generate\.debugger\.model=NAME",
        ),
        ({"pairs__judge": True}, r"add generate\.judge\.model=NAME"),
        ({"problems__source": "hub"}, r"problems\.source=hub needs a folder, a file or OWNER/NAME"),
        (
            {"problems__source": "features"},
            r"problems=features has tasks that a language model writes: add generate=openai",
        ),
        ({"problems__features__test_share": 0.96}, r"leave nothing to train on"),
        ({"model__source": "pretrained"}, r"add model\.path=NAME"),
        ({"model__path": "x"}, r"model\.path has no effect with model\.source=wheel: use model=pretrained"),
        ({"model__revision": "x"}, r"model\.revision has no effect"),
        ({"loss__preference": 0, "loss__alpha": 0}, r"leaves no loss"),
        ({"loss__label_smoothing": 0.5}, r"loss\.label_smoothing=0\.5: .*below 0\.5"),
        (
            {"loss__label_smoothing": 0.1, "loss__link": "ipo"},
            r"label_smoothing=0\.1 has no effect with loss\.link=ipo",
        ),
        ({"data__global_batch": 7}, r"data\.global_batch=7 is not a multiple of .* 4 \* 1"),
        ({"data__global_batch": 4, "trainer__devices": 2}, r"data\.global_batch=4 is not a multiple of .* 4 \* 2"),
        ({"trainer__precision": "bf16-true"}, r"model\.dtype=float32: set model\.dtype=bfloat16"),
        ({"model__dtype": "bfloat16"}, r"model\.dtype=bfloat16 would make low-precision master weights"),
        ({"trainer__accelerator": "cpu", "trainer__devices": 2}, r"trainer\.devices=2 on the CPU"),
        ({"model__source": "tiny", "model__hidden": 40}, r"model\.hidden=40 is no multiple of 16"),
        ({"mask__context_min": 3}, r"mask\.context_min=3 is above mask\.context_max=2"),
        ({"optim__beta2": 1.0}, r"optim\.beta2=1\.0.*below 1"),
    ],
)
def test_a_combination_without_meaning_names_what_to_change(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        changed(**values)


OPENAI = {"generate__name": "openai", "generate__model": "m"}
HERE = {"generate__name": "transformers", "generate__concurrency": 64}


@pytest.mark.parametrize(
    ("values", "key", "reason"),
    [
        ({}, "generate.batch_rows", "generate=mutate"),
        (OPENAI, "generate.batch_rows", "generate=openai: add generate=transformers"),
        (OPENAI, "generate.gpus", "add generate=vllm"),
        (HERE, "generate.gpu_share", "generate=transformers: add generate=vllm"),
        (HERE, "generate.base_url", "generate=transformers, which asks no server: add generate=openai"),
        (
            {**HERE, "generate__name": "vllm", "generate__batch_rows": 8},
            "generate.accelerator",
            "add generate=transformers",
        ),
        ({**OPENAI, "generate__debugger__name": "vllm"}, "generate.debugger.base_url", "generate.debugger.name=vllm"),
        (OPENAI, "problems.features.tasks", "problems=bank: add problems=features"),
        (OPENAI, "problems.hub_split", "problems=bank: add problems=hub"),
        ({**OPENAI, "problems__source": "features"}, "generate.evolve_prompt", "problems.features.evolve=0"),
        (
            {**OPENAI, "problems__source": "features"},
            "problems.mapping.prompt",
            "problems=features: add problems=jsonl",
        ),
        ({**OPENAI, "debug__max_refinements": 0, "pairs__by": "sampling"}, "generate.debugger.model", "mends nothing"),
    ],
)
def test_an_option_of_another_backend_or_source_is_refused(values: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"{re.escape(key)} has no effect with .*{re.escape(reason)}"):
        check_effects(changed(**values), [key], "prepare")


def test_an_export_asks_for_a_model_only_where_it_answers() -> None:
    with pytest.raises(UserError, match=r"model\.path has no effect with generate=mutate"):
        check_effects(changed(), ["model.path"], "export")
    check_effects(changed(**HERE), ["model", "model.path"], "export")
    check_effects(changed(), ["model", "model.path"], "prepare")


def test_a_seed_of_the_sample_needs_a_limit() -> None:
    with pytest.raises(UserError, match=r"data\.sample_seed has no effect with all pairs used"):
        check_effects(changed(), ["data.sample_seed"])
    check_effects(changed(data__max_test_pairs=4), ["data.sample_seed"])


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (HERE, "generate.batch_rows"),
        (HERE, "generate.retries"),
        (
            {**HERE, "generate__judge__name": "openai", "generate__judge__model": "m", "pairs__judge": True},
            "generate.judge.base_url",
        ),
        (
            {**HERE, "generate__judge__name": "openai", "generate__judge__model": "m", "pairs__judge": True},
            "generate.timeout_s",
        ),
        ({**OPENAI, "generate__debugger__name": "vllm", "generate__batch_rows": 8}, "generate.gpus"),
        ({"generate__judge__name": "transformers", "pairs__judge": True, "generate__batch_rows": 8}, "generate.dtype"),
        ({**OPENAI, "problems__source": "features"}, "generate.task_prompt"),
        ({**OPENAI, "problems__source": "hub", "problems__path": "x/y"}, "problems.mapping.prompt"),
    ],
)
def test_an_option_of_the_backend_or_source_at_work_is_taken(values: dict[str, Any], key: str) -> None:
    check_effects(changed(**values), [key], "prepare")


def test_bf16_weights_are_allowed_with_bf16_arithmetic() -> None:
    assert changed(trainer__precision="bf16-true", model__dtype="bfloat16").model.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("loss.betta", "did you mean 'loss.beta'?"),
        ("losss.beta", "did you mean 'loss.beta'?"),
        ("beta", "did you mean 'loss.beta'?"),
        ("lr", "did you mean 'optim.lr'?"),
        ("model.lr", "did you mean 'optim.lr'?"),
        ("nmae", "did you mean 'name'?"),
        ("loss.beta.x", "did you mean 'loss.beta'?"),
        (
            "loss.qqq",
            "the options of loss are link, beta, label_smoothing, length_normalised, preference, alpha, nll, nll_side",
        ),
        ("zzzqqq", ""),
    ],
)
def test_an_unknown_key_comes_with_the_nearest_one(key: str, hint: str) -> None:
    assert str(unknown_key(key)) == f"unknown option '{key}'" + (f"; {hint}" if hint else "")
    with pytest.raises(UserError, match=f"unknown option '{key}'"):
        changed(**{key.replace(".", "__"): 1})


def test_nothing_near_gives_no_hint() -> None:
    assert nearest("qqqq", ["alpha", "beta"]) == ""


@pytest.mark.parametrize("section", ["paths", "loss"])
def test_a_section_that_is_no_section_is_named(section: str) -> None:
    with pytest.raises(UserError, match=rf"{section}=foo: a section of options .* {section}\.OPTION=VALUE"):
        changed(**{section: "foo"})


def test_a_reference_to_nothing_names_the_key() -> None:
    with pytest.raises(UserError, match=r"name cannot be worked out: .*'nope'"):
        changed(name="${nope}")


def test_a_missing_value_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"give loss\.beta=VALUE"):
        changed(loss__beta="???")


def test_a_loaded_config_survives_the_way_through_plain_types() -> None:
    config = composed("train", "experiment=smoke")
    assert load(OmegaConf.create(to_dict(config))) == config


def test_every_option_has_a_sentence_and_every_section_a_command() -> None:
    sections = {key for names in SECTIONS.values() for key in names}
    for key, item in schema_keys():
        assert key.split(".")[0] in sections, key
        assert "." not in key or item.metadata["help"], key
