"""The fork server: two warm processes that serve one run after the other, and share nothing with what they run.

The supervisor (this process) speaks with its parent over standard input and output: first comes the setup, answered by
one line of JSON; then, for each run, its limits and its task, answered by a report. It drains and watches, and never
runs a line of a task. The zygote, its child, has everything imported and the walls half up, and forks one child a run.
The task goes past the zygote, through a file that only that child reads: no test and no earlier run is ever in the
memory that programs are forked from.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Collection

from . import linux, wire, workplace, zygote
from .supervisor import Watch, ZygoteGone
from .walls import TIERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .namespaces import Namespaces
    from .walls import Plain

BROKEN = 5  # exit status after a run without a report


def serve(at_start: Collection[str], forget: Callable[[], None]) -> Callable[[], None]:
    """Serves until its parent hangs up. Returns in a forked test process only, with what that has to do next.

    `at_start`: modules that every Python has loaded. `forget` hides our own modules from a program.
    """
    setup = json.loads(wire.read_part(0))
    parent = os.getppid()
    ours, theirs = socket.socketpair()
    tasks, taken = socket.socketpair()  # only a forked child reads from this one
    try:
        walls: Plain | Namespaces = TIERS[setup["tier"]](setup)
    except BaseException as error:
        _answer({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if setup["preload"]:
        walls.renew()  # a module such as matplotlib wants a place to write to while it is imported
    child = os.fork()
    if child == 0:
        os.close(ours.detach())
        os.close(tasks.detach())
        return zygote.run(walls, setup, theirs, taken, at_start, forget)
    theirs.close()
    taken.close()
    first = wire.read_line(ours)
    _answer(first or {"error": "the zygote ended at its start"})
    if not first or "ready" not in first:
        os._exit(1)
    ended = n_runs = 0
    watch: Watch | None = None
    walls.renew()
    while not ended and _requested(parent):
        limits = json.loads(wire.read_part(0))
        task = wire.read_part(0)
        try:
            watch = Watch(limits, task, ours, tasks, child, parent, n_runs)
            del task
            watch.until_the_end()
            _clean_up(watch, limits["folder"])
            wire.write_part(1, json.dumps(watch.report() | {"n_canaries": first["n_canaries"]}).encode())
            walls.renew()
            n_runs += 1
        except ZygoteGone as error:
            os.write(2, str(error).encode("utf-8", "backslashreplace"))
            ended = BROKEN
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)  # and with it, or by `bury`, the child that waits for the next task
    os.waitpid(child, 0)
    walls.bury()
    if ended and watch is not None:
        _clean_up(watch, limits["folder"])
    os._exit(ended)


def _clean_up(watch: Watch, folder: str) -> None:
    """Our parent may have been killed, and cannot clean up after the run any more."""
    if watch.hung_up and folder:
        with contextlib.suppress(OSError):
            workplace.remove(folder)


def _requested(parent: int) -> bool:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while not poll.poll(1000):
        if os.getppid() != parent:
            return False
    return os.read(0, 1) == wire.RUN


def _answer(message: dict[str, Any]) -> None:
    wire.write_all(1, json.dumps(message).encode() + b"\n")
