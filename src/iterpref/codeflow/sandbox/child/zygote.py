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
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection

from . import confine, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .namespaces import Namespaces
    from .walls import Plain

# What short programs import most: ready before the first run, it costs no run anything. Each megabyte here costs every
# run its share of a fork, so `asyncio` and `unittest.mock` are not among them.
COMMON = (
    "abc", "ast", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "enum",
    "fractions", "functools", "heapq", "io", "itertools", "json", "logging", "math", "operator", "pathlib", "random",
    "re", "string", "textwrap", "threading", "time", "traceback", "types", "typing", "unittest", "warnings",
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
    """Forks a child for each task, for as long as the supervisor lives. Returns in such a child only."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Python handles this one, and what the first process of a namespace handles, programs in it may send to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(0)
    os.close(1)
    handlers: list[dict[str, Any]] = []
    try:
        walls.split()
        sys.path += setup["packages"]
        with _fork_handlers(handlers):
            for name in COMMON if setup["warm"] else ():
                importlib.import_module(name)
            _preload(setup["preload"], channel)
        from . import modules, rehearsal, runner  # after the modules that they seal and pin

        for name in ("LD_BIND_NOW", "PWD"):  # the first is for us, the second bubblewrap's
            os.environ.pop(name, None)
        judge = runner.Judge(walls, confine.address_space_mb(), {*at_start, *setup["preload"]}, handlers)
        judge.settle(setup["preload"], setup["warm"])
        modules.pin("random", "numpy.random")
    except BaseException as error:
        _say(channel, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    forget()
    _say(channel, {"ready": True, "n_canaries": judge.n_canaries})
    gc.collect()
    rehearsal.fill_holes()
    gc.freeze()  # a collection in a child would copy every page of what we share
    gc.disable()
    number = 0
    while True:
        pid = os.fork()
        if pid == 0:
            os.close(channel.detach())
            return judge.prepare(tasks)
        _bury(number, pid, walls, channel)
        number += 1


def _preload(names: Collection[str], channel: socket.socket) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # the module's own code may raise anything
            _say(channel, {"preload": name, "error": f"{type(error).__name__}: {error}"})
            os._exit(1)


def _bury(number: int, pid: int, walls: Plain | Namespaces, channel: socket.socket) -> None:
    """Waits for the test process, ends what is left of its run, and tells the supervisor: number, status, CPU time in
    microseconds, peak memory in KiB, how many processes were left.

    Short on purpose: what we touch while the child lives is copied. Everything that needs a clock is the supervisor's.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    while True:
        ended, status, usage = os.wait4(-1, 0)  # orphans too: a dead one still counts as a process
        if ended == pid and os.WIFSTOPPED(status):
            os.kill(pid, signal.SIGKILL)  # it asked to be traced, and waits for a tracer
        elif ended == pid:
            break
    n_left = _kill_all(walls)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_kb = usage.ru_maxrss >> (0 if linux.ON_LINUX else 10)  # KiB, on macOS bytes
    channel.sendall(b"%d %d %d %d %d\n" % (number, status, cpu_s * 1e6, peak_kb, n_left))


def _kill_all(walls: Plain | Namespaces) -> int:
    """No process of the run lives on, whatever session or parent it chose. Returns how many there were."""
    n_left = 0
    deadline = 0.0
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return n_left
        deadline = deadline or time.monotonic() + SWEEP_S
        if time.monotonic() > deadline:
            return n_left
        n_left = max(n_left, walls.kill_all())
        time.sleep(0.0005)


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


def _say(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")
