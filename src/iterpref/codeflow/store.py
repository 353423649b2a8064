"""In-flight debugging work in SQLite: each executed version is durable the moment it is recorded, so kill -9 loses none."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

from iterpref.schema import Attempt, Timing


class TrajectoryStore:
    """Attempts by trajectory, and what the reference check found by task. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        # Autocommit: one row is one transaction, and WAL keeps a killed writer from tearing it.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS attempts (trajectory_id TEXT, i INTEGER, attempt TEXT NOT NULL, timing TEXT NOT NULL,"
            " PRIMARY KEY (trajectory_id, i))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS checks (task_id TEXT PRIMARY KEY, outcome TEXT NOT NULL)")

    def add(self, trajectory_id: str, attempt: Attempt, timing: Timing) -> None:
        row = (trajectory_id, attempt.i, json.dumps(attempt.to_dict()), json.dumps(timing.to_dict()))
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?)", row)

    def history(self, trajectory_id: str) -> list[Attempt]:
        with self._lock:
            rows = self._db.execute(
                "SELECT attempt FROM attempts WHERE trajectory_id = ? ORDER BY i", (trajectory_id,)
            ).fetchall()
        return [Attempt.from_dict(json.loads(text)) for (text,) in rows]

    def timings(self) -> list[Timing]:
        with self._lock:
            rows = self._db.execute("SELECT timing FROM attempts ORDER BY trajectory_id, i").fetchall()
        return [Timing.from_dict(json.loads(text)) for (text,) in rows]

    def add_check(self, task_id: str, outcome: dict[str, object]) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO checks VALUES (?, ?)", (task_id, json.dumps(outcome)))

    def checks(self) -> dict[str, dict[str, object]]:
        with self._lock:
            rows = self._db.execute("SELECT task_id, outcome FROM checks").fetchall()
        return {task_id: json.loads(text) for task_id, text in rows}

    def close(self) -> None:
        with self._lock:
            self._db.close()
