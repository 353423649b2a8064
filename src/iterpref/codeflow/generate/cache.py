"""Every answer that was ever paid for, in SQLite: durable the moment it arrives, found again by its request's hash."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from iterpref.codeflow.generate.chat import ChatParams, Completion, Message
from iterpref.codeflow.store import as_os_error, error_code
from iterpref.errors import UserError
from iterpref.record import field_types

_BUSY_S = 60.0  # another process may be writing
_LOOKED_AT = 1000  # of the newest answers, for what a server called its model
_NO_CACHE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)
_CREATE = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL,"
    " answer TEXT NOT NULL, spender TEXT NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_spender ON answers (spender, tokens, cost)",
)


class RequestCache:
    """Completions by `chat.request_key`. Safe for several threads and processes; a full disk raises `OSError`.

    The request is kept beside its answer, so that a cache can be read by people and replayed elsewhere. `reading`: it is somebody
    else's, perhaps where nothing can be written, and stays as it is.

    Raises `UserError` for a file that is no cache, now or with the row that shows it.
    """

    def __init__(self, path: Path, reading: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        statements: tuple[str, ...] = (
            "SELECT key, model, request, answer, spender, tokens, cost FROM answers LIMIT 0",
        )
        if not reading:
            path.parent.mkdir(parents=True, exist_ok=True)
            statements = (*_CREATE, *statements)
        # Autocommit: one row is one transaction, and WAL keeps a killed writer from tearing it.
        try:
            self._db = sqlite3.connect(
                _address(path, reading), uri=True, check_same_thread=False, isolation_level=None, timeout=_BUSY_S
            )
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error
        for statement in statements:
            self._run(statement)

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise self._explained(error) from error

    def _explained(self, error: sqlite3.DatabaseError) -> Exception:
        if error_code(error) not in _NO_CACHE:
            return as_os_error(error, self.path)
        return UserError(
            f"{self.path} is no cache of answers, or a damaged one ({error}): move it away, or choose another paths.data=DIR"
        )

    def get(self, key: str) -> Completion | None:
        rows = self._run("SELECT answer FROM answers WHERE key = ?", (key,))
        return self._read(key, rows[0][0]) if rows else None

    def served(self, model: str) -> str:
        """What the server called `model` in its last answer, or an empty text where it is not among the newest."""
        query = "SELECT key, answer FROM answers WHERE rowid > (SELECT MAX(rowid) FROM answers) - ? AND model = ? ORDER BY rowid DESC LIMIT 1"
        rows = self._run(query, (_LOOKED_AT, model))
        return self._read(*rows[0]).served if rows else ""

    def _read(self, key: object, text: object) -> Completion:
        try:
            answer = Completion.from_dict(json.loads(str(text)))
            hints = field_types(Completion)
            if not (wrong := [name for name, hint in hints.items() if not _is_of(getattr(answer, name), hint)]):
                return answer
            why = f"of another type: {', '.join(wrong)}"
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{self.path}: the answer under the key {key} is none ({why[:200]}); delete that row, and it is asked for again"
        )

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


def _address(path: Path, reading: bool) -> str:
    """For SQLite, which cannot read a file in a folder where it may not write before it is told that nobody else does either."""
    address = f"file:{quote(str(path.absolute()))}"
    if not reading or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return address
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise UserError(
            f"{path} cannot be written, and its newest answers are in {log.name}: copy both files, and give the copy"
        )
    return f"{address}?mode=ro&immutable=1"


def _is_of(value: object, hint: type) -> bool:
    return type(value) is hint or (hint is float and type(value) is int)
