"""Schema of CodeFlow: where tasks come from, who writes and mends the code, how long one tries; and the rules between these options."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from iterpref.config_option import option, section

if TYPE_CHECKING:
    from iterpref.config import Config


@dataclass
class MappingConfig:
    """Rows of any shape as tasks: Jinja expressions over a row's columns, such as `test_list | join("\\n")`."""

    task_id: str | None = option(None, "the task's name; null: its place in the file")
    prompt: str | None = option(None, "what the model is asked; null: rows have the fields of problems=jsonl")
    tests: str | None = option(None, "unittest module or bare asserts; null: the author writes them")
    setup: str | None = option(None, "what runs before bare asserts, after the solution")
    inputs: str | None = option(None, "list of standard inputs, for programs that read one")
    outputs: str | None = option(None, "list of what they must print")
    solution: str | None = option(None, "reference program; null: none")
    split: str | None = option(None, "train, validation or test; null: train")
    category: str | None = option(None, "kind of task, for statistics")
    license: str | None = option(None, "of the task")


@dataclass
class ProblemsConfig:
    source: str = option("bank", "where tasks come from", choices=("bank", "jsonl"))
    path: str | None = option(None, "JSONL file of tasks, for source=jsonl")
    mapping: MappingConfig = field(
        default_factory=MappingConfig, metadata=section("where a task's fields come from in rows of any shape")
    )
    limit: int | None = option(None, "use only so many tasks, the first of each split in turn", low=1)


@dataclass
class RoleConfig:
    """What this role does otherwise than the author; null: nothing."""

    model: str | None = option(None, "the role's model; null: the author's")
    base_url: str | None = option(None, "its server; null: the author's")
    key_env: str | None = option(None, "environment variable with its key; null: the author's")
    temperature: float | None = option(None, "of its answers; null: the author's", low=0, high=2)
    top_p: float | None = option(None, "mass of the likeliest tokens; null: the author's", above=0, high=1)
    max_tokens: int | None = option(None, "its longest answer, tokens; null: the author's", low=1)


@dataclass
class GenerateConfig:
    name: str = option(
        "mutate",
        "who writes and mends the code: injected bugs, a language model, or its answers in a cache",
        choices=("mutate", "openai", "replay"),
    )
    bugs_min: int = option(1, "fewest bugs injected at once", low=1)
    bugs_max: int = option(4, "most bugs injected at once", low=1)
    wrong_repair: float = option(0.25, "probability that a repair is wrong", low=0, high=1)
    kinds: list[str] = option([], "bug kinds to draw from; empty: all")
    model: str | None = option(None, "the model's name, as its server knows it")
    cache: str | None = option(None, "file of answers, for generate=replay; null: the one under paths.data")
    base_url: str | None = option(
        None, "address of an OpenAI-compatible server, mostly ending in /v1; null: OpenAI's own"
    )
    key_env: str = option("OPENAI_API_KEY", "environment variable with the key; a server of one's own may need none")
    debugger: RoleConfig = field(default_factory=RoleConfig, metadata=section("who mends the code"))
    judge: RoleConfig = field(default_factory=RoleConfig, metadata=section("who judges pairs and tests"))
    temperature: float = option(0.8, "of the samples; 0: greedy", low=0, high=2)
    top_p: float = option(0.95, "mass of the likeliest tokens to sample from", above=0, high=1)
    max_tokens: int = option(2048, "longest answer, tokens", low=1)
    send_seed: bool = option(True, "send each sample's seed; some servers refuse fields that they do not know")
    limit_field: str = option(
        "max_tokens", "what the server calls the limit on an answer", choices=("max_tokens", "max_completion_tokens")
    )
    author_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/author.jinja")
    debugger_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/debugger.jinja")
    judge_difference_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/judge_difference.jinja")
    judge_tests_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/judge_tests.jinja")
    unreadable_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/unreadable.jinja")
    answer_retries: int = option(
        1, "times that an answer is asked for again which no program could be read from", low=0
    )
    packages: list[str] = option(
        [], "packages of this environment that programs may import, beside the standard library"
    )
    concurrency: int = option(32, "calls of the model at once", low=1)
    requests_per_minute: float | None = option(None, "calls in a minute, evenly spaced", above=0)
    tokens_per_minute: float | None = option(None, "tokens in a minute, prompts and answers together", above=0)
    timeout_s: float = option(600.0, "longest wait for one answer, seconds", above=0)
    retries: int = option(8, "tries after the first that met a fault of the server", low=0)
    max_wait_s: float = option(
        600.0, "longest wait between two tries, seconds; a server that asks for more is given up", above=0
    )
    max_calls: int | None = option(None, "budget of this data set: answers, those of earlier runs included", low=1)
    max_total_tokens: int | None = option(None, "budget of this data set: tokens, prompts and answers together", low=1)
    max_cost: float | None = option(None, "budget of this data set: money, by generate.price_in and price_out", above=0)
    price_in: float = option(0.0, "price of a million prompt tokens", low=0)
    price_out: float = option(0.0, "price of a million answer tokens", low=0)


