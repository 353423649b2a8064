"""The HTTP client under the `openai` client: its faster transport where there is one, and no body that could fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

MAX_BODY = 64 << 20  # bytes, unpacked: a hundred times what `answer.MAX_ANSWER` lets through
_PIECE = 1 << 20  # unpacked at once
_PACKED = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class BadBody(Exception):
    """A body that is not read to its end. `reason` is a word for the statistics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def http_client(openai: Any) -> Any:
    """An httpx client. That of aiohttp takes half the CPU time of a call, where it is installed."""
    try:
        client = openai.DefaultAioHttpClient()
    except RuntimeError:
        client = openai.DefaultAsyncHttpxClient()
    client.headers["accept-encoding"] = ", ".join(_PACKED)
    client.event_hooks = {"response": [_bound]}
    return client


@cache
def transport_errors() -> tuple[type[Exception], ...]:
    """What a transport raises beside httpx's errors, as aiohttp does over a head that is no HTTP."""
    try:
        import aiohttp
    except ImportError:
        return ()
    return (aiohttp.ClientError,)


async def _bound(response: Any) -> None:
    """Puts a stream that ends with `BadBody` in place of the response's own, whatever its status."""
    packed = response.headers.pop("content-encoding", "identity").strip().lower()
    stream = response.stream
    # The class that httpx, or httpx2 under newer clients, asks a stream to be of.
    base = next(c for c in type(stream).__mro__ if c.__name__ == "AsyncByteStream")
    response.stream = _bounded(base)(stream, packed)


@cache
def _bounded(base: type) -> type:
    class Bounded(base):  # type: ignore[misc]
        def __init__(self, stream: Any, packed: str) -> None:
            self._stream, self._packed = stream, packed

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size, unpack = 0, _unpacker(self._packed)
            async for part in self._stream:
                for piece in unpack(part):
                    size += len(piece)
                    if size > MAX_BODY:
                        raise BadBody("body_too_long", f"more than {MAX_BODY >> 20} MiB")
                    yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded


def _unpacker(packed: str) -> Any:
    """From a part of the body to what it holds, piece by piece: a few packed bytes may hold gigabytes."""
    if packed == "identity":
        return lambda part: iter((part,))
    if packed not in _PACKED:
        raise BadBody("malformed_body", f"packed as {packed[:40]}, which nobody asked for")
    inner = zlib.decompressobj(_PACKED[packed])

    def unpack(part: bytes) -> Iterator[bytes]:
        try:
            while part:
                yield inner.decompress(part, _PIECE)
                part = inner.unconsumed_tail
        except zlib.error as error:
            raise BadBody("malformed_body", str(error)) from None

    return unpack
