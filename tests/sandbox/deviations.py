"""Where a tier gives something else than the table of required verdicts: row -> what it gives, and why.

A row is "program/kind of tests", or "program" for all kinds. `None` instead of a verdict: nothing is promised there, and
the program is not run, as it might do what it wants to.
"""

from __future__ import annotations

import os

from iterpref.schema import Verdict

from .build import Want

PASS, FAIL, ERROR, TIMEOUT = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.TIMEOUT
Deviations = dict[str, Want | None]

_NO_DISK_LIMIT: Deviations = {  # each file is limited, but neither their sum nor their number
    "many files together": (PASS, ""),
    "more files than there is room for": ((PASS, TIMEOUT), ""),
}
LANDLOCK: Deviations = {
    **_NO_DISK_LIMIT,
    "a pool of processes": (ERROR, "PermissionError"),  # its locks lie in /dev/shm, which is not the run's own there
    "fills the shared memory": (ERROR, "PermissionError"),  # likewise
}
_DONE = (ERROR, "LookupError")  # what the program wanted was possible
PLAIN: Deviations = {
    **_NO_DISK_LIMIT,
    # All that the user may read, and every server and socket of the machine.
    **dict.fromkeys(
        ("reads a secret", "follows its own link", "leaves by dots", "reaches through the root of a process",
         "the door of another program", "connects to a server", "serves", "sends a datagram", "asks the kernel by netlink",
         "an abstract socket of others"), _DONE),
    **dict.fromkeys(("the homes of others hold no file", "others' command lines are not told"), ((FAIL, PASS), "")),
    # No system call is refused.
    **dict.fromkeys(("io_uring", "a user namespace", "a user namespace by clone", "a key", "System V memory"), ((ERROR, PASS), "")),
    "fills the shared memory": (PASS, ""),
    "fills a memory file": (PASS, ""),
}  # fmt: skip
# Not started by root, a program there is the user who started us: what follows would be done to that user.
_PLAIN_AS_USER = (
    "appends to a file of others", "makes a file in a folder of others", "removes a file of others", "truncates a file of others",
    "changes the mode of a file of others", "links a file of others", "removes what it can of a folder of others",
    "writes to the interpreter's own files", "environments hold no secret", "others' command lines are not told",
    "kills everybody", "kills its parent", "interrupts its parent", "stops its parent", "kills us", "takes its parent's limits", "slows its parent down",
    "reads its parent's memory", "ptrace", "traces its own child", "a fork bomb", "a fork bomb that does not give up",
    "a bomb of threads", "a bomb of programs", "opens the terminal", "renames its folder",
)  # fmt: skip
BWRAP: Deviations = {
    "more files than there is room for": (PASS, ""),  # bubblewrap's file systems limit no number of files
}
_LOOSE = (Verdict.PROC_LIMIT, Verdict.OOM, TIMEOUT, ERROR)


def deviations(tier: str, as_root: bool = os.geteuid() == 0) -> Deviations:
    """Those of a tier that was started by root, or by somebody else."""
    found = {"landlock": LANDLOCK, "plain": PLAIN, "bwrap": BWRAP}.get(tier, {})
    if as_root:
        return found
    if tier == "plain":
        return {**found, **dict.fromkeys(_PLAIN_AS_USER)}
    if tier == "landlock":
        # The user's other processes count as well, and mode and owner of its files can be changed.
        bombs = ("a fork bomb", "a fork bomb that does not give up", "a bomb of threads", "a bomb of programs")
        return {**found, **dict.fromkeys(bombs, (_LOOSE, "")), "changes the mode of a file of others": None}
    return found
