"""Rows appended to a JSONL file as they come, so that a killed command goes on where it was.

with Ledger(path) as ledger:
    known = list(ledger.rows())
    ledger.add(row)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from filelock import FileLock

from iterpref.errors import UserError


class Ledger:
    """A file of finished work, open inside `with`. One process has it at a time: others wait, and then find the rows that
    came meanwhile. Half a last line, which a kill may leave, is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        self._handle: IO[bytes] | None = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """All whole rows; raises `UserError` for a file that is not ours."""
        with self.path.open("rb") as lines:
            for i, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise UserError(
                        f"{self.path}, line {i}: not a row of ours ({error}); remove the file to start anew"
                    ) from None
                yield row

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._handle = self.path.open("ab")
        whole = self._end_of_last_line()
        self._handle.truncate(whole)
        return self

    def _end_of_last_line(self) -> int:
        data = self.path.read_bytes()
        return data.rfind(b"\n") + 1

    def add(self, row: dict[str, Any]) -> None:
        """One row, on its way to the disk before this returns."""
        assert self._handle is not None
        self._handle.write(json.dumps(row).encode() + b"\n")
        self._handle.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._handle is not None
        os.fsync(self._handle.fileno())
        self._handle.close()
        self._handle = None
        self._lock.release()
