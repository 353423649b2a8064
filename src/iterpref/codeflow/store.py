"""In-flight debugging work in SQLite: each executed version is durable the moment it is recorded, so kill -9 loses none."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from iterpref.schema import Attempt, Timing

_ERRNO = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}


def as_os_error(error: sqlite3.OperationalError, path: Path) -> Exception:
    """The `OSError` that a full or read-only disk is elsewhere; any other error as it is."""
    code = error.sqlite_errorcode & 0xFF  # the rest is SQLite's finer distinction
    return OSError(_ERRNO[code], str(error), str(path)) if code in _ERRNO else error


class TrajectoryStore:
    """Attempts by trajectory, and what the reference check found by task. Safe to use from several threads.

    A full or read-only disk raises `OSError`, as with any other file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        # Autocommit: one row is one transaction, and WAL keeps a killed writer from tearing it.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._run("PRAGMA journal_mode=WAL")
        self._run("PRAGMA synchronous=NORMAL")
        self._run(
            "CREATE TABLE IF NOT EXISTS attempts (trajectory_id TEXT, i INTEGER, attempt TEXT NOT NULL, timing TEXT NOT NULL,"
            " PRIMARY KEY (trajectory_id, i))"
        )
        self._run("CREATE TABLE IF NOT EXISTS checks (task_id TEXT PRIMARY KEY, outcome TEXT NOT NULL)")

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                raise as_os_error(error, self._path) from error

    def add(self, trajectory_id: str, attempt: Attempt, timing: Timing) -> None:
        row = (trajectory_id, attempt.i, json.dumps(attempt.to_dict()), json.dumps(timing.to_dict()))
        self._run("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?)", row)

    def history(self, trajectory_id: str) -> list[Attempt]:
        rows = self._run("SELECT attempt FROM attempts WHERE trajectory_id = ? ORDER BY i", (trajectory_id,))
        return [Attempt.from_dict(json.loads(text)) for (text,) in rows]

    def timings(self) -> list[Timing]:
        rows = self._run("SELECT timing FROM attempts ORDER BY trajectory_id, i")
        return [Timing.from_dict(json.loads(text)) for (text,) in rows]

    def add_check(self, task_id: str, outcome: dict[str, object]) -> None:
        self._run("INSERT OR REPLACE INTO checks VALUES (?, ?)", (task_id, json.dumps(outcome)))

    def checks(self) -> dict[str, dict[str, object]]:
        return {task_id: json.loads(text) for task_id, text in self._run("SELECT task_id, outcome FROM checks")}

    def close(self) -> None:
        with self._lock:
            self._db.close()
