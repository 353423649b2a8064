"""The walls of the plain tier, put up by the test process around itself before it sees any code of the task."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
SIGKILL = 9
OPEN_FILES = 256
ON_LINUX = sys.platform == "linux"


def prctl(option: int, value: int) -> None:
    """Linux only, and no more than a hardening there: a kernel that refuses is no error."""
    if ON_LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def take_descriptors(out: int, err: int, events: int) -> int:
    """Standard input is /dev/null, 1 and 2 are pipes, 3 the event pipe; all else is closed. Returns 3."""
    null = os.open(os.devnull, os.O_RDONLY)
    # All sources lie above 2, and `events` goes last: nothing is overwritten that is still needed.
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.dup2(events, 3, inheritable=False)
    os.closerange(4, OPEN_FILES)
    return 3


def set_limits(config: dict[str, Any]) -> None:
    """rlimits of the test process and of all that it starts; raises OSError or ValueError where one cannot be set."""
    mb = 1 << 20
    cpu_s = -int(-config["cpu_s"] // 1)
    # Soft and hard alike: SIGXCPU, which a program may ignore, is never sent, SIGKILL is.
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_FSIZE, config["file_mb"] * mb)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    if ON_LINUX:  # macOS accepts an address space limit and does not keep it
        _limit(resource.RLIMIT_AS, config["memory_mb"] * mb)
    if config["nproc"] is not None:
        _limit(resource.RLIMIT_NPROC, config["nproc"])


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def drop_privileges(uid: int | None) -> None:
    """Becomes an ordinary user for good, and no set-uid program gives anything back."""
    if uid is not None:
        _become(uid)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_PDEATHSIG, SIGKILL)  # last: a change of user clears it


def _become(uid: int) -> None:
    library = os.path.dirname(os.__file__)
    folders = {path: os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.path if os.path.isdir(path)}
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    reachable = os.access(library, os.R_OK | os.X_OK)
    for path, descriptor in folders.items():
        if reachable:
            os.close(descriptor)
        else:
            _import_through(path, descriptor)


def _import_through(path: str, descriptor: int) -> None:
    """An interpreter below root's home is out of an ordinary user's sight, but an open folder of it is not."""
    by_descriptor = f"/proc/self/fd/{descriptor}"
    sys.path[:] = [by_descriptor if entry == path else entry for entry in sys.path]
    for module in list(sys.modules.values()):
        where = getattr(module, "__path__", None)
        if isinstance(where, list):
            where[:] = [by_descriptor + entry[len(path) :] if _below(entry, path) else entry for entry in where]
    sys.path_importer_cache.clear()


def _below(entry: str, path: str) -> bool:
    return entry == path or entry.startswith(path + "/")
