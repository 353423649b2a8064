"""Rules between CodeFlow's options: combinations that have no meaning, and options that then have no effect."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from iterpref.config.codeflow import MappingConfig
from iterpref.config.generate import LOCAL, GenerateConfig, for_role

if TYPE_CHECKING:
    from iterpref.config.root import Config

_OF_MUTATE = ("bugs_min", "bugs_max", "wrong_repair", "kinds")
_OF_SERVER = ("base_url", "key_env", "timeout_s", "send_seed", "limit_field")
_OF_CALLS = ("retries", "max_wait_s", "requests_per_minute", "tokens_per_minute")
_OF_LOCAL = ("dtype", "max_context", "batch_rows", "batch_tokens", "batch_wait_s")
_OF_FEATURES = ("task_prompt", "evolve_prompt")
_OF_LLM = tuple(f"generate.{f.name}" for f in fields(GenerateConfig) if f.name not in ("name", *_OF_MUTATE))


def _roles(c: Config) -> dict[str, GenerateConfig]:
    """The language models that are asked, by role; the options of `judge` stand under `generate.judge`."""
    roles = {}
    if c.generate.name != "mutate":
        roles["author"] = for_role(c.generate, "author")
        if c.debug.max_refinements:
            roles["debugger"] = for_role(c.generate, "debugger")
    if c.pairs.judge or (roles and c.debug.min_test_score is not None):
        roles["judge"] = for_role(c.generate, "judge")
    return roles


def _place(role: str) -> str:
    return "generate" if role == "author" else f"generate.{role}"


def codeflow_rules(c: Config) -> list[tuple[bool, str]]:
    """Combinations that have no meaning, each with what to change."""
    g = c.generate
    roles = _roles(c)
    local = asks_local_model(c)
    nameless = [
        (r.name not in LOCAL and not r.model,
         f"{f'generate={r.name}' if role == 'author' else f'the {role}, by {r.name},'} needs the model's name: add {_place(role)}.model=NAME")
        for role, r in roles.items()
    ]  # fmt: skip
    return [
        (g.bugs_min > g.bugs_max,
         f"generate.bugs_min={g.bugs_min} is above generate.bugs_max={g.bugs_max}: lower the first or raise the second"),
        (c.pairs.judge and g.name == "mutate" and g.judge.name not in LOCAL and not (g.judge.model or g.model),
         "pairs.judge=true needs a model: add generate.judge.model=NAME"),
        (c.pairs.by == "sampling" and c.debug.max_refinements > 0,
         f"pairs.by=sampling pairs first versions, and debug.max_refinements={c.debug.max_refinements} would mend them for nothing: "
         "set debug.max_refinements=0"),
        (c.pairs.by == "debugging" and c.pairs.source == "codeflow" and c.debug.max_refinements == 0,
         "debug.max_refinements=0 mends nothing, and pairs.by=debugging needs what was mended: set pairs.by=sampling"),
        (c.pairs.judge and c.pairs.source == "external",
         f"pairs.judge=true judges pairs out of debugging histories: leave it out with pairs={c.pairs.path}"),
        *nameless,
        *((bool(r.base_url) and not str(r.base_url).startswith(("http://", "https://")),
           f"{_place(role)}.base_url={r.base_url} is no address: give it with its beginning, as in http://localhost:8000/v1")
          for role, r in roles.items()),
        (g.name in LOCAL and g.model is not None,
         f"generate.model has no effect with generate={g.name}, whose model the group model= names: "
         f"say model=pretrained model.path={g.model}"),
        (local and g.batch_rows > g.concurrency,
         f"generate.batch_rows={g.batch_rows} answers at once are never asked for by generate.concurrency={g.concurrency} calls: "
         "lower the first or raise the second"),
        (g.name != "mutate" and g.temperature == 0 and c.debug.samples > 1,
         f"generate.temperature=0 gives debug.samples={c.debug.samples} equal answers: set debug.samples=1, or raise the temperature"),
        (g.max_cost is not None and not (g.price_in or g.price_out),
         f"generate.max_cost={g.max_cost} has no effect without prices: add generate.price_in=P and generate.price_out=P"),
        *_problem_rules(c),
    ]  # fmt: skip


def _problem_rules(c: Config) -> list[tuple[bool, str]]:
    p, f = c.problems, c.problems.features
    what = (
        "a folder, a file or OWNER/NAME: add problems.path=PATH"
        if p.source == "hub"
        else "a file: add problems.path=FILE.jsonl"
    )
    return [
        (p.source in ("jsonl", "hub") and not p.path, f"problems.source={p.source} needs {what}"),
        (p.source == "bank" and p.path is not None,
         f"problems.path has no effect with problems.source={p.source}: use problems=jsonl problems.path=FILE"),
        (p.source == "features" and c.generate.name == "mutate",
         "problems=features has tasks that a language model writes: add generate=openai, or another with a model"),
        (f.validation_share + f.test_share >= 1,
         f"problems.features.validation_share={f.validation_share} and problems.features.test_share={f.test_share} leave nothing to "
         "train on: lower them"),
        ((p.mapping.inputs is None) != (p.mapping.outputs is None),
         "problems.mapping.inputs and problems.mapping.outputs belong together: give both or neither"),
        (p.mapping.inputs is not None and p.mapping.tests is not None,
         "problems.mapping.tests and problems.mapping.inputs are two kinds of tests: give one of them"),
    ]  # fmt: skip


def idle_codeflow(c: Config) -> list[tuple[bool, tuple[str, ...], str]]:
    """(whether it is so, options that then have no effect, why)."""
    name, judge, source = c.generate.name, c.pairs.judge, c.problems.source
    scored = c.debug.min_test_score is not None
    mapping = tuple(f"problems.mapping.{f.name}" for f in fields(MappingConfig) if f.name != "prompt")
    return [
        (name == "mutate" and not judge, (*_OF_LLM, "debug.lost", "debug.min_test_score"), "generate=mutate: add generate=openai"),
        *_idle_by_backend(c),
        (name != "mutate", tuple(f"generate.{o}" for o in _OF_MUTATE), f"generate={name}: add generate=mutate"),
        (c.pairs.by == "debugging", ("pairs.per_task",), "pairs.by=debugging: add pairs.by=sampling"),
        (not judge and not scored, ("generate.judge",), "no judge: add pairs.judge=true or debug.min_test_score=3"),
        (not judge, ("generate.judge_difference_prompt",), "pairs.judge=false: add pairs.judge=true"),
        (not scored, ("generate.judge_tests_prompt",), "debug.min_test_score=null: add debug.min_test_score=3"),
        (c.debug.max_refinements == 0, ("generate.debugger", "generate.debugger_prompt"),
         "debug.max_refinements=0, which mends nothing: add debug.max_refinements=5"),
        (source not in ("jsonl", "hub"), ("problems.mapping",), f"problems={source}: add problems=jsonl or problems=hub"),
        (source != "hub", ("problems.subset", "problems.revision", "problems.hub_split"), f"problems={source}: add problems=hub"),
        (source != "features", ("problems.features", *(f"generate.{o}" for o in _OF_FEATURES)), f"problems={source}: add problems=features"),
        (c.problems.features.evolve == 0, ("generate.evolve_prompt",), "problems.features.evolve=0: add problems.features.evolve=100"),
        (c.problems.mapping.prompt is None, mapping, "rows that have the fields of problems=jsonl: add problems.mapping.prompt=EXPRESSION"),
    ]  # fmt: skip


def asks_local_model(c: Config) -> bool:
    """Whether any role is played by the model that the group `model` names."""
    return any(r.name in LOCAL for r in _roles(c).values())


def _idle_by_backend(c: Config) -> list[tuple[bool, tuple[str, ...], str]]:
    """Options that belong to a kind of model that no role has."""
    roles = _roles(c)
    asked = {r.name for r in roles.values()}
    name = c.generate.name
    local = asks_local_model(c)

    def options(*names: str) -> tuple[str, ...]:
        return tuple(f"generate.{n}" for n in names)

    return [
        (asked == {"replay"}, options(*_OF_SERVER, *_OF_CALLS), "generate=replay, which asks no server: add generate=openai"),
        ("openai" not in asked, options(*_OF_SERVER), f"generate={name}, which asks no server: add generate=openai"),
        ("replay" not in asked, options("cache"), f"generate={name}: add generate=replay"),
        (not local, options(*_OF_LOCAL), f"generate={name}: add generate=transformers"),
        ("transformers" not in asked, options("accelerator"), f"generate={name}: add generate=transformers"),
        ("vllm" not in asked, options("gpu_share", "gpus"), f"generate={name}: add generate=vllm"),
        *((role != "author" and r.name != "openai", (f"{_place(role)}.base_url", f"{_place(role)}.key_env"),
           f"{_place(role)}.name={r.name}, which asks no server: add {_place(role)}.name=openai") for role, r in roles.items()),
    ]  # fmt: skip
