"""In-flight debugging work in SQLite: each executed version is durable the moment it is recorded, so kill -9 loses none."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.schema import Attempt, TestSuite, Timing, Trajectory

_ERRNO = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}
_TABLES = (
    "attempts (trajectory_id TEXT, i INTEGER, attempt TEXT NOT NULL, timing TEXT NOT NULL, PRIMARY KEY (trajectory_id, i))",
    "suites (trajectory_id TEXT PRIMARY KEY, suite TEXT NOT NULL)",
    "finished (trajectory_id TEXT PRIMARY KEY, trajectory TEXT NOT NULL)",
    "checks (task_id TEXT PRIMARY KEY, outcome TEXT NOT NULL)",
)
_PAGE = 256  # rows read at once
_ENDED_BY = "instr(trajectory, ?) > 0"


def _detail(detail: str) -> str:
    """As it stands in a finished record; within its texts a quote has a backslash in front of it."""
    return f'"detail": {json.dumps(detail)}'


def error_code(error: sqlite3.DatabaseError) -> int:
    """SQLite's, without its finer distinctions; 0 for an error that is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def as_os_error(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """The `OSError` that a full or read-only disk is elsewhere; any other error as it is."""
    code = error_code(error)
    return OSError(_ERRNO[code], str(error), str(path)) if code in _ERRNO else error


class TrajectoryStore:
    """Attempts, frozen tests and finished records by trajectory, and what the reference check found by task.

    Safe to use from several threads. A full or read-only disk raises `OSError`, as with any other file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        # Autocommit: one row is one transaction, and WAL keeps a killed writer from tearing it.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL"):
            self._run(statement)
        for table in _TABLES:
            self._run(f"CREATE TABLE IF NOT EXISTS {table}")

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                if error_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    raise UserError(
                        f"{self._path}: the versions of an unfinished run are damaged ({error}); delete this file and those beside it "
                        "that begin with its name: answers of a model are kept elsewhere, and none is paid for again"
                    ) from None
                raise as_os_error(error, self._path) from error

    def add(self, trajectory_id: str, attempt: Attempt, timing: Timing) -> None:
        row = (trajectory_id, attempt.i, json.dumps(attempt.to_dict()), json.dumps(timing.to_dict()))
        self._run("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?)", row)

    def history(self, trajectory_id: str) -> list[Attempt]:
        rows = self._run("SELECT attempt FROM attempts WHERE trajectory_id = ? ORDER BY i", (trajectory_id,))
        return [Attempt.from_dict(json.loads(text)) for (text,) in rows]

    def timings(self) -> Iterator[Timing]:
        """In the order of (trajectory, version), a page at a time."""
        last: tuple[str, int] = ("", -1)
        query = "SELECT trajectory_id, i, timing FROM attempts WHERE (trajectory_id, i) > (?, ?) ORDER BY trajectory_id, i LIMIT ?"
        while rows := self._run(query, (*last, _PAGE)):
            yield from (Timing.from_dict(json.loads(text)) for _, _, text in rows)
            last = rows[-1][:2]

    def freeze(self, trajectory_id: str, suite: TestSuite) -> TestSuite:
        """Stores the tests of a trajectory; those that stand there already stay, and are returned."""
        self._run("INSERT OR IGNORE INTO suites VALUES (?, ?)", (trajectory_id, json.dumps(suite.to_dict())))
        return self.suite(trajectory_id) or suite

    def suite(self, trajectory_id: str) -> TestSuite | None:
        rows = self._run("SELECT suite FROM suites WHERE trajectory_id = ?", (trajectory_id,))
        return TestSuite.from_dict(json.loads(rows[0][0])) if rows else None

    def finish(self, trajectory: Trajectory) -> None:
        row = (trajectory.trajectory_id, json.dumps(trajectory.to_dict()))
        self._run("INSERT OR REPLACE INTO finished VALUES (?, ?)", row)

    def finished_ids(self) -> set[str]:
        return {name for (name,) in self._run("SELECT trajectory_id FROM finished")}

    def finished(self) -> Iterator[Trajectory]:
        """In the order of their ids, a page at a time: more of them than fit into memory may be there."""
        last = ""
        query = "SELECT trajectory_id, trajectory FROM finished WHERE trajectory_id > ? ORDER BY trajectory_id LIMIT ?"
        while rows := self._run(query, (last, _PAGE)):
            yield from (Trajectory.from_dict(json.loads(text)) for _, text in rows)
            last = rows[-1][0]

    def ended_by(self, detail: str) -> int:
        """Finished trajectories that ended for this reason."""
        return int(self._run(f"SELECT COUNT(*) FROM finished WHERE {_ENDED_BY}", (_detail(detail),))[0][0])

    def forget(self, detail: str) -> None:
        """Makes them unfinished again."""
        self._run(f"DELETE FROM finished WHERE {_ENDED_BY}", (_detail(detail),))

    def add_check(self, task_id: str, outcome: dict[str, object]) -> None:
        self._run("INSERT OR REPLACE INTO checks VALUES (?, ?)", (task_id, json.dumps(outcome)))

    def checks(self) -> dict[str, dict[str, object]]:
        return {task_id: json.loads(text) for task_id, text in self._run("SELECT task_id, outcome FROM checks")}

    def close(self) -> None:
        with self._lock:
            self._db.close()
