"""From `generate.*` to a generator with its roles, and to the lines on which it asks."""

from __future__ import annotations

import importlib.util
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iterpref.codeflow.generate.batching import BatchingBackend, BatchLimits, Engine
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatBackend, ChatParams
from iterpref.codeflow.generate.client import CallLimits, ChatClient, budget_of
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.generate.llm import Connect, LlmGenerator, Role
from iterpref.codeflow.generate.local import LocalModels, device_of
from iterpref.codeflow.generate.prompts import Prompt
from iterpref.config.generate import LOCAL, GenerateConfig, for_role
from iterpref.errors import UserError

if TYPE_CHECKING:
    from iterpref.codeflow.judge import Judge

CACHE = "answers.sqlite"  # under `paths.data`


def call_limits(config: GenerateConfig) -> CallLimits:
    return CallLimits(**{field.name: getattr(config, field.name) for field in fields(CallLimits)})


def backend_of(config: GenerateConfig, data: Path, local: LocalModels, stop: Stop) -> ChatBackend:
    """Whoever answers a role, whose options these are. Raises `UserError` for a package that is missing."""
    if config.name in LOCAL:
        limits = BatchLimits(config.batch_rows, config.batch_tokens, config.batch_wait_s)
        return BatchingBackend(_engine_of(config, local), limits, stop)
    if config.name == "replay":
        from iterpref.codeflow.generate.replay import ReplayBackend

        return ReplayBackend(str(config.model), Path(config.cache) if config.cache else data / CACHE)
    from iterpref.codeflow.generate.openai import OpenAIBackend

    return OpenAIBackend(
        str(config.model),
        config.base_url,
        key_env=config.key_env,
        timeout_s=config.timeout_s,
        send_seed=config.send_seed,
        limit_field=config.limit_field,
    )


def _engine_of(config: GenerateConfig, local: LocalModels) -> Engine:
    model = local.of(config)
    if config.name == "vllm":
        from iterpref.codeflow.generate.vllm import VllmEngine

        return VllmEngine(model, config.gpu_share, config.gpus)
    from iterpref.codeflow.generate.transformers import TransformersEngine

    return TransformersEngine(model, device_of(config))


class CachedLines:
    """`llm.Lines`: a client for each model and server, opened when it is first asked for; one cache and one budget for all."""

    def __init__(
        self, config: GenerateConfig, data: Path, stop: Stop, spender: str, local: LocalModels | None = None
    ) -> None:
        self._config, self._data, self._stop, self._spender = config, data, stop, spender
        self._local = local or LocalModels(data)
        self._limits = call_limits(config)
        self._cache = RequestCache(data / CACHE)
        self._budget = budget_of(self._limits, self._cache, spender)
        self._clients: dict[tuple[str | None, ...], ChatClient] = {}
        self._by_role: dict[str, ChatClient] = {}

    def of(self, role: str) -> ChatBackend:
        """The line of `debugger` or `judge`; any other name is the author's."""
        if role not in self._by_role:
            self._by_role[role] = self._open(for_role(self._config, role))
        return self._by_role[role]

    def _open(self, own: GenerateConfig) -> ChatClient:
        place = (own.name, own.model, own.base_url, own.key_env)
        if place not in self._clients:
            backend = backend_of(own, self._data, self._local, self._stop)
            self._clients[place] = ChatClient(
                backend, self._cache, self._limits, self._stop, self._spender, self._budget
            )
        return self._clients[place]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._cache.close()


def role_of(config: GenerateConfig, name: str, prompt: Prompt, local: LocalModels) -> Role:
    own = for_role(config, name)
    model = local.of(own).name if own.name in LOCAL else str(own.model)
    return Role(name, model, ChatParams(own.temperature, own.top_p, own.max_tokens), prompt)


def llm_generator(
    config: GenerateConfig, data: Path, local: LocalModels | None = None, score_tests: bool = False
) -> LlmGenerator:
    """Raises `UserError` for a prompt that is no template, and for a package that this environment lacks."""
    local = local or LocalModels(data)
    for package in config.packages:
        if importlib.util.find_spec(package.split(".")[0]) is None:
            raise UserError(
                f"generate.packages: '{package}' is not installed here; run: pip install {package}, or leave it out"
            )
    author, debugger = (
        role_of(config, name, Prompt(name, getattr(config, f"{name}_prompt")), local) for name in ("author", "debugger")
    )
    return LlmGenerator(
        author, debugger, Prompt("unreadable", config.unreadable_prompt), connect(config, data, local),
        concurrency=config.concurrency, answer_retries=config.answer_retries, packages=config.packages,
        test_judge=judge_role(config, "judge_tests", config.judge_tests_prompt, local) if score_tests else None,
    )  # fmt: skip


def connect(config: GenerateConfig, data: Path, local: LocalModels | None = None) -> Connect:
    """Opens the lines of the roles, once a run begins."""
    return lambda stop, spender: CachedLines(config, data, stop, spender, local)


def judge_role(config: GenerateConfig, prompt: str, path: str | None, local: LocalModels) -> Role:
    """`generate.judge.*`, else the author's model; greedy unless told otherwise."""
    role = role_of(config, "judge", Prompt(prompt, path), local)
    greedy = replace(role.params, temperature=0.0)
    return replace(role, params=greedy) if config.judge.temperature is None else role


def difference_judge(config: GenerateConfig, data: Path, local: LocalModels | None = None) -> Judge:
    """The judge of `pairs.judge=true`."""
    from iterpref.codeflow.judge import Judge

    local = local or LocalModels(data)
    role = judge_role(config, "judge_difference", config.judge_difference_prompt, local)
    return Judge(role, connect(config, data, local), config.concurrency)
