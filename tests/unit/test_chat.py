"""Calls of a language model against a server that misbehaves in every way that servers do."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sqlite3
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.bench.chat_server import ChatServer, Reply, Request, answer, error
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import (
    ChatParams,
    Completion,
    GaveUp,
    Message,
    RequestRefused,
    ServerFault,
    Unrecoverable,
    request_key,
)
from iterpref.codeflow.generate.client import REFUSALS_IN_A_ROW, CallLimits, ChatClient
from iterpref.codeflow.generate.limits import Budget, BudgetSpent, Rate, Stop, Stopped, backoff, parse_retry_after
from iterpref.codeflow.generate.openai import OpenAIBackend
from iterpref.codeflow.generate.replay import ReplayBackend
from iterpref.errors import UserError

ASK = (Message("user", "write it"),)
PARAMS = ChatParams(max_tokens=50)


def said(text: str = "yes", **more: Any) -> Callable[[Request, int], Reply]:
    return lambda request, n: answer(text, **more)


def script(*replies: Reply) -> Callable[[Request, int], Reply]:
    """One reply after the other; the last one for good."""
    return lambda request, n: replies[min(n, len(replies) - 1)]


def talk(
    tmp_path: Path,
    server: ChatServer,
    *,
    questions: int = 1,
    stop: Stop | None = None,
    spender: str = "",
    timeout_s: float = 5.0,
    **limits: Any,
) -> tuple[list[Any], ChatClient]:
    """Asks `questions` different questions at once: answers and exceptions in their order, and the client."""

    async def all_of_them() -> tuple[list[Any], ChatClient]:
        cache = RequestCache(tmp_path / "answers.sqlite")
        client = ChatClient(
            OpenAIBackend("m", server.url, timeout_s=timeout_s), cache, CallLimits(**limits), stop or Stop(), spender
        )
        results = await asyncio.gather(
            *(client.complete(ASK, PARAMS, attempt) for attempt in range(questions)), return_exceptions=True
        )
        await client.close()
        cache.close()
        return results, client

    return asyncio.run(all_of_them())


@pytest.fixture
def serve():
    servers: list[ChatServer] = []

    def start(respond: Callable[[Request, int], Reply]) -> ChatServer:
        servers.append(ChatServer(respond))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterpref.codeflow.generate.limits.FIRST_WAIT_S", 0.01)


def test_an_answer_comes_with_its_tokens_its_cost_and_its_key(tmp_path, serve) -> None:
    (done,), client = talk(tmp_path, serve(said("x" * 40)), price_in=1e6, price_out=2e6)
    assert done == Completion("x" * 40, "stop", 10, 10, "m", request_key("m", ASK, PARAMS, 0), 30.0, "stand-in")
    assert client.outcomes.answered == 1


def test_what_is_sent_is_what_was_asked(tmp_path, serve, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server = serve(said())
    backend = OpenAIBackend("m", server.url, key_env="MY_KEY", limit_field="max_completion_tokens")
    asyncio.run(backend.complete(ASK, ChatParams(0.5, 0.9, 7, 11, ("END",))))
    assert server.requests == [{
        "model": "m", "messages": [{"role": "user", "content": "write it"}], "temperature": 0.5, "top_p": 0.9,
        "max_completion_tokens": 7, "seed": 11, "stop": ["END"],
    }]  # fmt: skip
    assert server.headers[0]["authorization"] == "Bearer secret"


def test_a_seed_can_be_kept_from_a_server_that_refuses_it(serve) -> None:
    server = serve(said())
    asyncio.run(OpenAIBackend("m", server.url, send_seed=False).complete(ASK, ChatParams(seed=3)))
    assert "seed" not in server.requests[0]


def test_a_call_leaves_no_line_in_the_log(tmp_path, serve, caplog) -> None:
    caplog.set_level("INFO")
    talk(tmp_path, serve(said()))
    assert caplog.records == []


def test_a_second_run_makes_no_call(tmp_path, serve) -> None:
    server = serve(lambda request, n: answer(f"answer {n}"))
    first, _ = talk(tmp_path, server, questions=5)
    second, client = talk(tmp_path, server, questions=5)
    assert second == first
    assert (len(server.requests), client.outcomes.answered) == (5, 0)


def test_equal_requests_at_once_are_one_call(tmp_path, serve) -> None:
    server = serve(said(delay_s=0.05))

    async def twice() -> list[Completion]:
        client = ChatClient(OpenAIBackend("m", server.url), RequestCache(tmp_path / "c"), CallLimits(), Stop())
        return await asyncio.gather(client.complete(ASK, PARAMS), client.complete(ASK, PARAMS))

    first, second = asyncio.run(twice())
    assert first == second
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("change"),
    [
        {"model": "n"},
        {"messages": (Message("system", "write it"),)},
        {"messages": (Message("user", "write"), Message("user", " it"))},
        {"params": ChatParams(max_tokens=51)},
        {"params": ChatParams(max_tokens=50, seed=0)},
        {"attempt": 1},
    ],
)
def test_whatever_the_answer_depends_on_is_in_the_key(change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"model": "m", "messages": ASK, "params": PARAMS, "attempt": 0}
    assert request_key(**base) != request_key(**{**base, **change})
    assert request_key("m", (Message("user", "\ud800"),), PARAMS, 0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (error(500), "http_500"),
        (error(503), "http_503"),
        (error(429), "http_429"),
        (error(408), "http_408"),
        (answer("yes" * 1000, hang_up_after=100), "connection"),
        (answer("yes", hang_up_after=0), "connection"),
        (Reply(body=b'{"choices": [{"mess'), "malformed_json"),
        (Reply(body=b"\xff\xfe"), "malformed_json"),
        (Reply(body=b""), "malformed_json"),
        (Reply(body=b"[" * 100_000), "malformed_json"),
        (Reply(body=b'{"choices": []}'), "empty_choice"),
        (Reply(body=b'{"choices": null}'), "empty_choice"),
        (Reply(body=b'{"choices": [{}]}'), "empty_choice"),
        (Reply(body=b'{"choices": [{"message": {"content": ["x"]}, "finish_reason": "stop"}]}'), "empty_choice"),
        (Reply(body=b"[]"), "empty_choice"),
        (Reply(body=b"<html><body>Log in</body></html>"), "malformed_json"),
        (Reply(body=b'{"error": {"code": 429, "message": "slow down"}}'), "empty_choice"),
        (Reply(302), "http_302"),
        (Reply(302, headers={"Location": "file:///etc/passwd"}), "connection"),
        (Reply(raw=b"no HTTP at all\r\n\r\n"), "connection"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), "connection"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n"), "connection"),
        (Reply(raw=b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"cho\r\n'), "timeout"),
        (answer("late", delay_s=5), "timeout"),
    ],
)
def test_a_passing_fault_is_tried_again_counted_and_told_once(
    tmp_path, serve, caplog, fault: Reply, reason: str
) -> None:
    server = serve(script(fault, fault, answer("at last")))
    (done,), client = talk(tmp_path, server, timeout_s=1 if reason == "timeout" else 10)
    assert done.text == "at last"
    assert client.outcomes.faults == {reason: 2}
    (line,) = caplog.messages
    assert reason in line
    assert "generate.retries" in line
    assert (len(server.requests), client.outcomes.answered) == (3, 1)


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_beyond_all_answers_is_a_fault(tmp_path, serve, monkeypatch, status: int) -> None:
    monkeypatch.setattr("iterpref.codeflow.generate.transport.MAX_BODY", 1 << 20)
    server = serve(script(Reply(status, bytes(2 << 20)), answer("at last")))
    (done,), client = talk(tmp_path, server)
    assert (done.text, client.outcomes.faults) == ("at last", {"body_too_long": 1})


def test_a_small_body_that_unpacks_into_a_huge_one_takes_little_memory(tmp_path, serve, monkeypatch) -> None:
    monkeypatch.setattr("iterpref.codeflow.generate.transport.MAX_BODY", 4 << 20)
    bomb = Reply(body=gzip.compress(bytes(64 << 20)), headers={"content-encoding": "gzip"})
    server = serve(script(bomb, answer("at last")))
    tracemalloc.start()
    (done,), client = talk(tmp_path, server)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (done.text, client.outcomes.faults) == ("at last", {"body_too_long": 1})
    assert peak < 32 << 20


def test_an_answer_may_be_packed(tmp_path, serve) -> None:
    plain = answer("yes" * 1000).body
    for packed, body in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain)), ("identity", plain)):
        server = serve(script(Reply(body=body, headers={"content-encoding": packed})))
        (done,), _ = talk(tmp_path / packed, server)
        assert done.text == "yes" * 1000
    server = serve(
        script(
            Reply(body=plain, headers={"content-encoding": "gzip"}),
            Reply(body=plain, headers={"content-encoding": "br"}),
            answer("yes"),
        )
    )
    (done,), client = talk(tmp_path / "wrong", server)
    assert (done.text, client.outcomes.faults) == ("yes", {"malformed_body": 2})


@pytest.mark.parametrize("count", [b"NaN", b"1e400", b"true", b"-3", b"1.5", b"1" + b"0" * 30, b"null", b"[1]"])
def test_a_count_of_tokens_that_is_none_is_estimated(tmp_path, serve, count: bytes) -> None:
    body = answer("12345678").body.replace(b'"prompt_tokens": 10', b'"prompt_tokens": ' + count)
    (done,), _ = talk(tmp_path, serve(script(Reply(body=body))))
    assert type(done.tokens_in) is int
    assert (done.tokens_in, done.tokens_out) == (2, 2)  # "write it" and the answer, four characters a token


def test_a_fault_that_stays_is_given_up_and_asked_again_by_the_next_run(tmp_path, serve) -> None:
    server = serve(lambda request, n: error(500) if n < 3 else answer("yes"))
    (lost,), client = talk(tmp_path, server, retries=2)
    assert isinstance(lost, GaveUp)
    assert (lost.reason, client.outcomes.faults) == ("http_500", {"http_500": 3})
    assert talk(tmp_path, server, retries=2)[0][0].text == "yes"


@pytest.mark.parametrize("wish", ["seconds", "date"])
def test_a_wish_to_wait_is_honoured_by_all(tmp_path, serve, wish: str) -> None:
    times: list[float] = []

    def respond(request: Request, n: int) -> Reply:
        times.append(time.monotonic())
        header = "1" if wish == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return error(429, headers={"Retry-After": header}) if n == 0 else answer("yes")

    results, _ = talk(tmp_path, serve(respond), questions=4, concurrency=1)
    assert [r.text for r in results] == ["yes"] * 4
    assert min(times[1:]) - times[0] >= 0.9  # a date has no fractions of a second


def test_a_wish_beyond_patience_is_given_up(tmp_path, serve) -> None:
    for wish, told in (
        ("86400", "86400"),
        ("1e308", "1e+308"),
        ("inf", "inf"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "e+11"),
    ):
        server = serve(script(error(429, headers={"Retry-After": wish})))
        (lost,), _ = talk(tmp_path, server, max_wait_s=60)
        assert isinstance(lost, GaveUp)
        assert f"{told} s, which is above generate.max_wait_s" in str(lost)
        assert len(server.requests) == 1


def test_a_server_that_sends_in_circles_is_left(tmp_path, serve) -> None:
    server = serve(script(Reply(307, headers={"Location": "/v1/chat/completions"})))
    (lost,), client = talk(tmp_path, server, retries=1)
    assert isinstance(lost, GaveUp)
    assert client.outcomes.faults == {"connection": 2}
    assert len(server.requests) < 100


def test_a_wish_that_is_past_is_no_wait(tmp_path, serve) -> None:
    past = error(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    begin = time.monotonic()
    (done,), _ = talk(tmp_path, serve(script(past, error(503, headers={"Retry-After": "-7"}), answer("yes"))))
    assert done.text == "yes"
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (error(401, "expired"), r"401: expired.*generate\.key_env"),
        (error(403, "not yours"), r"generate\.key_env"),
        (error(404, "no such model"), r"no model 'm'.*generate\.model=NAME, or generate\.base_url"),
        (error(429, "pay", "insufficient_quota"), r"out of credit"),
        (error(402, "pay"), r"out of credit"),
    ],
)
def test_what_only_the_user_can_mend_stops_everything_at_once(tmp_path, serve, reply: Reply, names: str) -> None:
    stop, server = Stop(), serve(script(reply))
    results, _ = talk(tmp_path, server, questions=50, stop=stop, concurrency=2)
    assert len(server.requests) <= 2
    assert isinstance(stop.cause, Unrecoverable)
    with pytest.raises(UserError, match=names):
        raise stop.cause
    assert {type(r) for r in results} <= {Unrecoverable, Stopped}


def test_a_refused_request_fails_alone(tmp_path, serve) -> None:
    server = serve(lambda request, n: error(400, "maximum context length is 8") if n == 1 else answer("yes"))
    results, client = talk(tmp_path, server, questions=3, concurrency=1)
    assert [isinstance(r, RequestRefused) for r in results] == [False, True, False]
    assert client.outcomes.refused == {"context_length": 1}


def test_a_server_that_refuses_everything_stops_the_run(tmp_path, serve) -> None:
    stop = Stop()
    server = serve(script(error(400, "Unsupported parameter: seed")))
    talk(tmp_path, server, questions=100, stop=stop, concurrency=1)
    assert len(server.requests) == REFUSALS_IN_A_ROW
    assert "Unsupported parameter: seed" in str(stop.cause)


def test_silence_and_a_cut_answer_are_answers(tmp_path, serve) -> None:
    (silent,), _ = talk(tmp_path / "a", serve(script(answer(None))))
    (cut,), _ = talk(tmp_path / "b", serve(script(answer("def f(", "length"))))
    assert (silent.text, silent.finish_reason) == ("", "stop")
    assert (cut.text, cut.finish_reason) == ("def f(", "length")


def message(content: Any, finish: str | None = "stop", **more: Any) -> Reply:
    body = {"choices": [{"message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}]}
    return Reply(body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("reply", "text", "cut"),
    [
        (message([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab", False),
        (
            message(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "no"}]}, {"type": "text", "text": "a"}]
            ),
            "a",
            False,
        ),
        (message([{"type": "image_url", "image_url": {}}, {"type": "text", "text": None}]), "", False),
        (message(None, refusal="I will not."), "I will not.", False),
        (message(None, "tool_calls", tool_calls=[{"function": {"name": "python"}}]), "", True),
        (message("", "length", reasoning_content="Let me think."), "", True),
        (message("def f(", "content_filter"), "def f(", True),
        (message("def f(", "MAX_TOKENS"), "def f(", True),
        (message("def f(", None), "def f(", True),
        (message("yes", "eos_token"), "yes", False),
        (message("yes", "STOP"), "yes", False),
        (message("y" * 4 * 49), "y" * 4 * 49, False),
        (message("y" * 4 * 51), "y" * 4 * 51, False),
        (message("y" * 4 * 50), "y" * 4 * 50, True),  # as many tokens as it may have, whatever the server calls it
    ],
)
def test_an_answer_is_its_text_and_whole_where_the_server_says_that_it_ended(tmp_path, serve, reply: Reply, text: str, cut: bool) -> None:  # fmt: skip
    (done,), _ = talk(tmp_path, serve(script(reply)))
    assert (done.text, done.cut) == (text, cut)


@pytest.mark.parametrize("word", ["abort", "error", "insufficient_system_resource"])
def test_an_answer_that_the_server_broke_off_is_not_kept(tmp_path, serve, word: str) -> None:
    (done,), client = talk(tmp_path, serve(script(message("def f(", word), answer("whole"))))
    assert (done.text, client.outcomes.faults) == ("whole", {"broken_off": 1})


def test_a_server_that_repeats_the_key_tells_it_nobody(tmp_path, serve, monkeypatch, caplog) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for reply in (error(500, "key sk-secret"), Reply(body=b'{"key": "sk-secret"}'), Reply(body=b"sk-secret"), error(400, "sk-secret"), error(401, "sk-secret")):  # fmt: skip
        (failed,), _ = talk(tmp_path, serve(script(reply)), retries=0)
        assert "secret" not in f"{failed} {caplog.text}"
        assert "$OPENAI_API_KEY" in str(failed)


def test_what_came_in_place_of_an_answer_is_shown(tmp_path, serve) -> None:
    page = Reply(body=b"<html><title>Log in</title>", headers={"content-type": "text/html"})
    (lost,), _ = talk(tmp_path, serve(script(page)), retries=0)
    assert "<html><title>Log in</title>" in str(lost)


def test_tokens_that_the_server_does_not_count_are_estimated(tmp_path, serve) -> None:
    body = (
        b'{"choices": [{"message": {"content": "12345678"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "x"}}'
    )
    (done,), _ = talk(tmp_path, serve(script(Reply(body=body))))
    assert (done.tokens_in, done.tokens_out) == (2, 2)


def test_any_text_survives_the_cache(tmp_path, serve) -> None:
    for i, text in enumerate(("\ud800", "\x00\x1b[2J", "x" * 2_000_000)):
        first, _ = talk(tmp_path / str(i), serve(said(text)))
        again, client = talk(tmp_path / str(i), serve(said("other")))
        assert first == again
        assert client.outcomes.answered == 0


def test_concurrency_is_bounded(tmp_path, serve) -> None:
    server = serve(said(delay_s=0.02))
    talk(tmp_path, server, questions=20, concurrency=4)
    assert server.busiest == 4


def test_no_more_calls_are_made_than_the_budget_allows_and_the_next_run_goes_on(tmp_path, serve) -> None:
    server = serve(said(delay_s=0.01))
    stop = Stop()
    results, _ = talk(tmp_path, server, questions=10, stop=stop, spender="s", max_calls=4)
    assert [getattr(r, "text", None) for r in results] == ["yes"] * 4 + [None] * 6
    assert "generate.max_calls=4 is used up" in str(stop.cause)
    assert len(server.requests) == 4
    talk(tmp_path, server, questions=10, spender="s", max_calls=6)
    assert len(server.requests) == 6
    talk(tmp_path, server, questions=10, spender="another", max_calls=4)
    assert len(server.requests) == 10


@pytest.mark.parametrize("budget", [{"max_total_tokens": 21}, {"max_cost": 21.0}])
def test_tokens_and_money_have_budgets_that_one_call_may_pass(tmp_path, serve, budget: dict[str, Any]) -> None:
    server, stop = serve(said("x" * 4)), Stop()  # 11 tokens a call
    talk(tmp_path, server, questions=10, stop=stop, concurrency=1, price_in=1e6, price_out=1e6, **budget)
    assert f"generate.{next(iter(budget))}" in str(stop.cause)
    assert len(server.requests) == 2


def test_a_call_that_was_not_answered_leaves_its_place_in_the_budget() -> None:
    budget = Budget(max_calls=2)
    budget.begin()
    budget.begin()
    with pytest.raises(BudgetSpent):
        budget.begin()
    budget.settle(0, 0.0, answered=False)
    budget.begin()


def test_the_wish_to_stop_ends_waiting_and_lets_calls_in_flight_finish(tmp_path, serve) -> None:
    stop = Stop()

    def respond(request: Request, n: int) -> Reply:
        stop.set(KeyboardInterrupt())
        return answer("kept", delay_s=0.1)

    results, client = talk(tmp_path, serve(respond), questions=5, stop=stop, concurrency=1)
    assert [getattr(r, "text", type(r)) for r in results] == ["kept", Stopped, Stopped, Stopped, Stopped]
    assert client.outcomes.answered == 1
    begin = time.monotonic()
    stop = Stop()

    def fail(request: Request, n: int) -> Reply:
        stop.set(KeyboardInterrupt())
        return error(429, headers={"Retry-After": "30"})

    assert [type(r) for r in talk(tmp_path / "b", serve(fail), stop=stop)[0]] == [Stopped]
    assert time.monotonic() - begin < 5


def test_rates_space_calls_evenly() -> None:
    clock = [100.0]
    rate = Rate(120, lambda: clock[0])
    assert [rate.take(1) for _ in range(3)] == [0.0, 0.5, 1.0]
    rate.correct(-1)
    assert rate.take(1) == 1.0
    clock[0] = 200.0
    assert rate.take(60) == 0.0
    assert rate.take(1) == 30.0
    assert Rate(None).take(1e9) == 0.0


def test_a_rate_limit_holds_over_a_run(tmp_path, serve) -> None:
    begin = time.monotonic()
    talk(tmp_path, serve(said()), questions=6, requests_per_minute=600)
    assert time.monotonic() - begin >= 0.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("nan", None), ("", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thursday, 01-Jan-70 00:01:40 GMT", 90.0), ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=lambda: 10.0) == seconds


def test_a_wrong_clock_of_ours_changes_no_wait() -> None:
    sent, wanted = "Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:20 GMT"
    for clock in (0.0, 4e9):
        assert parse_retry_after(wanted, sent, now=lambda clock=clock: clock) == 20
    assert parse_retry_after("30", sent, now=lambda: 0.0) == 30


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_header_breaks_the_reader(value: str, date: str) -> None:
    seconds = parse_retry_after(value, date)
    assert seconds is None or seconds >= 0


@settings(deadline=None)
@given(st.integers(1, 2000), st.one_of(st.none(), st.floats(0, 60)))
def test_a_wait_is_never_shorter_than_the_wish_or_our_own_nor_longer_than_patience(
    tries: int, wish: float | None
) -> None:
    wait = backoff(tries, ServerFault("x", retry_after=wish), 60.0, random.Random(0))
    assert backoff(tries, ServerFault("x"), 60.0, random.Random(0)) <= wait <= 60 * 1.1 + 0.1
    assert wish is None or wait >= wish


def test_a_file_that_is_no_cache_is_named(tmp_path) -> None:
    (tmp_path / "c").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"is no cache of answers.*paths\.data=DIR"):
        RequestCache(tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE answers SET answer = '{'", "the answer under the key .* is none .*delete that row"),
        ("UPDATE answers SET answer = '{\"text\": \"x\"}'", "needs the field"),
        ("UPDATE answers SET answer = replace(answer, '\"tokens_in\": 10', '\"tokens_in\": \"many\"')", "of another type: tokens_in"),
        ("ALTER TABLE answers DROP COLUMN model", "is no cache of answers"),
    ],
)  # fmt: skip
def test_a_cache_that_somebody_has_changed_is_told_by_its_row(tmp_path, serve, change: str, told: str) -> None:
    talk(tmp_path, serve(said()))
    with sqlite3.connect(tmp_path / "answers.sqlite") as database:
        database.execute(change)
    database.close()
    server, stop = serve(said()), Stop()
    with pytest.raises(UserError, match=told):
        raise talk(tmp_path, server, stop=stop)[0][0]
    assert server.requests == []


def test_a_cache_where_nothing_can_be_written_is_replayed_and_stays_as_it_is(tmp_path, serve, monkeypatch) -> None:
    (first,), _ = talk(tmp_path, serve(said()))
    path = tmp_path / "answers.sqlite"
    before = path.read_bytes()
    monkeypatch.setattr("iterpref.codeflow.generate.cache.os.access", lambda path, mode: False)
    backend = ReplayBackend("m", path)
    assert asyncio.run(backend.complete(ASK, PARAMS)) == first
    asyncio.run(backend.close())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["answers.sqlite"]
    (tmp_path / "answers.sqlite-wal").write_bytes(b"newer")
    with pytest.raises(UserError, match="copy both files"):
        ReplayBackend("m", path)


def test_another_model_behind_the_same_name_is_told_also_by_a_later_run(tmp_path, serve, caplog) -> None:
    def called(name: str) -> Reply:
        return Reply(body=answer("yes").body.replace(b"stand-in", name.encode()))

    talk(tmp_path, serve(script(called("m-1"))), questions=2)
    assert caplog.messages == []
    results, _ = talk(tmp_path, serve(script(called("m-2"))), questions=4, concurrency=1)
    (line,) = caplog.messages
    assert "generate.model=m: the server now calls it m-2, and m-1 before" in line
    assert [r.served for r in results] == ["m-1", "m-1", "m-2", "m-2"]


def test_no_key_for_a_hosted_server_is_told_before_any_call(monkeypatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(Unrecoverable, match=r"no key in \$NO_KEY"):
        asyncio.run(OpenAIBackend("m", None, key_env="NO_KEY").complete(ASK, PARAMS))


def test_an_address_where_nobody_listens_is_a_fault(tmp_path) -> None:
    with pytest.raises(ServerFault, match="connection"):
        asyncio.run(OpenAIBackend("m", "http://127.0.0.1:9/v1").complete(ASK, PARAMS))
