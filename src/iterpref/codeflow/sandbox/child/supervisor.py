"""Watches one run from outside of everything that the run can reach: drains its pipes, keeps its limits, reports."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time

from . import processes, wire

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
    """Everything about one run, from its fork to its report. `task`: what only the forked child reads. `number`:
    which run of the server this is, from 0."""

    def __init__(
        self,
        limits: dict[str, Any],
        task: bytes,
        channel: socket.socket,
        tasks: socket.socket,
        zygote: int,
        parent: int,
        number: int,
    ) -> None:
        self._number = number
        self._limits, self._channel, self._zygote, self._parent = limits, channel, zygote, parent
        self._out, self._err = (Stream(limits["output_kb"] << 10) for _ in range(2))
        token = os.urandom(wire.TOKEN_BYTES)
        self._events = wire.Decoder(token, limits["report_mb"] << 20)
        ends = [os.pipe() for _ in range(3)]
        sinks: tuple[Stream | wire.Decoder, ...] = (self._out, self._err, self._events)
        self._open: dict[int, Stream | wire.Decoder] = {
            reading: sink for (reading, _), sink in zip(ends, sinks, strict=True)
        }
        writing = [end for _, end in ends]
        passed = [wire.file_of(token + task), *writing]
        self._killed = ""
        self._use = Use()
        self._end: list[int] | None = None
        self._said = b""
        self._started = self._looked = time.monotonic()
        self._ended_cpu_s = -1.0  # of the zygote's earlier children; not known before the first look
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
        while self._end is None and not self._killed:
            self._step(LOOK_S)
            if time.monotonic() - self._looked >= LOOK_S:
                self._look()
            if self._end is None:
                self._killed = self._killed or self._reason()
        deadline = time.monotonic() + STUCK_S
        if self._end is None:
            # Once only: the test process is among them, and with it ended the zygote ends whatever is left. What it
            # forks after that waits for the next run.
            for pid in processes.descendants(self._zygote):
                with contextlib.suppress(OSError):  # gone meanwhile
                    os.kill(pid, signal.SIGKILL)
            if self.hung_up and not self._events.frames:
                raise ZygoteGone("called off before it began")  # whoever is forked next would begin it
        while self._end is None:
            self._step(LOOK_S)
            if time.monotonic() > deadline:
                raise ZygoteGone("no answer")
        self._drain()

    @property
    def hung_up(self) -> bool:
        """Whether our parent is gone, or wants no more of this run."""
        return self._killed in ("cancelled", "orphan")

    def _reason(self) -> str:
        """Why the run must end now, or ""."""
        elapsed, limits = time.monotonic() - self._started, self._limits
        if self._out.exceeded or self._err.exceeded:
            return "output"
        if self._events.forged:
            return "forged"
        if self._use.cpu_s >= limits["cpu_s"]:
            return "cpu"
        if self._use.grown_mb >= limits["memory_mb"]:
            return "memory"
        # A program that had to wait for a core is not slow, unless it was for children of its own that nobody counted.
        if elapsed - min(self._use.waited_s, elapsed * (1 - 1 / PATIENCE)) >= limits["wall_s"]:
            return "wall"
        if elapsed >= limits["wall_s"] and any(map(processes.forgets_children, processes.family(self._zygote))):
            return "wall"
        return "orphan" if os.getppid() != self._parent else ""

    def _look(self) -> None:
        """What all processes of the run use together; the kernel limits each of them by itself only."""
        self._looked = time.monotonic()
        zygote = processes.process(self._zygote)
        if zygote is None:
            return  # no /proc, or it ended: then its channel tells
        family = processes.family(self._zygote)
        if self._ended_cpu_s < 0:
            self._ended_cpu_s = zygote.ended_cpu_s
        self._use.update(family, zygote.ended_cpu_s - self._ended_cpu_s, zygote.resident_mb)

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
        self._said += data
        if self._said.endswith(b"\n"):
            number, *self._end = [int(word) for word in self._said.split()]
            if number != self._number or len(self._end) != 4:
                raise ZygoteGone("the end of another run")  # we killed a child that was waiting for its task

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
        status, cpu_us, peak_kb, n_left = self._end
        streams = (("stdout", self._out), ("stderr", self._err))
        return {
            "frames": self._events.frames,
            "forged": self._events.forged,
            "stdout": bytes(self._out.head).decode("utf-8", "replace"),
            "stderr": bytes(self._err.head).decode("utf-8", "replace"),
            "exceeded": [name for name, stream in streams if stream.exceeded],
            "killed": self._killed,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "cpu_s": cpu_us / 1e6,
            "waited_s": self._use.waited_s,
            "peak_mb": peak_kb / 1024,
            "processes": max(n_left, self._use.processes),
        }


class Use:
    """What a run was seen to use so far: CPU seconds, MiB that it grew by, the longest wait of a thread for a core in
    seconds, the most processes and threads at once."""

    def __init__(self) -> None:
        self.cpu_s = self.grown_mb = self.waited_s = 0.0
        self.processes = 0

    def update(self, family: dict[int, processes.Process], ended_cpu_s: float, shared_mb: float) -> None:
        """`family`: the run's living processes. `shared_mb`: what each of them has from the zygote."""
        living = family.values()
        self.cpu_s = ended_cpu_s + sum(process.cpu_s + process.ended_cpu_s for process in living)
        self.grown_mb = sum(max(process.resident_mb - shared_mb, 0.0) for process in living)
        self.waited_s = max(self.waited_s, max(map(processes.waited_s, family), default=0.0))
        self.processes = max(self.processes, sum(process.threads for process in living))
