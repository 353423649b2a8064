"""The process between the sandbox and the test process: forks it, drains it, kills what is left of it, and reports.

It never runs a line of the task. The nonce that makes a report valid is read only after the fork, so it was never in
the test process's memory; where both are one user, PR_SET_DUMPABLE keeps the test process out of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Collection

from . import confine, wire
from .runner import N_CANARIES, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 16
SWEEP_S = 2.0  # how long we go on killing a program that forks faster than we look


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


def supervise(folder: str, lifeline: int, at_start: Collection[str]) -> Callable[[], None]:
    """Returns in the forked test process only, with what it has to do next."""
    config = json.loads(_read_part())
    config["folder"] = folder
    parent = os.getppid()
    token = os.urandom(wire.TOKEN_BYTES)
    confine.prctl(confine.PR_SET_DUMPABLE, 0)
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    pipes = [os.pipe() for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        try:
            return prepare(config, (pipes[0][1], pipes[1][1], pipes[2][1]), token, at_start)
        except BaseException as error:
            os.write(2, f"walls: {error!r}".encode())
            os._exit(3)
    for _, write_end in pipes:
        os.close(write_end)
    watch = Watch(pid, config, token, [read_end for read_end, _ in pipes], lifeline, parent)
    nonce = _read_part().decode()
    watch.until_the_end()
    watch.kill_everything()
    watch.drain()
    if watch.killed == "orphan" or os.getppid() != parent:
        import shutil  # here: only an orphan cleans up in its parent's stead

        shutil.rmtree(folder, ignore_errors=True)
    report = json.dumps({"nonce": nonce, **watch.report()}).encode()
    while report:
        report = report[os.write(1, report) :]
    os._exit(0)


def _read_part() -> bytes:
    # os.read on the bare descriptor: a buffered reader would take the nonce along before the fork.
    data, size = b"", 8
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(4)
        data += part
        if size == 8 and len(data) == 8:
            size += int.from_bytes(data, "big")
    return data[8:]


class Watch:
    """Everything about one test process, from its fork to its report."""

    def __init__(
        self, pid: int, config: dict[str, Any], token: bytes, pipes: list[int], lifeline: int, parent: int
    ) -> None:
        self.pid, self.config, self.lifeline, self.parent = pid, config, lifeline, parent
        self.started = time.monotonic()
        self.out, self.err = (Stream(config["output_kb"] << 10) for _ in range(2))
        self.events = wire.Decoder(token)
        self.open: dict[int, Stream | wire.Decoder] = dict(zip(pipes, (self.out, self.err, self.events), strict=True))
        self.status: int | None = None
        self.usage: resource.struct_rusage | None = None
        self.killed = ""
        self.processes = 0
        self.poll = select.poll()
        wake, self.alarm = os.pipe()
        for descriptor in (wake, self.alarm):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.alarm, warn_on_full_buffer=False)
        self.wake = wake
        for descriptor in (*self.open, wake, lifeline):
            self.poll.register(descriptor, select.POLLIN)

    def until_the_end(self) -> None:
        """Waits for the test process to end, or for a reason to end it."""
        deadline = self.started + self.config["wall_s"]
        self.reap()  # it may have ended before SIGCHLD had a handler
        while self.status is None and not self.killed:
            left = deadline - time.monotonic()
            if left <= 0:
                self.killed = "wall"
            elif os.getppid() != self.parent:
                self.killed = "orphan"  # a forked sibling may hold the lifeline open after our parent's death
            else:
                self._step(min(left, 1.0))

    def _step(self, seconds: float) -> None:
        for descriptor, _ in self.poll.poll(seconds * 1000 + 1):
            if descriptor == self.lifeline:
                self.killed = "cancelled"
            elif descriptor == self.wake:
                os.read(self.wake, CHUNK)
            else:
                self._read(descriptor)
        self.reap()
        if self.out.exceeded or self.err.exceeded:
            self.killed = "output"
        if self.events.forged:
            self.killed = "forged"

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, CHUNK)
        if data:
            self.open[descriptor].feed(data)
        else:
            self.poll.unregister(descriptor)
            del self.open[descriptor]

    def reap(self) -> bool:
        """Collects whoever ended, orphans included; False when there is nobody left to wait for."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status, self.usage = status, usage

    def kill_everything(self) -> None:
        """No process of the program lives on, whatever session or parent it chose."""
        deadline = time.monotonic() + SWEEP_S
        while self.reap() and time.monotonic() < deadline:
            family = descendants() if confine.ON_LINUX else {self.pid: 1}
            self.processes = max(self.processes, sum(family.values()))
            if self.config["own_uid"]:
                _kill_user(self.config["uid"])
            for kill, pid in [(os.killpg, self.pid), *((os.kill, pid) for pid in family)]:
                with contextlib.suppress(OSError):  # gone meanwhile
                    kill(pid, signal.SIGKILL)
            time.sleep(0.001)

    def drain(self) -> None:
        """What the dead wrote before; nobody holds the other ends any more, so that this comes to an end."""
        deadline = time.monotonic() + 1.0
        while self.open and time.monotonic() < deadline:
            for descriptor in list(self.open):
                if select.select([descriptor], [], [], 0)[0]:
                    self._read(descriptor)

    def report(self) -> dict[str, Any]:
        usage = self.usage
        scale = 1 << 10 if confine.ON_LINUX else 1 << 20  # ru_maxrss is in KiB there, in bytes on macOS
        return {
            "frames": self.events.frames,
            "forged": self.events.forged,
            "n_canaries": N_CANARIES,
            "stdout": bytes(self.out.head).decode("utf-8", "replace"),
            "stderr": bytes(self.err.head).decode("utf-8", "replace"),
            "exceeded": [name for name, s in (("stdout", self.out), ("stderr", self.err)) if s.exceeded],
            "killed": self.killed,
            "signal": os.WTERMSIG(self.status) if self.status is not None and os.WIFSIGNALED(self.status) else 0,
            "exit": os.WEXITSTATUS(self.status) if self.status is not None and os.WIFEXITED(self.status) else None,
            "cpu_s": usage.ru_utime + usage.ru_stime if usage else 0.0,
            "peak_mb": usage.ru_maxrss / scale if usage else None,
            "processes": self.processes,
        }


def descendants() -> dict[int, int]:
    """Pid -> number of threads of all below us. As a subreaper we adopt every orphan: nobody can leave this tree."""
    children: dict[int, list[int]] = {}
    threads: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The second field is the program's name, and may hold blanks and brackets.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(name))
            threads[int(name)] = int(fields[17])
    found: dict[int, int] = {}
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update((pid, threads[pid]) for pid in below)
        todo += below
    return found


def _kill_user(uid: int) -> None:
    """All processes of a user at one stroke: no fork is fast enough to slip through."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
