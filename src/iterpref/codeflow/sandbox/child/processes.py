"""What /proc tells about the processes of a run."""

from __future__ import annotations

import os
import signal

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Process:
    """One row of /proc: `uid`, `parent`, `threads`, `cpu_s`, `ended_cpu_s` (of its children that it waited for),
    `resident_mb`."""

    __slots__ = ("cpu_s", "ended_cpu_s", "parent", "resident_mb", "threads", "uid")

    def __init__(self, fields: list[bytes], uid: int) -> None:
        self.uid = uid
        self.parent = int(fields[1])
        self.cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
        self.ended_cpu_s = (int(fields[13]) + int(fields[14])) / TICKS
        self.threads = int(fields[17])
        self.resident_mb = int(fields[21]) * PAGE_MB


def all_processes() -> dict[int, Process]:
    """By process number; empty where there is no /proc."""
    names = os.listdir("/proc") if os.path.isdir("/proc") else ()
    found = ((int(name), process(int(name))) for name in names if name.isdigit())
    return {pid: row for pid, row in found if row is not None}


def process(pid: int) -> Process | None:
    """None for one that has ended, and where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the program's name, and may hold blanks and brackets.
            return Process(file.read().rpartition(b")")[2].split(), os.fstat(file.fileno()).st_uid)
    except (OSError, IndexError):
        return None


def family(root: int) -> dict[int, Process]:
    """`descendants` at a cost that does not grow with the machine's other processes; one that changes its parent at this
    moment may be absent."""
    if not os.path.exists(f"/proc/{root}/task/{root}/children"):  # a kernel that was built without
        return descendants(root)
    found: dict[int, Process] = {}
    todo = [root]
    while todo:
        for pid in _children(todo.pop()):
            row = process(pid)
            if row is not None and pid not in found:
                found[pid] = row
                todo.append(pid)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # ended meanwhile
    return found


def descendants(root: int) -> dict[int, Process]:
    """All below `root`, by process number. A subreaper, or the first process of a namespace, adopts every orphan: nobody leaves this tree."""
    return below(all_processes(), root)


def below(everyone: dict[int, Process], root: int) -> dict[int, Process]:
    """Those of `everyone` that descend from `root`."""
    children: dict[int, list[int]] = {}
    for pid, process in everyone.items():
        children.setdefault(process.parent, []).append(pid)
    found: dict[int, Process] = {}
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found.update((pid, everyone[pid]) for pid in below)
        todo += below
    return found


def forgets_children(pid: int) -> bool:
    """Whether a process ignores the end of its children: the kernel then counts their CPU time nowhere."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            ignored = next((row for row in file if row.startswith(b"SigIgn:")), b"SigIgn: 0")
    except OSError:
        return False
    return bool(int(ignored.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)


def waited_s(pid: int) -> float:
    """Seconds that the process's threads were ready and had no core, the longest-waiting one; 0 where it is unknown."""
    longest = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                longest = max(longest, int(file.read().split()[1]))
    except (OSError, IndexError):
        pass  # ended meanwhile
    return longest / 1e9
