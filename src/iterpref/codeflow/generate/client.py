"""A backend with a memory and with manners: cache, one call for equal requests, concurrency, rates, retries, budget."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import (
    CHARS_PER_TOKEN,
    ChatBackend,
    ChatParams,
    Completion,
    GaveUp,
    Message,
    RequestRefused,
    ServerFault,
    Unrecoverable,
    request_key,
)
from iterpref.codeflow.generate.limits import Budget, BudgetSpent, Rate, Stop, backoff
from iterpref.config import GenerateConfig

log = logging.getLogger(__name__)
REFUSALS_IN_A_ROW = 20  # without one answer before: then it is the options, not the requests


@dataclass(frozen=True)
class CallLimits:
    """See the options of the same names under `generate`."""

    concurrency: int = GenerateConfig.concurrency
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    retries: int = GenerateConfig.retries
    max_wait_s: float = GenerateConfig.max_wait_s
    max_calls: int | None = None
    max_total_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0  # of a million tokens
    price_out: float = 0.0


def budget_of(limits: CallLimits, cache: RequestCache, spender: str) -> Budget:
    """What `spender` may still spend."""
    return Budget(limits.max_calls, limits.max_total_tokens, limits.max_cost, *cache.spent(spender))


@dataclass
class Outcomes:
    """What came of the calls of this process."""

    answered: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # by reason, each try apart
    refused: Counter[str] = field(default_factory=Counter)


class ChatClient:
    """`ChatBackend` around another one.

    Args:
        stop: asked before each call; a budget that is spent and an unrecoverable error set it.
        spender: in whose name calls are paid.
        budget: of several clients together; by default one of its own, which counts what `spender` has spent before.
    """

    def __init__(
        self,
        backend: ChatBackend,
        cache: RequestCache,
        limits: CallLimits,
        stop: Stop,
        spender: str = "",
        budget: Budget | None = None,
    ) -> None:
        self.model, self.outcomes, self.stop = backend.model, Outcomes(), stop
        self._backend, self._cache, self._limits, self._spender = backend, cache, limits, spender
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._requests = Rate(limits.requests_per_minute)
        self._tokens = Rate(limits.tokens_per_minute)
        self._pause = Rate(60.0)  # a unit is a second in which nobody may ask
        self._budget = budget or budget_of(limits, cache, spender)
        self._served = {cache.served(self.model)} - {""}  # the server's names of the model
        self._flying: dict[str, asyncio.Future[Completion]] = {}
        # Jitter only: no record depends on it.
        self._rng = random.Random()

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        """The stored answer, or else a new one, stored before it is returned.

        Raises `GaveUp`, `RequestRefused`, `limits.Stopped`, `limits.BudgetSpent` or `Unrecoverable`.
        """
        key = request_key(self.model, messages, params, attempt)
        if (known := self._cache.get(key)) is not None:
            return known
        if key not in self._flying:
            self._flying[key] = asyncio.ensure_future(self._ask(key, messages, params, attempt))
            self._flying[key].add_done_callback(lambda _: self._flying.pop(key))
        # Shielded: whoever gives up waiting must not take the answer from the others, nor from the cache.
        return await asyncio.shield(self._flying[key])

    async def _ask(self, key: str, messages: Sequence[Message], params: ChatParams, attempt: int) -> Completion:
        try:
            answer = await self._paid(messages, params, attempt)
        except (Unrecoverable, BudgetSpent) as error:
            self.stop.set(error)
            raise
        except RequestRefused as error:
            self._refused(error)
            raise
        answer = replace(answer, request_key=key, model=self.model, cost=self._price(answer))
        self.outcomes.answered += 1
        self._look_at(answer.served)
        try:
            return self._cache.put(messages, params, attempt, answer, self._spender)
        except OSError as error:  # no room: what was asked for now would be paid for and lost
            self.stop.set(error)
            raise

    def _look_at(self, served: str) -> None:
        """Warns when the server calls its model otherwise than before, in this run or an earlier one."""
        if self._served and served and served not in self._served:
            log.warning(
                "generate.model=%s: the server now calls it %s, and %s before: another model may be answering; a data set of one "
                "model alone needs another paths.data, or that model's own name",
                self.model, ascii(served)[1:-1], ascii(", ".join(sorted(self._served)))[1:-1],
            )  # fmt: skip
        self._served |= {served} - {""}

    async def _paid(self, messages: Sequence[Message], params: ChatParams, attempt: int) -> Completion:
        """An answer within the budget, whose place is kept from the first try to the last."""
        estimate = sum(len(m.content) for m in messages) // CHARS_PER_TOKEN + params.max_tokens
        answer: Completion | None = None
        tries, begun = 0, False
        try:
            while True:
                tries += 1
                async with self._slots:
                    await self._wait_for_turn(estimate)
                    if not begun:
                        self._budget.begin()
                        begun = True
                    try:
                        answer = await self._backend.complete(messages, params, attempt)
                        self._tokens.correct(answer.tokens_in + answer.tokens_out - estimate)
                        return answer
                    except ServerFault as error:
                        fault = error
                # Outside of the slot: others need not wait for this one's server to recover.
                await self._wait_after(fault, tries)
        finally:
            if begun:
                used = (answer.tokens_in + answer.tokens_out, self._price(answer)) if answer else (0, 0.0)
                self._budget.settle(*used, answered=answer is not None)

    async def _wait_after(self, fault: ServerFault, tries: int) -> None:
        """Waits until the request may be tried again; raises `GaveUp` after the last try."""
        if fault.reason not in self.outcomes.faults:
            # A server that is down is waited for: whoever looks on should know.
            retries = self._limits.retries
            log.warning(
                "%s: %s; a request is tried again up to %d times (generate.retries)", self.model, fault, retries
            )
        self.outcomes.faults[fault.reason] += 1
        if tries > self._limits.retries:
            raise GaveUp(fault, tries)
        try:
            wait = backoff(tries, fault, self._limits.max_wait_s, self._rng)
        except ServerFault as too_long:
            raise GaveUp(too_long, tries) from None
        if fault.retry_after is not None:
            self._hold(fault.retry_after)
        await self.stop.sleep(wait)

    async def _wait_for_turn(self, estimate: int) -> None:
        self.stop.check()
        while (wait := self._pause.take(0)) > 0:
            await self.stop.sleep(wait)
        if (wait := max(self._requests.take(1), self._tokens.take(estimate))) > 0:
            await self.stop.sleep(wait)

    def _hold(self, seconds: float) -> None:
        """Nobody asks before the server wants to be asked again; waits that overlap are one wait."""
        self._pause.take(max(0.0, seconds - self._pause.take(0)))

    def _price(self, answer: Completion) -> float:
        return (answer.tokens_in * self._limits.price_in + answer.tokens_out * self._limits.price_out) / 1e6

    def _refused(self, error: RequestRefused) -> None:
        self.outcomes.refused[error.reason] += 1
        if not self.outcomes.answered and sum(self.outcomes.refused.values()) >= REFUSALS_IN_A_ROW:
            self.stop.set(Unrecoverable(
                f"the server refused all of the first {REFUSALS_IN_A_ROW} requests (last: {error}); change generate.model, "
                "generate.max_tokens or the option that it names"
            ))  # fmt: skip

    async def close(self) -> None:
        await self._backend.close()
