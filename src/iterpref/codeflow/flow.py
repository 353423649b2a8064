"""Many tasks at once on an event loop of their own, each moving on as soon as it can; results come as they are made."""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, TypeVar

from iterpref.codeflow.generate.limits import Stop, Stopped

log = logging.getLogger(__name__)
J = TypeVar("J")
R = TypeVar("R")
# A signal that comes just before its thread begins to wait is seen when the wait ends: no wait is longer.
_LOOK_S = 0.2


class Flow(Generic[J, R]):
    """`work(job)` for every job, at most `width` at once: iterate for `(job, result or exception)` in order of completion.

    The loop runs in a thread, so that Ctrl-C reaches the caller, and a caller may have a loop of its own (a notebook).
    Use as a context manager: leaving it early sets `stop` and waits for what is in flight, and a second Ctrl-C calls
    `abandon` and waits no longer. `finish` runs on the loop when all work has ended.
    """

    def __init__(
        self,
        jobs: Iterable[J],
        work: Callable[[J], Awaitable[R]],
        *,
        width: int,
        stop: Stop,
        abandon: Callable[[], None] = lambda: None,
        finish: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._jobs, self._work, self._width = iter(jobs), work, width
        self._stop, self._abandon, self._finish = stop, abandon, finish
        self._done: queue.SimpleQueue[tuple[J, R | BaseException] | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def __enter__(self) -> Flow[J, R]:
        try:
            with interrupts_held():  # a thread that may or may not have begun could not be waited for
                self._thread.start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __iter__(self) -> Iterator[tuple[J, R | BaseException]]:
        while isinstance(item := self._next(), tuple):
            yield item
        if item is not None:
            raise item

    def _next(self) -> tuple[J, R | BaseException] | BaseException | None:
        while True:
            try:
                return self._done.get(timeout=_LOOK_S)
            except queue.Empty:
                continue

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is not None:
                self._stop.set(error)
            if error is not None and not isinstance(error, KeyboardInterrupt):
                # A defect of ours, or a full disk: nothing that is in flight could be kept.
                self._abandon()
            elif error is not None and self._thread.is_alive():
                log.warning("stopping when what is in flight has ended; Ctrl-C again waits for nothing")
            while self._thread.is_alive():
                self._thread.join(_LOOK_S)
        except KeyboardInterrupt:
            self._abandon()
            raise

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
            self._done.put(None)
        except BaseException as error:
            self._done.put(error)

    async def _all(self) -> None:
        try:
            await asyncio.gather(*(self._worker() for _ in range(self._width)))
        finally:
            if self._finish:
                await self._finish()

    async def _worker(self) -> None:
        for job in self._jobs:
            if self._stop.cause is not None:
                self._done.put((job, Stopped()))
                continue
            result: R | BaseException
            try:
                result = await self._work(job)
            except BaseException as error:
                result = error
            self._done.put((job, result))


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C during the block comes at its end."""
    if threading.current_thread() is not threading.main_thread():  # where Python never raises it
        yield
        return
    came: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)
    if came and callable(previous):
        previous(signal.SIGINT, None)
