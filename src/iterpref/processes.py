"""Processes that work for another one, and end when it is gone, even by a kill."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing import connection, parent_process


def end_with_parent() -> None:
    """For a process of `multiprocessing`. No queue or pipe would tell: the workers of one parent hold each other's ends open."""
    parent = parent_process()
    assert parent is not None
    _end_after(lambda: connection.wait([parent.sentinel]))


def die_with_parent() -> None:
    """For a process whose standard input is a pipe or socket, into which nobody writes."""
    _end_after(lambda: os.read(0, 1))  # not through sys.stdin, whose lock would be held when the interpreter ends


def _end_after(gone: Callable[[], object]) -> None:
    def watch() -> None:
        gone()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