@dataclass
class DebugConfig:
    samples: int = option(2, "trajectories for each task", low=1)
    max_refinements: int = option(5, "revisions before a task is given up (paper: 5); 0: samples alone", low=0)
    repeat: int = option(2, "runs of each version; one whose runs disagree is FLAKY and makes no pair", low=1)
    verify_reference: bool = option(
        True, "run each task's reference on its own tests first, and drop the task if it fails"
    )
    drop_stub_passes: bool = option(True, "drop tests that pass a program whose functions do nothing")
    min_coverage: float = option(0.0, "drop tests that run a smaller share of the program's lines", low=0, high=1)
    min_test_score: float | None = option(
        None, "let a language model (generate.judge) score the author's tests from 1 to 5, and drop those below in anything; null: off",
        low=1, high=5,
    )  # fmt: skip
    lost: str = option(
        "stop", "what becomes of tasks that the model's server failed for good: stop and try again next time, or finish without",
        choices=("stop", "drop"),
    )  # fmt: skip


_OF_MUTATE = ("bugs_min", "bugs_max", "wrong_repair", "kinds")
_OF_LLM = tuple(f"generate.{f.name}" for f in fields(GenerateConfig) if f.name not in ("name", *_OF_MUTATE))


def codeflow_rules(c: Config) -> list[tuple[bool, str]]:
    """Combinations that have no meaning, each with what to change."""
    g, p = c.generate, c.problems
    return [
        (g.bugs_min > g.bugs_max,
         f"generate.bugs_min={g.bugs_min} is above generate.bugs_max={g.bugs_max}: lower the first or raise the second"),
        (c.pairs.judge and not (g.judge.model or g.model), "pairs.judge=true needs a model: add generate.judge.model=NAME"),
        (c.pairs.by == "sampling" and c.debug.max_refinements > 0,
         f"pairs.by=sampling pairs first versions, and debug.max_refinements={c.debug.max_refinements} would mend them for nothing: "
         "set debug.max_refinements=0"),
        (c.pairs.by == "debugging" and c.pairs.source == "codeflow" and c.debug.max_refinements == 0,
         "debug.max_refinements=0 mends nothing, and pairs.by=debugging needs what was mended: set pairs.by=sampling"),
        (c.pairs.judge and c.pairs.source == "external",
         f"pairs.judge=true judges pairs out of debugging histories: leave it out with pairs={c.pairs.path}"),
        (g.name != "mutate" and not g.model, f"generate={g.name} needs the model's name: add generate.model=NAME"),
        (g.name != "mutate" and g.temperature == 0 and c.debug.samples > 1,
         f"generate.temperature=0 gives debug.samples={c.debug.samples} equal answers: set debug.samples=1, or raise the temperature"),
        (g.max_cost is not None and not (g.price_in or g.price_out),
         f"generate.max_cost={g.max_cost} has no effect without prices: add generate.price_in=P and generate.price_out=P"),
        (p.source != "bank" and not p.path, f"problems.source={p.source} needs a file: add problems.path=FILE.jsonl"),
        (p.source == "bank" and p.path is not None,
         f"problems.path has no effect with problems.source={p.source}: use problems=jsonl problems.path=FILE"),
        ((p.mapping.inputs is None) != (p.mapping.outputs is None),
         "problems.mapping.inputs and problems.mapping.outputs belong together: give both or neither"),
        (p.mapping.inputs is not None and p.mapping.tests is not None,
         "problems.mapping.tests and problems.mapping.inputs are two kinds of tests: give one of them"),
    ]  # fmt: skip


def idle_codeflow(c: Config) -> list[tuple[bool, tuple[str, ...], str]]:
    """(whether it is so, options that then have no effect, why)."""
    name, judge = c.generate.name, c.pairs.judge
    of_server = (
        "base_url",
        "key_env",
        "timeout_s",
        "send_seed",
        "limit_field",
        "retries",
        "max_wait_s",
        "requests_per_minute",
        "tokens_per_minute",
    )
    scored = c.debug.min_test_score is not None
    mapping = tuple(f"problems.mapping.{f.name}" for f in fields(MappingConfig) if f.name != "prompt")
    return [
        (name == "mutate" and not judge, (*_OF_LLM, "debug.lost", "debug.min_test_score"), "generate=mutate: add generate=openai"),
        (name == "replay", tuple(f"generate.{o}" for o in of_server), "generate=replay, which asks no server: add generate=openai"),
        (name != "replay", ("generate.cache",), f"generate={name}: add generate=replay"),
        (name != "mutate", tuple(f"generate.{o}" for o in _OF_MUTATE), f"generate={name}: add generate=mutate"),
        (c.pairs.by == "debugging", ("pairs.per_task",), "pairs.by=debugging: add pairs.by=sampling"),
        (not judge and not scored, ("generate.judge",), "no judge: add pairs.judge=true or debug.min_test_score=3"),
        (not judge, ("generate.judge_difference_prompt",), "pairs.judge=false: add pairs.judge=true"),
        (not scored, ("generate.judge_tests_prompt",), "debug.min_test_score=null: add debug.min_test_score=3"),
        (c.problems.source == "bank", ("problems.mapping",), "problems=bank: add problems=jsonl"),
        (c.problems.mapping.prompt is None, mapping, "rows that have the fields of problems=jsonl: add problems.mapping.prompt=EXPRESSION"),
    ]  # fmt: skip
