"""Watches one run from outside of everything that the run can reach: drains its pipes, keeps its limits, reports."""

from __future__ import annotations

import json
import os
import select
import socket
import time

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 16
LOOK_S = 0.05  # how often we ask what a long run uses
PATIENCE = 5  # the wall limit at most this many times over, for a program that waits for a busy machine
STUCK_S = 10.0  # a zygote that does not answer for so long is of no more use


class ZygoteGone(Exception):
    """The zygote ended, or does not answer: there is no verdict."""


class Stream:
    """One of the program's output pipes; keeps the first `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.head = bytearray()
        self.exceeded = False

    def feed(self, data: bytes) -> None:
        room = self.limit - len(self.head)
        self.head += data[:room]
        self.exceeded = self.exceeded or len(data) > room


class Watch:
    """Everything about one run, from its fork to its report. `task`: what only the forked child reads."""

    def __init__(
        self, limits: dict[str, Any], task: bytes, channel: socket.socket, tasks: socket.socket, parent: int
    ) -> None:
        self._limits, self._channel, self._parent = limits, channel, parent
        self._out, self._err = (Stream(limits["output_kb"] << 10) for _ in range(2))
        token = os.urandom(wire.TOKEN_BYTES)
        self._events = wire.Decoder(token, limits["report_mb"] << 20)
        ends = [os.pipe() for _ in range(3)]
        sinks = (self._out, self._err, self._events)
        self._open: dict[int, Stream | wire.Decoder] = {
            reading: sink for (reading, _), sink in zip(ends, sinks, strict=True)
        }
        writing = [end for _, end in ends]
        passed = [wire.file_of(token + task), *writing]
        self._killed = ""
        self._look: dict[str, float] = {"cpu_s": 0.0, "grown_mb": 0.0, "waited_s": 0.0}
        self._end: dict[str, Any] | None = None
        self._said = b""
        self._started = self._asked = time.monotonic()
        self._poll = select.poll()
        for descriptor in (*self._open, channel.fileno()):
            self._poll.register(descriptor, select.POLLIN)
        # Our parent writes to 0 only between runs: until then it can but hang up, and so end the run.
        self._poll.register(0, 0)
        try:
            socket.send_fds(tasks, [wire.RUN], passed)
        except OSError as error:
            raise ZygoteGone from error
        finally:
            for descriptor in passed:
                os.close(descriptor)

    def until_the_end(self) -> None:
        """Waits for the run to end, or for a reason to end it. Raises `ZygoteGone`."""
        while self._end is None:
            self._step(LOOK_S)
            self._killed = self._killed or self._reason()
            if self._killed:
                self._ask(wire.KILL)
                break
            if time.monotonic() - self._asked >= LOOK_S:
                self._ask(wire.LOOK)
        deadline = time.monotonic() + STUCK_S
        while self._end is None:
            self._step(LOOK_S)
            if time.monotonic() > deadline:
                raise ZygoteGone
        self._drain()

    def _reason(self) -> str:
        """Why the run must end now, or ""."""
        elapsed, limits = time.monotonic() - self._started, self._limits
        if self._out.exceeded or self._err.exceeded:
            return "output"
        if self._events.forged:
            return "forged"
        if self._look["cpu_s"] >= limits["cpu_s"]:
            return "cpu"
        if self._look["grown_mb"] >= limits["memory_mb"]:
            return "memory"
        # A program that had to wait for a core is not slow.
        if elapsed - min(self._look["waited_s"], elapsed * (1 - 1 / PATIENCE)) >= limits["wall_s"]:
            return "wall"
        return "orphan" if os.getppid() != self._parent else ""

    def _ask(self, what: bytes) -> None:
        self._asked = time.monotonic()
        try:
            self._channel.sendall(what)
        except OSError as error:
            raise ZygoteGone from error

    def _step(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == 0:
                self._killed = self._killed or "cancelled"
                self._poll.unregister(0)
            elif descriptor == self._channel.fileno():
                self._listen()
            else:
                self._read(descriptor)

    def _listen(self) -> None:
        data = self._channel.recv(CHUNK)
        if not data:
            raise ZygoteGone
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self._look = message.get("look", self._look)
            self._end = message.get("end", self._end)

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, CHUNK)
        if data:
            self._open[descriptor].feed(data)
        else:
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._open[descriptor]
        os.close(descriptor)

    def _drain(self) -> None:
        """What the dead wrote before; nobody holds the other ends any more, so that this comes to an end."""
        for descriptor in list(self._open):
            os.set_blocking(descriptor, False)
            while descriptor in self._open:
                try:
                    self._read(descriptor)
                except BlockingIOError:  # somebody does hold it: of what is not dead by now nothing is wanted
                    self._forget(descriptor)

    def report(self) -> dict[str, Any]:
        """Everything that the verdict is made of, in plain types. Raises `ZygoteGone` when the run never began: its task
        may then still be waiting for somebody to take it."""
        if self._end is None or not self._events.frames:
            raise ZygoteGone(bytes(self._err.head[-300:]).decode("utf-8", "replace"))
        streams = (("stdout", self._out), ("stderr", self._err))
        return {
            "frames": self._events.frames,
            "forged": self._events.forged,
            "stdout": bytes(self._out.head).decode("utf-8", "replace"),
            "stderr": bytes(self._err.head).decode("utf-8", "replace"),
            "exceeded": [name for name, stream in streams if stream.exceeded],
            "killed": self._killed,
            "wall_s": time.monotonic() - self._started,
            **self._end,
        }
