"""Schema of who writes the code: a language model in its roles, how it is asked, and what it may cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from iterpref.config.option import option, section

MODELS = ("openai", "transformers", "vllm", "replay")
LOCAL = ("transformers", "vllm")  # models in this process


@dataclass
class RoleConfig:
    """What this role does otherwise than the author; null: nothing."""

    name: str | None = option(
        None, "who answers in this role; null: as the author, or openai with generate=mutate", choices=MODELS
    )
    model: str | None = option(
        None, "the role's model: a name that its server knows, a local folder or a hub id; null: the author's"
    )
    base_url: str | None = option(None, "its server; null: the author's")
    key_env: str | None = option(None, "environment variable with its key; null: the author's")
    temperature: float | None = option(None, "of its answers; null: the author's", low=0, high=2)
    top_p: float | None = option(None, "mass of the likeliest tokens; null: the author's", above=0, high=1)
    max_tokens: int | None = option(None, "its longest answer, tokens; null: the author's", low=1)


@dataclass
class GenerateConfig:
    name: str = option(
        "mutate",
        "who writes and mends the code: injected bugs; a language model behind a server, or in this process (the group model=); or "
        "its answers in a cache",
        choices=("mutate", *MODELS),
    )
    bugs_min: int = option(1, "fewest bugs injected at once", low=1)
    bugs_max: int = option(4, "most bugs injected at once", low=1)
    wrong_repair: float = option(0.25, "probability that a repair is wrong", low=0, high=1)
    kinds: list[str] = option([], "bug kinds to draw from; empty: all")
    model: str | None = option(None, "the model's name, as its server knows it, or as an earlier run's records have it")
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
    task_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/task.jinja")
    evolve_prompt: str | None = option(None, "Jinja file in place of codeflow/prompts/evolve.jinja")
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
    accelerator: str = option("auto", "device kind of generate=transformers", choices=("auto", "cpu", "gpu", "mps"))
    dtype: str = option(
        "auto", "weights and arithmetic of a model in this process; auto: bfloat16 on a GPU that computes in it, else float32",
        choices=("auto", "float32", "bfloat16", "float16"),
    )  # fmt: skip
    max_context: int | None = option(
        None,
        "longest prompt and answer together of a model in this process, tokens; null: the model's own limit",
        low=1,
    )
    batch_rows: int = option(32, "answers that a model in this process gives at once", low=1)
    batch_tokens: int | None = option(
        None, "size of such a batch, answers x (longest prompt + max_tokens); null: no limit, and half of what did not fit into memory",
        low=1,
    )  # fmt: skip
    batch_wait_s: float = option(0.05, "longest wait for a batch to fill, seconds", low=0)
    gpu_share: float = option(0.9, "share of each GPU's memory that generate=vllm takes", above=0, high=1)
    gpus: int = option(1, "GPUs that generate=vllm spreads the model over", low=1)
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


def for_role(config: GenerateConfig, role: str) -> GenerateConfig:
    """The options as they are for `author`, `debugger` or `judge`: its own where it has any, else the author's.

    A role that is answered by something else than the author takes neither its model nor its server.
    """
    own = {"debugger": config.debugger, "judge": config.judge}.get(role, RoleConfig())
    base = replace(config, name="openai") if config.name == "mutate" else config
    if own.name not in (None, base.name):
        base = replace(base, model=None, base_url=None)
    return replace(base, **{k: v for k, v in asdict(own).items() if v is not None})
