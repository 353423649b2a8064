"""Finished stages on disk: Parquet tables and a manifest under a fingerprint, renamed into place when complete.

    DATA/<stage>/<fingerprint>/manifest.json, <table>.parquet

A folder that exists is finished; what has a dot in front of its name is work in progress, which the next run continues or replaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from iterpref.errors import UserError
from iterpref.record import Record, field_types, revive
from iterpref.schema import SCHEMA_VERSION
from iterpref.strict_json import read_object

R = TypeVar("R", bound=Record)
Rows = tuple[type[Record], Iterable[Record]] | tuple[pa.Schema, Iterable[pa.Table]]
# Small enough that a reader who streams holds a few MB, and that several readers get equal shares of a few thousand rows.
ROWS_PER_GROUP = 1024
_ROWS_READ = 256


def fingerprint(*parts: Any) -> str:
    """16 hex digits of sha256 over the parts as canonical JSON: equal configurations, and only those, share it.

    Raises `TypeError` for a part that is no plain JSON type: its `str` may differ from process to process.
    """
    text = json.dumps([SCHEMA_VERSION, *parts], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(file: Path) -> str:
    """`file_sha256`, read once in a process as long as size and time say that the file is the same."""
    state = file.stat()
    return _sha256_at(file.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_at(file: Path, size: int, changed_ns: int) -> str:
    return file_sha256(file)


def arrow_schema(record: type[Record]) -> pa.Schema:
    """The Parquet schema of a record type, from its type hints (an empty list keeps its type that way)."""
    return pa.schema(_arrow_fields(record))


def _arrow_fields(record: type[Any]) -> list[pa.Field]:
    hints = field_types(record)  # type: ignore[arg-type]
    return [pa.field(item.name, _arrow_type(hints[item.name])) for item in fields(record)]


def _arrow_type(hint: Any) -> pa.DataType:
    arguments = [a for a in get_args(hint) if a not in (type(None), Ellipsis)]
    origin = getattr(hint, "__origin__", None)
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    if arguments:  # X | None
        return _arrow_type(arguments[0])
    if is_dataclass(hint):
        return pa.struct(_arrow_fields(hint))  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return pa.string()
    # Masks and log-probs are fp32 by contract (architecture: on-disk records).
    return {str: pa.string(), int: pa.int64(), float: pa.float32(), bool: pa.bool_()}[hint]


@dataclass(frozen=True)
class Artifact:
    """One finished stage."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.folder.name

    def table(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def whole(self, name: str) -> Path:
        """The table, which must be there; raises `UserError` where somebody has taken it away."""
        if not (table := self.table(name)).is_file():
            raise UserError(f"{table} is gone: delete {self.folder} and run again")
        return table

    def read(self, name: str, record: type[R]) -> list[R]:
        return list(self.iterate(name, record))

    def iterate(self, name: str, record: type[R]) -> Iterator[R]:
        """The records in their order, a few at a time: a table may be larger than memory."""
        for batch in self.batches(name, _ROWS_READ):
            yield from records(record, batch)

    def batches(self, name: str, rows: int) -> Iterator[pa.RecordBatch]:
        """At most so many rows at a time. Raises `UserError` for a table that was damaged, as all that read one here do."""
        with undamaged(self.whole(name)), pq.ParquetFile(self.table(name), page_checksum_verification=True) as file:
            left = file.metadata.num_rows
            for batch in file.iter_batches(rows):
                left -= batch.num_rows
                yield batch
            _refuse_lack(left)

    def load(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The table, or these columns of it."""
        with undamaged(self.whole(name)):
            table = pq.read_table(self.table(name), columns=columns, page_checksum_verification=True)
            _refuse_lack(pq.read_metadata(self.table(name)).num_rows - table.num_rows)
            return table

    def row_groups(self, name: str) -> list[int]:
        """Rows of each row group."""
        with undamaged(self.whole(name)):
            told = pq.read_metadata(self.table(name))
            return [told.row_group(i).num_rows for i in range(told.num_row_groups)]

    def row_group(self, name: str, index: int) -> pa.Table:
        with undamaged(self.whole(name)), pq.ParquetFile(self.table(name), page_checksum_verification=True) as file:
            table = file.read_row_group(index)
            _refuse_lack(file.metadata.row_group(index).num_rows - table.num_rows)
            return table


def _refuse_lack(rows: int) -> None:
    # The head of a page has no checksum; one that says that nothing follows would end the table.
    if rows:
        raise pa.ArrowInvalid(f"{rows} rows are missing")


@contextmanager
def undamaged(table: Path) -> Iterator[None]:
    """Reading of a table, whose pages have checksums: what was flipped in one is an error of Arrow's, and here a `UserError`."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):  # the disk's fault
            raise
        why = str(error).partition("\n")[0]
        raise UserError(f"{table} was damaged ({why}): delete {table.parent} and run again") from None


def records(record: type[R], table: pa.RecordBatch | pa.Table) -> list[R]:
    """`[record.from_dict(row) for row in table.to_pylist()]`, a column at a time: no dict is made for a row or for what is in it."""
    return _records(record, {name: table.column(name) for name in table.schema.names})


def _records(record: type[Any], columns: dict[str, Any]) -> list[Any]:
    hints = field_types(record)  # type: ignore[arg-type]
    known = {name: _values(hint, columns[name]) for name, hint in hints.items() if name in columns}
    rows = zip(*known.values(), strict=True)
    if len(known) == len(hints):
        return [record(*row) for row in rows]
    # Defaults stand in for what is missing, or an error names it.
    return [record.from_dict(dict(zip(known, row, strict=True))) for row in rows]


def _values(hint: Any, column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of one column as a record has them: tuples for lists, records for structs."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if hint in (str, int, float, bool) or not len(array):
        return array.to_pylist()
    if not array.null_count and pa.types.is_list(array.type):
        items = _values(get_args(hint)[0], array.flatten())
        ends = array.offsets.to_numpy() - array.offsets[0].as_py()
        return [tuple(items[start:end]) for start, end in pairwise(ends.tolist())]
    if not array.null_count and pa.types.is_struct(array.type) and is_dataclass(hint):
        return _records(hint, {array.type[i].name: child for i, child in enumerate(array.flatten())})  # type: ignore[arg-type]
    return [revive(hint, value) for value in array.to_pylist()]


def find(stage_folder: Path, key: str) -> Artifact | None:
    """The finished artifact of `key`, or None. Raises `UserError` when its manifest or a table was damaged."""
    manifest = stage_folder / key / "manifest.json"
    if not manifest.is_file():
        return None
    remedy = f"delete {manifest.parent} and run again"
    artifact = Artifact(manifest.parent, read_object(manifest, remedy))
    for table in sorted(artifact.folder.glob("*.parquet")):
        if not _ends_as_parquet(table):
            raise UserError(f"{table} was damaged: {remedy}")
    return artifact


def _ends_as_parquet(table: Path) -> bool:
    """Whether the file ends as Parquet files do: of one that was cut, the end is what is lost."""
    with table.open("rb") as file:
        file.seek(-min(4, table.stat().st_size), os.SEEK_END)
        return file.read() == b"PAR1"


@contextmanager
def building(stage_folder: Path, key: str) -> Iterator[None]:
    """Only one process builds `key`; the others wait here, and then find it finished."""
    stage_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(stage_folder / f".{key}.lock"):
        yield


def publish(
    stage_folder: Path, key: str, tables: dict[str, Rows], manifest: dict[str, Any] | Callable[[], dict[str, Any]]
) -> Artifact:
    """Writes tables and manifest beside their place, then renames the folder into it. Byte for byte repeatable.

    A table is `(record type, records)` or `(Arrow schema, Arrow tables)`; either may be a generator, and is never held as a
    whole: `ROWS_PER_GROUP` records make a row group, and so does each Arrow table. A manifest that is a function is asked for when all is written.
    """
    partial = stage_folder / f".{key}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(partial, key, tables, manifest)
    except BaseException:  # an error, or Ctrl-C: nothing is left of what nobody will finish
        shutil.rmtree(partial, ignore_errors=True)
        raise
    # Nothing finished stands there, or the caller would have found it; a folder without its manifest may.
    shutil.rmtree(stage_folder / key, ignore_errors=True)
    partial.rename(stage_folder / key)
    _fsync(stage_folder)
    found = find(stage_folder, key)
    assert found is not None
    return found


def _write(
    folder: Path, key: str, tables: dict[str, Rows], manifest: dict[str, Any] | Callable[[], dict[str, Any]]
) -> None:
    """Tables and manifest, safe on the disk."""
    for name, (kind, rows) in tables.items():
        schema = kind if isinstance(kind, pa.Schema) else arrow_schema(kind)
        with pq.ParquetWriter(folder / f"{name}.parquet", schema, write_page_checksum=True) as writer:
            groups: Iterable[Any] = rows if isinstance(kind, pa.Schema) else _groups(schema, rows)
            for group in groups:
                writer.write_table(group, row_group_size=max(group.num_rows, 1))
    manifest = manifest() if callable(manifest) else manifest
    text = json.dumps({"schema_version": SCHEMA_VERSION, "fingerprint": key, **manifest}, indent=2, sort_keys=True)
    (folder / "manifest.json").write_text(text + "\n")
    for path in (*folder.iterdir(), folder):
        _fsync(path)


def _groups(schema: pa.Schema, rows: Iterable[Any]) -> Iterator[pa.Table]:
    left = iter(rows)
    while group := list(islice(left, ROWS_PER_GROUP)):
        yield pa.Table.from_pylist([row.to_dict() for row in group], schema=schema)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
