"""What every language model looks like from here: messages in, one completion out, and what can go wrong between.

    completion = await backend.complete(messages, ChatParams(temperature=0.8), attempt=3)

A request is named by the hash of (model, messages, parameters, attempt); `client.ChatClient` puts cache, limits and
retries around a backend and is a backend itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from iterpref.errors import UserError
from iterpref.record import Record
from iterpref.schema import Message

CHARS_PER_TOKEN = 4  # where nobody has counted
# Servers' words for an answer that came to its own end. Whatever else they say (length, content_filter, nothing), it may be a part.
_ENDED = ("stop", "stop_sequence", "eos", "eos_token", "end_turn")


@dataclass(frozen=True)
class ChatParams(Record):
    """How to sample. `seed` is None for greedy decoding, and else a wish: many servers do not repeat themselves."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048  # of the answer
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion(Record):
    text: str
    finish_reason: str  # stop | length | content_filter | ...: the server's word
    tokens_in: int
    tokens_out: int
    model: str
    request_key: str
    cost: float = 0.0  # in the currency of the configured prices
    served: str = ""  # what the server called the model, if it said so

    @property
    def cut(self) -> bool:
        """Nobody says that it is whole."""
        return self.finish_reason.lower() not in _ENDED


class ChatBackend(Protocol):
    """One model. `complete` may be called many times at once, from one event loop."""

    model: str

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        """The answer to `messages`; another `attempt` is another sample of it.

        Raises `ServerFault` (try again), `RequestRefused` (this request will never do) or `Unrecoverable` (none will).
        """

    async def close(self) -> None:
        """Gives connections and memory back."""


class ServerFault(Exception):
    """Nothing was answered, and the same request may well be answered later. `reason` is a word for the statistics."""

    def __init__(self, reason: str, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.retry_after = reason, detail, retry_after


class GaveUp(Exception):
    """A request that met a fault at every try; the next run tries again."""

    def __init__(self, last: ServerFault, tries: int) -> None:
        super().__init__(f"{last} (at the last of {tries} tries)")
        self.reason = last.reason


class RequestRefused(Exception):
    """The server will not answer this request, however often it is asked: its row fails, and no other."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Unrecoverable(UserError):
    """No request can succeed before the user has changed an option; the message names it."""


def request_key(model: str, messages: Sequence[Message], params: ChatParams, attempt: int) -> str:
    """sha256 over everything that the answer depends on; equal requests, and only those, share it."""
    parts = [model, [[m.role, m.content] for m in messages], params.to_dict(), attempt]
    # ASCII, so that half a surrogate pair out of an earlier answer cannot stop the hash.
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
