"""Rows appended to a JSONL file as they come, so that a killed command goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from iterpref.errors import UserError


class Ledger:
    """A file of finished work. Only one process writes at a time (the caller's affair); half a last line, which a kill may
    leave, is cut off when the file is opened for more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: IO[bytes] | None = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """All whole rows; raises `UserError` for a file that is not ours."""
        if not self.path.is_file():
            return
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
