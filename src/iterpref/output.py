"""What a command prints, and the reader who may leave before its end, as `| head` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

READER_GONE = 141  # what a shell shows for a program that SIGPIPE ended


class _Stream:
    """The stream, whose reader's end is the process's: `SystemExit`, which neither logging nor rich takes for a fault of theirs.

    SIGPIPE itself stays ignored: it would also end us where a program of the sandbox, or a server, has hung up.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._or_end(self._stream.write, text)

    def writelines(self, lines: Any) -> None:
        self._or_end(self._stream.writelines, lines)

    def flush(self) -> None:
        self._or_end(self._stream.flush)

    def _or_end(self, do: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return do(*arguments)
        except BrokenPipeError:
            # What is left in its buffer must go somewhere when Python flushes it at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            raise SystemExit(READER_GONE) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Within, a write to standard output or error that nobody reads any more ends the process quietly, with `READER_GONE`."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_ending, before)
    try:
        yield
    except BaseException as end:
        # An error says more than that its reader has left.
        with suppress(SystemExit) if getattr(end, "code", 1) else nullcontext():
            _flush()
        raise
    else:
        _flush()
    finally:
        sys.stdout, sys.stderr = before


def _ending(stream: Any) -> Any:
    # None: the process was started without it.
    return stream if stream is None or isinstance(stream, _Stream) else _Stream(stream)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
