"""Rows of Arrow tables, as Python has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from iterpref import strict_json
from iterpref.json_lines import BadRow, Row

Decode = Callable[[Any], Any]


def records_of(batch: pa.RecordBatch | pa.Table) -> Iterator[Row]:
    """The rows of an Arrow batch or table; one that Python cannot hold is a `BadRow`, and its neighbours are kept."""
    decode = _decoder(pa.struct(list(batch.schema)))
    try:
        rows = batch.to_pylist()
        yield from [decode(row) for row in rows] if decode else rows
    except (ValueError, OverflowError, RecursionError) as fault:  # text that is not UTF-8, a time that is none
        if batch.num_rows == 1:
            yield BadRow(f"a value cannot be read ({fault})")
            return
        for i in range(batch.num_rows):
            yield from records_of(batch.slice(i, 1))


def _decoder(kind: pa.DataType) -> Decode | None:
    """What makes a value of Python's of this type; None: it is one.

    Where texts stand beside numbers or lists, `datasets` keeps all of them as JSON, and so do its Parquet files.
    """
    if isinstance(kind, pa.JsonType):
        return lambda text: None if text is None else strict_json.loads(text)
    if pa.types.is_struct(kind):
        members = {field.name: decode for field in kind if (decode := _decoder(field.type))}
        return _of_struct(members) if members else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        each = _decoder(kind.value_type)
        return _of_list(each) if each else None
    return None


def _of_struct(members: dict[str, Decode]) -> Decode:
    def decode(value: dict[str, Any] | None) -> Any:
        return None if value is None else {n: members[n](v) if n in members else v for n, v in value.items()}

    return decode


def _of_list(each: Decode) -> Decode:
    return lambda value: None if value is None else [each(item) for item in value]
