"""Answers out of a request cache alone: repeats somebody's run without any model, and refuses what was never asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatParams, Completion, Message, RequestRefused, request_key
from iterpref.errors import UserError

NOT_IN_CACHE = "not_in_cache"


class ReplayBackend:
    """`model`'s answers in the cache at `path`. Raises `UserError` when there is no such file."""

    def __init__(self, model: str, path: Path) -> None:
        if not path.is_file():
            raise UserError(
                f"generate=replay: there is no cache of answers at {path}; give one with generate.cache=FILE, "
                "or make one with generate=openai"
            )
        self.model = model
        self._cache = RequestCache(path, reading=True)

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        """The stored answer; a request that is not there is refused, and so ends its own row."""
        found = self._cache.get(request_key(self.model, messages, params, attempt))
        if found is None:
            raise RequestRefused(NOT_IN_CACHE, f"no answer of {self.model} to this request")
        return found

    async def close(self) -> None:
        self._cache.close()
