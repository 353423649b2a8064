"""What /proc tells a test about processes."""

from __future__ import annotations

import os
from pathlib import Path


def own_children() -> list[tuple[int, str]]:
    """(number, state) of each process whose parent we are."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid():
            found.append((int(entry.parent.name), state))
    return found


def children_of(pid: int) -> list[int]:
    """Numbers of the processes whose parent `pid` is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def marked(marker: str) -> list[int]:
    """Living processes that hold `marker` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if marker.encode() in (entry / "cmdline").read_bytes() and state != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
