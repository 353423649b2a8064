"""Records on their way from one step of a stage to the next, on disk: a step may look at all of them, and none holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import pyarrow as pa

from iterpref.artifacts import ROWS_PER_GROUP, arrow_schema
from iterpref.record import Record

R = TypeVar("R", bound=Record)
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool(Generic[R]):
    """Records of one type in the order they were added; `tables` reads them, as often as one likes, once `finish` was called.

    A context manager, whose end removes the file.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        self._path, self.schema = path, arrow_schema(record)
        self._pending: list[R] = []
        self._rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: pa.ipc.RecordBatchStreamWriter | None = pa.ipc.new_stream(
            str(path), self.schema, options=_OPTIONS
        )

    def add(self, record: R) -> None:
        self._pending.append(record)
        self._rows += 1
        if len(self._pending) == ROWS_PER_GROUP:
            self._flush()

    def finish(self) -> Self:
        """Nothing more is added."""
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None
        return self

    def __len__(self) -> int:
        return self._rows

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All rows, `ROWS_PER_GROUP` at a time; of `columns` alone, in the schema's order, where they are given."""
        assert self._writer is None, "finish comes first"
        included = sorted(map(self.schema.get_field_index, columns)) if columns is not None else None
        options = pa.ipc.IpcReadOptions(included_fields=included)
        # Read and not mapped: pages of a map would count as ours.
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file, options=options) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def rows(self, *columns: str) -> Iterator[tuple[object, ...]]:
        """The values of `columns`, row by row, in the order in which they are named."""
        for table in self.tables(columns):
            yield from zip(*(table[name].to_pylist() for name in columns), strict=True)

    def _flush(self) -> None:
        assert self._writer is not None, "it is finished"
        if self._pending:
            rows = [record.to_dict() for record in self._pending]
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self.schema))
            self._pending.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
        self._path.unlink(missing_ok=True)
