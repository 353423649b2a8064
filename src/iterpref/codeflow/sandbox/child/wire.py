"""How the test process tells its supervisor what happens: frames `token | length | fields`, in the order of events.

A frame cannot be taken back, so a program that rewrites the collector's memory cannot undo a failure that was told. The
token keeps bytes that a program sprays over every open descriptor from passing for a frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable

# First field of a frame; what follows it in brackets.
READY = "ready"  # [] the walls stand, no line of the task ran yet
COMPILE = "compile"  # [message] a file is not Python
ABORT = "abort"  # [kind, message, cause] an exception outside of any test: while importing, or a KeyboardInterrupt
START = "start"  # [test]
STOP = "stop"  # [test]
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
MAX_FRAME = 1 << 16
MAX_TOTAL = 8 << 20


def make_emit(descriptor: int, token: bytes) -> Callable[..., None]:
    """A function that sends one frame. All it needs is bound here, before any code of the task can patch it."""
    write, getpid, leave = os.write, os.getpid, os._exit
    owner = getpid()

    def emit(*fields: str) -> None:
        if getpid() != owner:
            leave(0)  # a child that the task forked, and that ran back into us
        payload = b"\0".join([f.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00") for f in fields])
        frame = token + len(payload).to_bytes(4, "big") + payload
        while frame:
            frame = frame[write(descriptor, frame) :]

    return emit


class Decoder:
    """Bytes in, `frames` out, up to the first byte that the collector did not write: from there on it is `forged`."""

    def __init__(self, token: bytes) -> None:
        self.frames: list[list[str]] = []
        self.forged = False
        self._token = token
        self._rest = b""
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        self._rest += data
        head = TOKEN_BYTES + 4
        while len(self._rest) >= head and not self.forged:
            size = int.from_bytes(self._rest[TOKEN_BYTES:head], "big")
            if self._rest[:TOKEN_BYTES] != self._token or size > MAX_FRAME or self._size > MAX_TOTAL:
                self.forged = True
            elif len(self._rest) < head + size:
                break
            else:
                self.frames.append(self._rest[head : head + size].decode("utf-8", "replace").split("\0"))
                self._rest = self._rest[head + size :]
        if self.forged:
            self._rest = b""  # a flood must not fill our memory
