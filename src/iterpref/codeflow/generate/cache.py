"""Every answer that was ever paid for, in SQLite: durable the moment it arrives, found again by its request's hash."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from iterpref.codeflow.generate.chat import ChatParams, Completion, Message
from iterpref.codeflow.store import as_os_error
from iterpref.errors import UserError

_BUSY_S = 60.0  # another process may be writing


class RequestCache:
    """Completions by `chat.request_key`. Safe for several threads and processes; a full disk raises `OSError`.

    The request is kept beside its answer, so that a cache can be read by people and replayed elsewhere.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        # Autocommit: one row is one transaction, and WAL keeps a killed writer from tearing it.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_BUSY_S)
        try:
            for statement in (
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=NORMAL",
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL,"
                " answer TEXT NOT NULL, spender TEXT NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL)",
                "CREATE INDEX IF NOT EXISTS by_spender ON answers (spender, tokens, cost)",
            ):
                self._run(statement)
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path} is no cache of answers ({error}): move it away, or choose another paths.data=DIR"
            ) from None

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                raise as_os_error(error, self.path) from error

    def get(self, key: str) -> Completion | None:
        rows = self._run("SELECT answer FROM answers WHERE key = ?", (key,))
        return Completion.from_dict(json.loads(str(rows[0][0]))) if rows else None

    def put(
        self, messages: Sequence[Message], params: ChatParams, attempt: int, answer: Completion, spender: str
    ) -> Completion:
        """Stores the answer; of two answers to one request the first stays, and is returned."""
        request = {"messages": [m.to_dict() for m in messages], "params": params.to_dict(), "attempt": attempt}
        tokens = answer.tokens_in + answer.tokens_out
        row = (
            answer.request_key,
            answer.model,
            json.dumps(request),
            json.dumps(answer.to_dict()),
            spender,
            tokens,
            answer.cost,
        )
        self._run("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return self.get(answer.request_key) or replace(answer)

    def spent(self, spender: str) -> tuple[int, int, float]:
        """Calls, tokens and cost of all answers that were paid for in the name of `spender`."""
        query = "SELECT COUNT(*), COALESCE(SUM(tokens), 0), COALESCE(SUM(cost), 0.0) FROM answers WHERE spender = ?"
        ((calls, tokens, cost),) = self._run(query, (spender,))
        return int(str(calls)), int(str(tokens)), float(str(cost))

    def close(self) -> None:
        with self._lock:
            self._db.close()
