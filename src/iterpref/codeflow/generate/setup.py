"""From `generate.*` to a generator with its roles, and to the lines on which it asks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatBackend, ChatParams
from iterpref.codeflow.generate.client import CallLimits, ChatClient, budget_of
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.generate.llm import LlmGenerator, Role
from iterpref.codeflow.generate.prompts import Prompt
from iterpref.config import GenerateConfig
from iterpref.errors import UserError

CACHE = "answers.sqlite"  # under `paths.data`


def call_limits(config: GenerateConfig) -> CallLimits:
    return CallLimits(
        concurrency=config.concurrency,
        requests_per_minute=config.requests_per_minute,
        tokens_per_minute=config.tokens_per_minute,
        retries=config.retries,
        max_wait_s=config.max_wait_s,
        max_calls=config.max_calls,
        max_total_tokens=config.max_total_tokens,
        max_cost=config.max_cost,
        price_in=config.price_in,
        price_out=config.price_out,
    )


def backend_of(config: GenerateConfig) -> ChatBackend:
    from iterpref.codeflow.generate.openai import OpenAIBackend

    return OpenAIBackend(
        str(config.model),
        config.base_url,
        key_env=config.key_env,
        timeout_s=config.timeout_s,
        send_seed=config.send_seed,
        limit_field=config.limit_field,
    )


class CachedLines:
    """`llm.Lines`: one client a model, all of them with one cache and one budget."""

    def __init__(self, config: GenerateConfig, data: Path, stop: Stop, spender: str) -> None:
        limits = call_limits(config)
        self._cache = RequestCache(data / CACHE)
        self._client = ChatClient(
            backend_of(config), self._cache, limits, stop, spender, budget_of(limits, self._cache, spender)
        )

    def of(self, role: str) -> ChatBackend:
        return self._client

    async def close(self) -> None:
        await self._client.close()
        self._cache.close()


def llm_generator(config: GenerateConfig, data: Path) -> LlmGenerator:
    """Raises `UserError` for a prompt that is no template, and for a package that this environment lacks."""
    for package in config.packages:
        if importlib.util.find_spec(package.split(".")[0]) is None:
            raise UserError(
                f"generate.packages: '{package}' is not installed here; run: pip install {package}, or leave it out"
            )
    params = ChatParams(config.temperature, config.top_p, config.max_tokens)
    roles = {
        name: Role(name, str(config.model), params, Prompt(name, getattr(config, f"{name}_prompt")))
        for name in ("author", "debugger")
    }
    return LlmGenerator(
        roles["author"], roles["debugger"], Prompt("unreadable", config.unreadable_prompt),
        lambda stop, spender: CachedLines(config, data, stop, spender),
        concurrency=config.concurrency, answer_retries=config.answer_retries, packages=config.packages,
    )  # fmt: skip
