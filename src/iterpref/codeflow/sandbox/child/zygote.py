"""The process that programs are forked from. It knows of a run only that there is one.

The child for the next run is forked as soon as the run before has ended, and waits for its task: the fork costs no time
of a run's own. No two runs are ever alive together.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection

from . import confine, linux, processes, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .namespaces import Namespaces
    from .walls import Plain

# What short programs import most: ready before the first run, it costs no run anything. Each megabyte here costs every
# run its share of a fork, so `asyncio` and `unittest.mock` are not among them.
COMMON = (
    "abc", "ast", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum",
    "fractions", "functools", "heapq", "io", "itertools", "json", "math", "operator", "random", "re", "string",
    "textwrap", "threading", "time", "traceback", "types", "typing", "unittest", "warnings",
)  # fmt: skip
SWEEP_S = 2.0  # how long we go on killing a program that forks faster than we look


def run(
    walls: Plain | Namespaces,
    setup: dict[str, Any],
    channel: socket.socket,
    tasks: socket.socket,
    at_start: Collection[str],
    forget: Callable[[], None],
) -> Callable[[], None]:
    """Forks a child for each task, until the other end of `channel` closes. Returns in such a child only."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(0)
    os.close(1)
    handlers: list[dict[str, Any]] = []
    try:
        walls.split()
        sys.path += setup["packages"]
        with _fork_handlers(handlers):
            for name in (*(COMMON if setup["warm"] else ()), *setup["preload"]):
                importlib.import_module(name)
        from . import runner  # after the modules that it seals

        os.environ.pop("LD_BIND_NOW", None)
        judge = runner.Judge(walls, confine.address_space_mb(), {*at_start, *setup["preload"]}, handlers)
    except BaseException as error:
        _say(channel, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    forget()
    _say(channel, {"ready": True, "python": sys.version.split()[0], "n_canaries": judge.n_canaries})
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what we share
    gc.disable()
    while True:
        walls.before_fork()
        pid = os.fork()
        if pid == 0:
            os.close(channel.detach())
            return judge.prepare(tasks)
        _Run(pid, walls, channel).until_the_end()


class _Run:
    """One test process and its offspring."""

    def __init__(self, pid: int, walls: Plain | Namespaces, channel: socket.socket) -> None:
        self._pid, self._walls, self._channel = pid, walls, channel
        self._status: int | None = None
        self._peak_mb: float | None = None
        self._waited_s = 0.0
        self._before = _cpu_of_the_ended()

    def until_the_end(self) -> None:
        """Answers the supervisor's questions until the test process ends; then ends what is left, and says so."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        pidfd = -1
        if hasattr(os, "pidfd_open"):
            pidfd = os.pidfd_open(self._pid)
            poll.register(pidfd, select.POLLIN)
        while self._status is None:
            ready = [descriptor for descriptor, _ in poll.poll(1000 if pidfd >= 0 else 5)]
            if self._channel.fileno() in ready:
                command = self._channel.recv(1)
                if command == wire.LOOK:
                    _say(self._channel, {"look": self._look()})
                elif command == wire.KILL:
                    break
                elif not command:
                    self._kill_all()
                    os._exit(0)
            self._reap()
        n_processes = self._kill_all()
        if pidfd >= 0:
            os.close(pidfd)
        status = self._status if self._status is not None else signal.SIGKILL
        _say(self._channel, {"end": {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "cpu_s": _cpu_of_the_ended() - self._before,
            "waited_s": self._waited_s,
            "peak_mb": self._peak_mb,
            "processes": n_processes,
        }})  # fmt: skip

    def _look(self) -> dict[str, Any]:
        """CPU time, growth and waiting of all processes of the run; the kernel limits each by itself only."""
        family = processes.descendants()
        living = family.values()
        # What a fork shares with us is counted once, as ours.
        shared_mb = min((process.resident_mb for process in living), default=0.0)
        self._waited_s = max(self._waited_s, max((processes.waited_s(pid) for pid in family), default=0.0))
        return {
            "cpu_s": _cpu_of_the_ended() - self._before + sum(process.cpu_s for process in living),
            "grown_mb": sum(process.resident_mb - shared_mb for process in living) if len(family) > 1 else 0.0,
            "waited_s": self._waited_s,
        }

    def _reap(self) -> bool:
        """Collects whoever ended, orphans included; False when there is nobody left to wait for."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    return True
                if ended.si_pid == self._pid:
                    self._waited_s = max(self._waited_s, processes.waited_s(self._pid))
                pid, status, usage = os.wait4(ended.si_pid, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == self._pid:
                self._status = status
                self._peak_mb = usage.ru_maxrss / (1 << 10 if linux.ON_LINUX else 1 << 20)  # KiB, on macOS bytes

    def _kill_all(self) -> int:
        """No process of the run lives on, whatever session or parent it chose."""
        n_processes = 0
        deadline = time.monotonic() + SWEEP_S
        while self._reap() and time.monotonic() < deadline:
            n_processes = max(n_processes, self._walls.kill_all())
            if self._status is None:
                with contextlib.suppress(OSError):
                    os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.0005)
        return n_processes


@contextlib.contextmanager
def _fork_handlers(handlers: list[dict[str, Any]]) -> Any:
    """Collects what modules want done at a fork: right for a program that forks, and for our own fork a waste, as
    this process has one thread and no lock held."""
    original = os.register_at_fork
    os.register_at_fork = lambda **wanted: handlers.append(wanted)
    try:
        yield
    finally:
        os.register_at_fork = original


def _cpu_of_the_ended() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _say(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")
