"""Requests that wait together are answered together: what shares a batch, what does not, and what becomes of a batch that fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from iterpref.codeflow.generate.batching import BatchingBackend, BatchLimits, Generated, OutOfMemory, Request, Tell
from iterpref.codeflow.generate.chat import ChatParams, Completion, Message, ServerFault, request_key
from iterpref.codeflow.generate.limits import Stop, Stopped

PARAMS = ChatParams(max_tokens=10)


class Echo:
    """Answers a prompt with its length; `batches` is what it was given. `fits`: the most padded tokens that a batch may take."""

    model = "echo@1"

    def __init__(self, fits: int = 10**9, seconds: float = 0.0, fails: Exception | None = None) -> None:
        self.fits, self.seconds, self.fails = fits, seconds, fails
        self.batches: list[list[Request]] = []
        self.threads: set[int] = set()
        self.closed = 0

    def encode(self, messages: Sequence[Message], params: ChatParams) -> tuple[int, ...]:
        return tuple(range(len(messages[-1].content)))

    def kind(self, params: ChatParams) -> Any:
        return params.temperature, params.max_tokens

    def answer(self, batch: Sequence[Request], tell: Tell) -> None:
        self.threads.add(threading.get_ident())
        self.batches.append(list(batch))
        time.sleep(self.seconds)
        if self.fails:
            raise self.fails
        if len(batch) * max(len(r.ids) + r.params.max_tokens for r in batch) > self.fits:
            raise OutOfMemory("no room")
        for i, r in enumerate(batch):
            tell(i, Generated(f"{len(r.ids)} {r.stream}", r.params.max_tokens, "stop"))

    def close(self) -> None:
        self.closed += 1


def ask(length: int) -> tuple[Message, ...]:
    return (Message("user", "x" * length),)


def talk(
    engine: Echo, work: Callable[[BatchingBackend], Awaitable[Any]], stop: Stop | None = None, **limits: Any
) -> Any:
    async def all_of_it() -> Any:
        backend = BatchingBackend(engine, BatchLimits(**{"wait_s": 0.02, **limits}), stop or Stop())
        result = await work(backend)
        await backend.close()
        return result

    return asyncio.run(all_of_it())


def at_once(*questions: tuple[int, ChatParams]) -> Callable[[BatchingBackend], Awaitable[list[Any]]]:
    async def work(backend: BatchingBackend) -> list[Any]:
        return await asyncio.gather(
            *(backend.complete(ask(length), params) for length, params in questions), return_exceptions=True
        )

    return work


def sizes(engine: Echo) -> list[int]:
    return [len(batch) for batch in engine.batches]


def test_who_asks_at_once_is_answered_in_one_batch_and_each_gets_its_own_answer() -> None:
    engine = Echo()
    found = talk(engine, at_once((3, PARAMS), (5, PARAMS), (4, PARAMS)))
    assert [answer.text.split()[0] for answer in found] == ["3", "5", "4"]
    assert sizes(engine) == [3]
    key = request_key("echo@1", ask(3), PARAMS, 0)
    assert found[0] == Completion(f"3 {int(key[:15], 16)}", "stop", 3, 10, "echo@1", key)


def test_random_numbers_belong_to_the_request_and_not_to_its_batch() -> None:
    alone, among = Echo(), Echo()
    talk(alone, at_once((3, PARAMS)))
    talk(among, at_once((7, PARAMS), (3, PARAMS), (5, PARAMS)))
    streams = {len(r.ids): r.stream for r in among.batches[0]}
    assert streams[3] == alone.batches[0][0].stream
    assert len(set(streams.values())) == 3

    async def again(backend: BatchingBackend) -> None:
        await asyncio.gather(*(backend.complete(ask(3), PARAMS, attempt) for attempt in (0, 1)))

    attempts = Echo()
    talk(attempts, again)
    assert len({r.stream for r in attempts.batches[0]}) == 2


def test_a_batch_holds_no_more_rows_and_no_more_padded_tokens_than_it_may() -> None:
    engine = Echo()
    talk(engine, at_once(*[(5, PARAMS)] * 10), rows=4)
    assert sizes(engine) == [4, 4, 2]
    engine = Echo()
    talk(engine, at_once((90, PARAMS), (5, PARAMS), (6, PARAMS), (7, PARAMS)), tokens=100)
    assert [sorted(len(r.ids) for r in batch) for batch in engine.batches] == [[90], [5, 6, 7]]
    engine = Echo()
    talk(engine, at_once((900, PARAMS)), tokens=100)  # what is longer than a batch has one of its own
    assert sizes(engine) == [1]


def test_only_equal_kinds_share_a_batch_and_the_oldest_goes_first() -> None:
    engine = Echo()
    warm = ChatParams(temperature=0.8, max_tokens=10)
    talk(engine, at_once((5, warm), (6, PARAMS), (7, warm), (8, PARAMS)))
    assert [[len(r.ids) for r in batch] for batch in engine.batches] == [[5, 7], [6, 8]]


def test_neighbours_in_length_share_a_batch() -> None:
    engine = Echo()
    talk(engine, at_once((10, PARAMS), (500, PARAMS), (12, PARAMS), (490, PARAMS)), rows=2)
    assert [sorted(len(r.ids) for r in batch) for batch in engine.batches] == [[10, 12], [490, 500]]


def test_a_batch_waits_for_others_but_not_for_long() -> None:
    async def late(backend: BatchingBackend) -> None:
        first = asyncio.ensure_future(backend.complete(ask(1), PARAMS))
        await asyncio.sleep(0.03)
        await asyncio.gather(first, backend.complete(ask(2), PARAMS))

    patient, hasty = Echo(), Echo()
    talk(patient, late, wait_s=0.5, rows=2)
    assert sizes(patient) == [2]
    begin = time.monotonic()
    talk(hasty, late, wait_s=0.0, rows=2)
    assert sizes(hasty) == [1, 1]
    assert time.monotonic() - begin < 0.4


def test_the_next_batch_gathers_while_one_is_answered_and_the_loop_stays_free() -> None:
    async def work(backend: BatchingBackend) -> int:
        first = asyncio.ensure_future(backend.complete(ask(1), PARAMS))
        await asyncio.sleep(0.05)
        rest = [asyncio.ensure_future(backend.complete(ask(k), PARAMS)) for k in (2, 3, 4)]
        turns = 0
        while not first.done():
            await asyncio.sleep(0.01)
            turns += 1
        await asyncio.gather(*rest)
        return turns

    engine = Echo(seconds=0.2)
    assert talk(engine, work, wait_s=0.0) >= 5
    assert sizes(engine) == [1, 3]
    assert len(engine.threads) == 1
    assert engine.closed == 1


def test_a_batch_that_does_not_fit_is_halved_and_nobody_loses_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    engine = Echo(fits=65)
    found = talk(engine, at_once(*[(5, PARAMS)] * 16))
    assert {answer.text.split()[0] for answer in found} == {"5"}
    assert len(found) == 16
    assert sizes(engine) == [16, 8, 4, 4, 4, 4]
    assert "out of memory with 16 answers at once of up to 15 tokens each" in caplog.text
    assert "generate.batch_tokens=60" in caplog.text


def test_who_is_answered_moves_on_while_the_rest_of_the_batch_is_at_work() -> None:
    class Uneven(Echo):
        def answer(self, batch: Sequence[Request], tell: Tell) -> None:
            tell(0, Generated("short", 1, "stop"))
            time.sleep(0.3)
            tell(1, Generated("long", 9, "stop"))

    async def work(backend: BatchingBackend) -> tuple[str, bool]:
        short, long = (asyncio.ensure_future(backend.complete(ask(k), PARAMS)) for k in (1, 2))
        text = (await short).text
        waited = long.done()
        await long
        return text, waited

    assert talk(Uneven(), work) == ("short", False)


def test_a_batch_that_breaks_off_keeps_what_was_told_and_asks_for_the_rest_again() -> None:
    class Breaking(Echo):
        def answer(self, batch: Sequence[Request], tell: Tell) -> None:
            self.batches.append(list(batch))
            tell(0, Generated(f"{len(batch[0].ids)}", 1, "stop"))
            if len(batch) > 1:
                raise OutOfMemory("no room")

    engine = Breaking()
    found = talk(engine, at_once(*[(k, PARAMS) for k in (5, 6, 7, 8)]))
    assert [answer.text for answer in found] == ["5", "6", "7", "8"]
    assert sizes(engine) == [4, 1, 1, 1]


def test_an_engine_that_forgets_an_answer_is_a_defect_that_is_heard() -> None:
    class Forgetful(Echo):
        def answer(self, batch: Sequence[Request], tell: Tell) -> None:
            tell(0, Generated("only", 1, "stop"))

    first, second = talk(Forgetful(), at_once((1, PARAMS), (2, PARAMS)))
    assert first.text == "only"
    assert "without this answer" in str(second)


def test_one_answer_that_does_not_fit_is_a_fault_of_the_machine_and_no_other_suffers() -> None:
    engine = Echo(fits=100)
    big, small = talk(engine, at_once((500, PARAMS), (5, PARAMS)))
    assert isinstance(big, ServerFault)
    assert big.reason == "out_of_memory"
    assert small.text.startswith("5 ")


def test_an_error_of_the_model_reaches_all_who_wait_for_that_batch() -> None:
    engine = Echo(fails=RuntimeError("device lost"))
    found = talk(engine, at_once((1, PARAMS), (2, PARAMS)))
    assert [str(error) for error in found] == ["device lost"] * 2


def test_the_wish_to_stop_lets_the_batch_in_work_finish_and_begins_no_other() -> None:
    stop = Stop()
    engine = Echo(seconds=0.1)

    async def work(backend: BatchingBackend) -> list[Any]:
        asked = [asyncio.ensure_future(backend.complete(ask(k), PARAMS)) for k in (1, 2, 3)]
        await asyncio.sleep(0.05)
        stop.set(KeyboardInterrupt())
        return await asyncio.gather(*asked, return_exceptions=True)

    found = talk(engine, work, stop, rows=1, wait_s=0.0)
    assert found[0].text.startswith("1 ")
    assert [type(answer) for answer in found[1:]] == [Stopped, Stopped]
    assert sizes(engine) == [1]


def test_a_backend_that_was_never_asked_has_nothing_to_close() -> None:
    async def nothing(backend: BatchingBackend) -> None:
        return None

    engine = Echo()
    talk(engine, nothing)
    assert engine.closed == 0
