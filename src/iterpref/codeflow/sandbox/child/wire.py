"""How the test process tells its supervisor what happens: frames `token | length | fields`, in the order of events.

A frame cannot be taken back, so a program that rewrites the collector's memory cannot undo a failure that was told. The
token keeps bytes that a program sprays over every open descriptor from passing for a frame.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# First field of a frame; what follows it in brackets.
READY = "ready"  # [] the walls stand, no line of the task ran yet
COMPILE = "compile"  # [message] a file is not Python
ABORT = "abort"  # [kind, message, cause] an exception outside of any test: while importing, or a KeyboardInterrupt
VALUE = "value"  # [index, JSON of the tagged value] what one call returned
START = "start"  # [test]
STOP = "stop"  # [test, its microseconds]
PASS = "pass"  # [test]
FAIL = "fail"  # [test, message]
ERROR = "error"  # [test, kind, message, cause]
SKIP = "skip"  # [test, reason]
EXIT = "exit"  # [what] SystemExit
TAMPER = "tamper"  # [what]
CANARIES = "canaries"  # [] from here on every test must fail
DONE = "done"  # [lines run, executable lines]

# `cause` of an exception that a limit brought about.
MEMORY, PROCESSES = "memory", "processes"

TOKEN_BYTES = 16

RUN = b"R"  # a run follows, or comes along


def write_all(descriptor: int, data: bytes) -> None:
    """`os.write` until all is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_part(descriptor: int, data: bytes) -> None:
    """One message: its length in 8 bytes, then itself."""
    write_all(descriptor, len(data).to_bytes(8, "big") + data)


def read_line(channel: socket.socket) -> dict[str, Any]:
    """One line of JSON; empty where the other side has gone."""
    line = b""
    while not line.endswith(b"\n"):
        data = channel.recv(1 << 16)
        if not data:
            return {}
        line += data
    message: dict[str, Any] = json.loads(line)
    return message


def read_part(descriptor: int) -> bytes:
    """One message. On the bare descriptor: a buffered reader would take along what the next reader is meant to read.
    Ends the process where the other side has gone."""
    data, size = b"", 8
    while len(data) < size:
        part = os.read(descriptor, min(size - len(data), 1 << 20))
        if not part:
            os._exit(4)
        data += part
        if size == 8 and len(data) == 8:
            size += int.from_bytes(data, "big")
    return data[8:]


def file_of(data: bytes) -> int:
    """An open file without a name."""
    try:
        descriptor = os.memfd_create("task")
    except (AttributeError, OSError):  # not Linux, or refused here
        import tempfile  # here: it takes milliseconds

        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    write_all(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read_file(descriptor: int) -> bytes:
    """All of an open file."""
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    while len(data) < os.fstat(descriptor).st_size:
        data += os.pread(descriptor, 1 << 30, len(data))
    return data


def make_emit(descriptor: int, token: bytes) -> Callable[..., None]:
    """A function that sends one frame. All it needs is bound here, before any code of the task can patch it."""
    write, getpid, leave = os.write, os.getpid, os._exit
    owner = getpid()

    def emit(*fields: str) -> None:
        if getpid() != owner:
            # A child that the task forked, and that ran back into us; with an exception it ends as it would anywhere.
            leave(1 if fields[0] == ABORT else 0)
        payload = b"\0".join([f.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00") for f in fields])
        frame = token + len(payload).to_bytes(4, "big") + payload
        while frame:
            frame = frame[write(descriptor, frame) :]

    return emit


# Bytes that a frame counts for beyond its own: the objects made of it take more room than they carry.
FRAME_COST = 128


class Decoder:
    """Bytes in, `frames` out, up to the first byte that the collector did not write: from there on it is `forged`."""

    def __init__(self, token: bytes, limit: int) -> None:
        self.frames: list[list[str]] = []
        self.forged = False
        self._token = token
        self._rest = bytearray()
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> None:
        if self.forged:
            return  # a flood must not fill our memory
        self._size += len(data)
        self._rest += data
        start, head = 0, TOKEN_BYTES + 4
        while len(self._rest) >= start + head and not self.forged:
            size = int.from_bytes(self._rest[start + TOKEN_BYTES : start + head], "big")
            if self._rest[start : start + TOKEN_BYTES] != self._token or self._size > self._limit:
                self.forged = True
            elif len(self._rest) < start + head + size:
                break
            else:
                payload = self._rest[start + head : start + head + size]
                self.frames.append(payload.decode("utf-8", "replace").split("\0"))
                self._size += FRAME_COST
                start += head + size
        del self._rest[: len(self._rest) if self.forged else start]
