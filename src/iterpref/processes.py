"""Processes that work for another one."""

from __future__ import annotations

import os
import threading
from multiprocessing import connection, parent_process


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, even by a kill: no queue or pipe would tell, as the workers
    of one parent hold each other's ends open."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
