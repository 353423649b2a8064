"""What the runs of one sandbox share: the cores, and the kernel's count of their user's processes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
COUNT_S = 1.0  # seconds for which a count of the user's processes is good


class Gate:
    """Lets `limit` in at once, or one alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._waiting_alone = 0
        self._changed = threading.Condition()

    @contextmanager
    def enter(self, alone: bool) -> Iterator[None]:
        places = self._limit if alone else 1
        with self._changed:
            self._waiting_alone += alone
            # Those who want to be alone go first, else a steady stream of others would keep them out.
            while self._inside + places > self._limit or (self._waiting_alone and not alone):
                self._changed.wait()
            self._waiting_alone -= alone
            self._inside += places
        try:
            yield
        finally:
            with self._changed:
                self._inside -= places
                self._changed.notify_all()


class TaskCount:
    """How many processes and threads a user runs; counted at most once a second for each, as it costs milliseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[int, tuple[float, int]] = {}  # of each user: when, and how many

    def of(self, uid: int) -> int | None:
        """None where /proc does not tell."""
        if not Path("/proc/self/status").exists():
            return None
        with self._lock:
            at, n = self._counted.get(uid, (-COUNT_S, 0))
            if time.monotonic() - at >= COUNT_S:
                n = self._count(uid)
                self._counted[uid] = time.monotonic(), n
            return n

    @staticmethod
    def _count(uid: int) -> int:
        total = 0
        for path in Path("/proc").glob("[0-9]*/status"):
            try:
                fields = dict(row.split(":\t", 1) for row in path.read_text().splitlines() if ":\t" in row)
            except OSError:
                continue
            if int(fields["Uid"].split()[0]) == uid:
                total += int(fields["Threads"])
        return total


@lru_cache(maxsize=1)  # each record of a run says it, and reading a control group's file takes half a millisecond
def usable_cores() -> int:
    """Cores that this process may run on, or that its control group pays for, whichever is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = core_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def core_quota() -> float | None:
    """Cores' worth of CPU time that the control group allows, version 2 or 1; None without a quota."""
    quota = system_file(CGROUP / "cpu.max").split()
    quota = quota or [system_file(CGROUP / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(quota) != 2 or not all(word.isdigit() for word in quota):
        return None  # "max", or -1
    return int(quota[0]) / int(quota[1])


def system_file(path: Path) -> str:
    """Its text without the space around it; "" where there is none to read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
