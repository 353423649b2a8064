"""What stands around a run in the tiers without namespaces of their own: `plain`, `landlock`, and `bwrap`'s inside.

A tier is an object that the supervisor makes. Its methods in the order of their calls: `split` in the zygote; for each
run `renew` in the supervisor, `furnish`, `process_limit` and `confine` in the test process, `kill_all` in the zygote;
and at the end `bury` in the supervisor. `namespaces.Namespaces` is the fourth tier.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from . import confine, files, landlock, linux, processes, seccomp
from .namespaces import BOX, Namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FENCES_SIGNALS = 6  # the first version of Landlock that does


class Plain:
    """rlimits, and where we are root a user of its own for each run."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._own_uid = setup["own_uid"]
        # Orphans of a zygote that was killed come to the supervisor.
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def split(self) -> None:
        """The zygote adopts every orphan of a run: nobody leaves the tree below it."""
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def renew(self) -> None:
        """Nothing of the machine's own file system could be made anew for all runs alike."""

    def furnish(self, config: dict[str, Any]) -> str:
        """The run's folder, which our parent made."""
        folder = str(config["folder"])
        for name in ("work", "tmp"):
            os.mkdir(f"{folder}/{name}")
            if config["uid"] is not None:
                os.chown(f"{folder}/{name}", config["uid"], config["uid"])
        return folder

    def confine(self, config: dict[str, Any]) -> None:
        if config["uid"] is not None:
            confine.become_reaching(config["uid"])
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # last: a change of user clears it

    def process_limit(self, config: dict[str, Any]) -> int | None:
        limit: int | None = config["nproc"]
        return limit

    def kill_all(self) -> int:
        """One round; returns how many processes and threads there were."""
        family = processes.descendants(os.getpid())
        for uid in {process.uid for process in family.values()} if self._own_uid else ():
            # Never root, whose child has not stepped down yet or is dead already: that would end the machine.
            if uid >= confine.FIRST_OWN_UID:
                _kill_user(uid)
        for pid in family:
            with contextlib.suppress(OSError):  # gone meanwhile
                os.kill(pid, signal.SIGKILL)
        return sum(process.threads for process in family.values())

    def bury(self) -> None:
        """What a zygote that was killed left behind."""
        for _ in range(100):
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not self.kill_all():
                return
            time.sleep(0.005)


class Landlock(Plain):
    """Adds: no file but the interpreter's and the system's libraries, the run's folder; no network; no odd system call."""

    def __init__(self, setup: dict[str, Any]) -> None:
        super().__init__(setup)
        self._abi = landlock.abi()
        if self._abi < 1:
            raise OSError("the kernel has no Landlock")
        self._readable = files.visible(setup["packages"])
        # A kernel that cannot fence signals: a program of our own user may then signal itself only.
        self._fence_signals = self._abi < FENCES_SIGNALS and not setup["own_uid"]
        self._filter = self._program()

    def _program(self, own_pid: int | None = None) -> bytes:
        # A socket with a path is another program's door, and no version of Landlock guards it.
        return seccomp.program(os.uname().machine, own_pid=own_pid, unix_sockets=False)

    def confine(self, config: dict[str, Any]) -> None:
        # Rules are made of open folders: as root we reach what the run's user may not.
        landlock.restrict(self._readable, [config["folder"]], list(files.DEVICES), self._abi)
        super().confine(config)
        if self._fence_signals:
            self._filter = self._program(os.getpid())
        seccomp.install(self._filter)


class Inside(Plain):
    """bubblewrap put up the walls around the whole server, for one run. This adds the filter of system calls, and a fence
    between the run and the server, which are one user in there."""

    def __init__(self, setup: dict[str, Any]) -> None:
        super().__init__(setup)
        self._abi = landlock.abi()

    def furnish(self, config: dict[str, Any]) -> str:
        for name in ("shm", "work", "tmp"):
            os.mkdir(f"{BOX}/{name}")
        return BOX

    def process_limit(self, config: dict[str, Any]) -> int:
        """The kernel counts by user namespace: bubblewrap's first process and our two come on top."""
        return int(config["processes"]) + 3

    def confine(self, config: dict[str, Any]) -> None:
        super().confine(config)
        if self._abi >= FENCES_SIGNALS:
            landlock.restrict(["/"], [BOX], files.DEVICES, self._abi)
        own_pid = None if self._abi >= FENCES_SIGNALS else os.getpid()
        seccomp.install(seccomp.program(os.uname().machine, own_pid=own_pid))


TIERS: dict[str, type[Plain] | type[Namespaces]] = {
    "plain": Plain,
    "landlock": Landlock,
    "bwrap": Inside,
    "namespaces": Namespaces,
}


def _kill_user(uid: int) -> None:
    """All processes of a user at one stroke: no fork is fast enough to slip through."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            if os.getresuid() == (uid, uid, uid) and uid >= confine.FIRST_OWN_UID:
                os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
