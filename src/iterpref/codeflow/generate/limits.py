"""How fast, how often and for how much a server is asked: rates, pauses, retries, budgets, and the wish to stop."""

from __future__ import annotations

import asyncio
import email.utils
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from iterpref.codeflow.generate.chat import ServerFault
from iterpref.errors import UserError

FIRST_WAIT_S = 0.5  # before the second try; doubled for each further one
_POLL_S = 0.2  # how soon a sleeper sees that it is to stop


class Stopped(Exception):
    """Work that was not begun, because the run is to stop; what had begun is finished and kept."""


class BudgetSpent(UserError):
    """`generate.max_calls`, `max_total_tokens` or `max_cost` is used up."""


class Stop:
    """The wish to stop, from any thread; the first cause counts. Whoever is about to begin something asks `check`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.cause: BaseException | None = None

    def set(self, cause: BaseException) -> None:
        with self._lock:
            self.cause = self.cause or cause

    def check(self) -> None:
        """Raises `Stopped` once somebody wants to stop."""
        if self.cause is not None:
            raise Stopped

    async def sleep(self, seconds: float) -> None:
        """Sleeps; raises `Stopped` at most 0.2 s after the wish."""
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _POLL_S))
            self.check()


def parse_retry_after(value: str | None, date: str | None = None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110: seconds, or an HTTP date); None for none and for nonsense.

    `date`: the response's own Date, which a date is held against, so that a clock of ours that is wrong changes nothing.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        wanted, sent = _timestamp(value), _timestamp(date or "")
        if wanted is None:
            return None
        seconds = wanted - (now() if sent is None else sent)
    return max(seconds, 0.0) if seconds == seconds else None


def _timestamp(date: str) -> float | None:
    """Of an HTTP date; None for nonsense."""
    try:
        when = email.utils.parsedate_to_datetime(date)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def backoff(tries: int, fault: ServerFault, longest_s: float, rng: random.Random) -> float:
    """Seconds before try number `tries + 1`: FIRST_WAIT_S * 2^(tries - 1), or the server's wish if that is longer, with jitter.

    A wish is never shortened; one of no time at all, said again and again, uses up no tries. Raises the fault where the server asks for more than `longest_s`.
    """
    own = min(FIRST_WAIT_S * 2 ** min(tries - 1, 30), longest_s) * rng.uniform(0.5, 1.0)
    if fault.retry_after is not None:
        if fault.retry_after > longest_s:
            raise ServerFault(
                fault.reason,
                f"the server asks to wait for {fault.retry_after:.6g} s, which is above generate.max_wait_s",
            )
        return max(own, fault.retry_after + rng.uniform(0, 0.1 + 0.1 * fault.retry_after))
    return own


class Rate:
    """So many units a minute, evenly: `take` says when `amount` of them may be used. None: no limit."""

    def __init__(self, per_minute: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60 if per_minute else None
        self._now = now
        self._free_at = 0.0

    def take(self, amount: float) -> float:
        """Seconds to wait before using `amount` units, which are booked from now on."""
        if self._per_s is None:
            return 0.0
        now = self._now()
        start = max(self._free_at, now)
        self._free_at = start + amount / self._per_s
        return start - now

    def correct(self, difference: float) -> None:
        """Books what was used beyond (or, negative, below) what `take` was told."""
        if self._per_s is not None:
            self._free_at += difference / self._per_s


@dataclass
class Budget:
    """What may be spent in one name, earlier runs included. A call in flight counts as one call until it is settled."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    flying: int = 0

    def begin(self) -> None:
        """Raises `BudgetSpent` instead of letting a call begin that the budget does not cover.

        Tokens and money of calls in flight are not known yet: a budget may be passed by what those take.
        """
        rows = (
            ("max_calls", self.max_calls, self.calls + self.flying, "calls"),
            ("max_total_tokens", self.max_tokens, self.tokens, "tokens"),
            ("max_cost", self.max_cost, self.cost, ""),
        )
        for name, limit, used, unit in rows:
            if limit is not None and used >= limit:
                spent = f"{used:.6g} {unit}".strip()
                raise BudgetSpent(
                    f"the budget generate.{name}={limit} is used up ({spent}, earlier runs included); everything answered "
                    f"is kept: run the same command with a higher generate.{name} to go on"
                )
        self.flying += 1

    def settle(self, tokens: int, cost: float, answered: bool) -> None:
        self.flying -= 1
        if answered:
            self.calls, self.tokens, self.cost = self.calls + 1, self.tokens + tokens, self.cost + cost
