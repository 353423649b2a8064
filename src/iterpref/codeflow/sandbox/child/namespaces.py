"""The tier `namespaces`: a root of its own with nothing in it but the interpreter, no network, no neighbours.

Once a server: user, mount, network, IPC, UTS and process namespaces, and a read-only root. Once a run: a fresh, sized
tmpfs, the only writable place. Runs of one server come one after the other, so that no run needs namespaces of its own:
the zygote, as the first process, ends all others at one stroke. A server that is started by real root builds the
file system as root and steps down before it makes its user namespace; else all happens in that: the one difference
between the two ways in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterable

from . import confine, files, linux, processes, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BOX = "/box"  # the run's only writable place; /tmp and /dev/shm lead into it
USER = 1000  # who a program is inside
QUIET = linux.MS_NOSUID | linux.MS_NODEV
INODES = 20_000
OURS = 2  # processes of ours that the kernel counts with the program's


class Namespaces:
    """The walls of one server. Raises OSError where the machine does not give them."""

    def __init__(self, setup: dict[str, Any]) -> None:
        user, group = os.getuid(), os.getgid()
        flags = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
        if user == 0 and setup["uid"] is not None:
            user = group = setup["uid"]
            linux.unshare(flags)
            make_root(files.visible(setup["packages"]))
            confine.become(user)
            linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else our own uid_map belongs to root
            linux.unshare(linux.CLONE_NEWUSER)
            _map_user(user, group)
            linux.unshare(linux.CLONE_NEWNS)  # one that belongs to the new user namespace
        else:
            linux.unshare(flags | linux.CLONE_NEWUSER)
            _map_user(user, group)
            make_root(files.visible(setup["packages"]))
        # Where the supervisor mounts something here, the zygote sees it.
        linux.mount(BOX, BOX, None, linux.MS_BIND)
        linux.mount(None, BOX, None, linux.MS_SHARED)
        linux.unshare(linux.CLONE_NEWPID)  # of the next child, the zygote
        self._disk_mb = setup["disk_mb"]
        self._used = False

    def split(self) -> None:
        """In the zygote, the first process of its namespace: no signal from inside reaches it. From here on it has no
        capability and no way to get one, and neither has any child of it."""
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("proc", "/proc", "proc", QUIET | linux.MS_NOEXEC)
        linux.drop_capabilities()
        seccomp.install(seccomp.program(os.uname().machine))
        os.environ.update(HOME=f"{BOX}/work", TMPDIR=f"{BOX}/tmp")  # the same for every run, so set here once

    def renew(self) -> None:
        """In the supervisor, before each run: a fresh file system, which the zygote's view shares."""
        if self._used:
            linux.detach(BOX)
        linux.mount("tmpfs", BOX, "tmpfs", QUIET, f"size={self._disk_mb}m,nr_inodes={INODES},mode=755")
        self._used = True
        for name in ("shm", "work", "tmp"):
            os.mkdir(f"{BOX}/{name}")

    def furnish(self, config: dict[str, Any]) -> str:
        """The run's folder."""
        return BOX

    def confine(self, config: dict[str, Any]) -> None:
        """All was done before."""

    def process_limit(self, config: dict[str, Any]) -> int:
        """RLIMIT_NPROC of a run: the kernel counts by user and user namespace, which nobody else is in."""
        return int(config["processes"]) + OURS

    def kill_all(self) -> int:
        """In the zygote: ends every process of the run at one stroke; returns how many and threads there were."""
        own = os.getpid()
        if own != 1:
            raise OSError("not the first process of a namespace: a signal to all would reach the whole machine")
        count = sum(process.threads for pid, process in processes.all_processes().items() if pid != own)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        return count

    def bury(self) -> None:
        """In the supervisor, after the zygote's end: the kernel ended all of its namespace with it."""


def _map_user(user: int, group: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{USER} {user} 1"), ("gid_map", f"{USER} {group} 1")):
        _write(f"/proc/self/{name}", text)


def make_root(paths: Iterable[str]) -> None:
    """Leaves `paths` and a few devices of the file system, all read-only, and nothing else; nor the machine's name."""
    shown = list(paths)
    # Links on the way to a path are followed while they still lead where they should.
    parents = {path: os.path.realpath(os.path.dirname(path)) for path in shown}
    socket.sethostname("sandbox")
    before = os.umask(0o022)  # the run's user must get through every folder that we make
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    # Anywhere that exists: in our own mount namespace nobody sees it, and it will be the root at once.
    linux.mount("tmpfs", "/tmp", "tmpfs", QUIET, "size=1m,mode=755")
    os.chdir("/tmp")
    os.mkdir("old")
    linux.pivot_root(".", "old")
    os.chdir("/")
    for path in shown:
        _show(path, parents[path])
    for path in files.DEVICES:
        _show(path, os.path.dirname(path), device=True)
    for folder in ("proc", BOX[1:], "etc", "root"):
        os.makedirs(f"/{folder}", exist_ok=True)
    for link, target in files.links(shown):
        os.symlink(target, link)
    _write("/etc/passwd", f"user:x:{USER}:{USER}:user:{BOX}/work:/bin/sh\n")
    _write("/etc/group", f"user:x:{USER}:\n")
    _write("/etc/hosts", "127.0.0.1 localhost\n")
    # A kernel that hides a part of the old one would not give us a new one; bind it as it is, it gets covered.
    linux.mount("/old/proc", "/proc", None, linux.MS_BIND | linux.MS_REC)
    linux.detach("/old")
    os.rmdir("/old")
    linux.mount(None, "/", None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | QUIET)
    os.umask(before)


def _show(path: str, parent: str, device: bool = False) -> None:
    source = f"/old{parent.rstrip('/')}/{os.path.basename(path)}"
    if os.path.islink(source):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            os.symlink(os.readlink(source), path)
        return
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    elif os.path.exists(source):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, "")
    else:
        return
    linux.mount(source, path, None, linux.MS_BIND)
    if not device:
        # In a user namespace a mount keeps the locks that it came with: they must be named again.
        locks = os.statvfs(path).f_flag & (os.ST_NODEV | os.ST_NOEXEC)
        flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID
        flags |= linux.MS_NODEV if locks & os.ST_NODEV else 0
        flags |= linux.MS_NOEXEC if locks & os.ST_NOEXEC else 0
        linux.mount(None, path, None, flags)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
