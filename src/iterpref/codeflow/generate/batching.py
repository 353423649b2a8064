"""A model on this machine behind the chat protocol: whoever waits is answered together, in batches.

Tasks move on their own and ask one at a time. A worker takes the request that has waited longest and those like it, and runs them
as one batch on a thread of its own; each answer goes to who asked as soon as it has ended. Meanwhile the next batch gathers, and
programs run in the sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from iterpref.codeflow.generate.chat import ChatParams, Completion, Message, ServerFault, request_key
from iterpref.codeflow.generate.limits import Stop, Stopped
from iterpref.config import GenerateConfig

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One answer that is wanted. `stream` names its random numbers, whatever it shares a batch with."""

    ids: tuple[int, ...]  # of the prompt's tokens
    params: ChatParams
    stream: int


@dataclass(frozen=True)
class Generated:
    text: str
    tokens: int
    finish_reason: str  # stop | length


class OutOfMemory(Exception):
    """A batch did not fit; what was not told yet has no answer."""


Tell = Callable[[int, Generated], None]


class Engine(Protocol):
    """What runs batches. `encode` is called on the event loop, all else on the model's thread."""

    model: str  # names weights and template: answers are kept under it

    def encode(self, messages: Sequence[Message], params: ChatParams) -> tuple[int, ...]:
        """Token ids of the prompt; raises `RequestRefused` for what this model cannot be asked."""

    def kind(self, params: ChatParams) -> Hashable:
        """Requests of one kind may share a batch."""

    def answer(self, batch: Sequence[Request], tell: Tell) -> None:
        """Tells each answer with its place in the batch, as soon as it has ended; raises `OutOfMemory`."""

    def close(self) -> None:
        """Gives the memory back."""


@dataclass(frozen=True)
class BatchLimits:
    """See `generate.batch_rows`, `batch_tokens` and `batch_wait_s`."""

    rows: int = GenerateConfig.batch_rows
    tokens: int | None = None
    wait_s: float = GenerateConfig.batch_wait_s


@dataclass
class _Waiting:
    request: Request
    answer: asyncio.Future[Generated]

    @property
    def size(self) -> int:
        return len(self.request.ids) + self.request.params.max_tokens


class BatchingBackend:
    """`ChatBackend` over an engine. `stop`: what waits for a batch is not begun once somebody wants to stop."""

    def __init__(self, engine: Engine, limits: BatchLimits, stop: Stop) -> None:
        self.model = engine.model
        self._engine, self._limits, self._stop = engine, limits, stop
        self._tokens = limits.tokens  # halved when memory runs out
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        """The answer. Greedy ones and drawn ones alike are functions of the request, as far as arithmetic is: sums in another
        order, as another batch has them, may turn a token whose probability lies within the rounding of another's."""
        key = request_key(self.model, messages, params, attempt)
        request = Request(self._engine.encode(messages, params), params, int(key[:15], 16))
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        if self._worker is None or self._worker.done():  # done: by a defect, which all who waited have heard of
            self._worker = asyncio.create_task(self._work(_Thread()))
        found = await waiting.answer
        return Completion(found.text, found.finish_reason, len(request.ids), found.tokens, self.model, key)

    async def _work(self, thread: _Thread) -> None:
        try:
            while True:
                await self._gather()
                if self._stop.cause is not None:
                    _tell(self._waiting, Stopped())
                    self._waiting.clear()
                else:
                    await self._answer(self._take(), thread)
        except Exception as error:
            _tell(self._waiting, error)
            raise
        finally:
            await thread.run(self._engine.close)
            thread.end()

    async def _answer(self, batch: list[_Waiting], thread: _Thread) -> None:
        loop = asyncio.get_running_loop()

        def settle(i: int, answer: Generated) -> None:
            if not batch[i].answer.done():
                batch[i].answer.set_result(answer)

        def tell(i: int, answer: Generated) -> None:
            # Who asked moves on at once, whatever the rest of the batch still has to say.
            loop.call_soon_threadsafe(settle, i, answer)

        try:
            await thread.run(lambda: self._engine.answer([w.request for w in batch], tell))
        except OutOfMemory as error:
            self._shrink([w for w in batch if not w.answer.done()], str(error))
        except Exception as error:
            _tell(batch, error)
        else:
            _tell(batch, RuntimeError("the model ended its batch without this answer"))

    async def _gather(self) -> None:
        """Waits for a request, and then a little for others to fill its batch."""
        end: float | None = None
        while len(self._waiting) < self._limits.rows:
            if self._waiting:
                end = end or time.monotonic() + self._limits.wait_s
                left = end - time.monotonic()
                if left <= 0:
                    return
            else:
                left = None
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[_Waiting]:
        """The oldest request, and of its kind those nearest to it in length, as many as the limits allow."""
        oldest = self._waiting[0]
        kind, length = self._engine.kind(oldest.request.params), len(oldest.request.ids)
        like = [w for w in self._waiting if self._engine.kind(w.request.params) == kind]
        like.sort(key=lambda w: abs(len(w.request.ids) - length))
        batch, longest = [oldest], oldest.size
        for waiting in like:
            wider = max(longest, waiting.size)
            fits = self._tokens is None or wider * (len(batch) + 1) <= self._tokens
            if waiting is not oldest and fits and len(batch) < self._limits.rows:
                batch.append(waiting)
                longest = wider
        taken = {id(w) for w in batch}
        self._waiting = [w for w in self._waiting if id(w) not in taken]
        return batch

    def _shrink(self, batch: Sequence[_Waiting], error: str) -> None:
        """What is left of a batch goes back to be answered by halves; a single request that does not fit is a fault."""
        if not batch:
            return
        if len(batch) == 1:
            _tell(
                batch, ServerFault("out_of_memory", f"one answer of up to {batch[0].size} tokens does not fit: {error}")
            )
            return
        size = len(batch) * max(w.size for w in batch)
        self._tokens = size // 2
        log.warning(
            "out of memory with %d answers at once of up to %d tokens each; batches are halved (generate.batch_tokens=%d): %s",
            len(batch), size // len(batch), self._tokens, error,
        )  # fmt: skip
        self._waiting = [*batch, *self._waiting]

    async def close(self) -> None:
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)


def _tell(those: Sequence[_Waiting], error: Exception) -> None:
    for waiting in those:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


class _Thread:
    """One thread for all work of a model; a daemon, so that a second Ctrl-C waits for no batch."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="model", daemon=True).start()

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        future: Future[T] = Future()
        self._jobs.put((future, work))
        return asyncio.wrap_future(future)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del job, future, work  # they may hold a batch on the device

    def end(self) -> None:
        self._jobs.put(None)
