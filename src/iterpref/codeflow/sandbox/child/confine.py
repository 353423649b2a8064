"""What a test process does to itself before it sees any code of the task: descriptors, limits, another user."""

from __future__ import annotations

import fcntl
import os
import resource
import sys

from . import files, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPEN_FILES = 256
FIRST_OWN_UID = 1 << 30  # users of single runs start here: far above any account


def take_descriptors(stdin: int, out: int, err: int, events: int) -> int:
    """Standard input, 1 and 2 for the program, 3 the event pipe; all else is closed. Returns 3."""
    # Copies above all targets first: nothing is overwritten that is still needed.
    sources = [_above(descriptor, 8) for descriptor in (stdin, out, err, events)]
    for source, target in zip(sources[:3], range(3), strict=True):
        os.dup2(source, target)
    os.dup2(sources[3], 3, inheritable=False)
    os.closerange(4, OPEN_FILES)
    return 3


def _above(descriptor: int, least: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)


def set_limits(config: dict[str, Any], base_mb: int, processes: int | None) -> None:
    """rlimits of the test process and of all that it starts; raises OSError or ValueError where one cannot be set.

    `base_mb`: address space of the interpreter and its preloaded modules, which is not the program's doing.
    """
    mb = 1 << 20
    limits = {
        # A backstop, by process and whole second: the supervisor keeps the limit itself, over all processes.
        resource.RLIMIT_CPU: int(config["cpu_s"]) + 2,
        resource.RLIMIT_FSIZE: config["disk_mb"] * mb,
        # Not 0, which a machine that pipes its core dumps into a program of its own does not heed: 1 it does.
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_NOFILE: OPEN_FILES,
    }
    if linux.ON_LINUX:  # macOS accepts an address space limit and does not keep it
        limits[resource.RLIMIT_AS] = (base_mb + config["memory_mb"]) * mb
        limits[resource.RLIMIT_MEMLOCK] = mb
        # Where the machine lets its users come before all others, a program could keep us off a core.
        limits[resource.RLIMIT_RTPRIO] = limits[resource.RLIMIT_NICE] = 0
    if processes is not None:
        limits[resource.RLIMIT_NPROC] = processes
    for kind, value in limits.items():
        hard = HARD[kind]
        # Soft and hard alike: SIGXCPU, which a program may ignore, is never sent, SIGKILL is.
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


# Asked once, before the fork.
HARD = {
    kind: resource.getrlimit(kind)[1]
    for name in ("CPU", "FSIZE", "CORE", "NOFILE", "AS", "MEMLOCK", "NPROC", "RTPRIO", "NICE")
    if (kind := getattr(resource, f"RLIMIT_{name}", None)) is not None
}


def address_space_mb() -> int:
    """MiB of address space of this process; 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize() >> 20
    except OSError:
        return 0


def become(uid: int) -> None:
    """Turns real root into an ordinary user for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def become_reaching(uid: int) -> None:
    """`become`, and still import from an interpreter below root's home: out of an ordinary user's sight, but an open
    folder of it is not."""
    library = os.path.dirname(os.__file__)
    folders = {path: os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.path if os.path.isdir(path)}
    become(uid)
    reachable = os.access(library, os.R_OK | os.X_OK)
    for path, descriptor in folders.items():
        if reachable:
            os.close(descriptor)
        else:
            _import_through(path, descriptor)


def _import_through(path: str, descriptor: int) -> None:
    by_descriptor = f"/proc/self/fd/{descriptor}"
    sys.path[:] = [by_descriptor if entry == path else entry for entry in sys.path]
    for module in list(sys.modules.values()):
        where = getattr(module, "__path__", None)
        if isinstance(where, list):
            where[:] = [by_descriptor + entry[len(path) :] if files.below(entry, path) else entry for entry in where]
    sys.path_importer_cache.clear()
