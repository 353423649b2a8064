"""A server that stands in for a language model: OpenAI's chat completions on the loopback, with any fault one likes.

For the tests of CodeFlow and its bench.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Request = dict[str, Any]  # the JSON body of a request


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    `hang_up_after`: bytes of the body before the connection is reset. `raw`: what it sends in place of head and body, and then
    nothing more.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang_up_after: int | None = None
    raw: bytes = b""


def answer(text: str | None, finish_reason: str = "stop", **reply: Any) -> Reply:
    """A well-formed answer; a token for each four characters."""
    tokens = len(text or "") // 4
    body = {
        "id": "x", "object": "chat.completion", "created": 0, "model": "stand-in",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens},
    }  # fmt: skip
    return Reply(body=json.dumps(body).encode(), **reply)


def error(status: int, message: str = "no", code: str = "", **reply: Any) -> Reply:
    return Reply(status, json.dumps({"error": {"message": message, "code": code}}).encode(), **reply)


class ChatServer:
    """Serves from a thread of its own. `respond(request, n)` says what to do with the n-th request (from 0).

    `requests` holds the bodies in the order of their arrival, `busiest` the most that were in work at once.
    """

    def __init__(self, respond: Callable[[Request, int], Reply]) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self.busiest = self._busy = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
        request = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        number = len(self.requests)
        self.requests.append(request)
        self.headers.append(headers)
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            reply = self.respond(request, number)
            await asyncio.sleep(reply.delay_s)
        finally:
            self._busy -= 1
        if reply.raw:
            writer.write(reply.raw)
            await writer.drain()
            return True
        lines = [f"HTTP/1.1 {reply.status} X", f"content-length: {len(reply.body)}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body[: reply.hang_up_after])
        await writer.drain()
        if reply.hang_up_after is not None:
            writer.transport.abort()
            return False
        return True

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> ChatServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
