"""Examples as rows of an Arrow table: on disk, memory-mapped, and made into numpy views only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from iterpref.artifacts import undamaged
from iterpref.schema import Example

_ROWS = {
    "prompt_ids": pa.int32(), "chosen_ids": pa.int32(), "rejected_ids": pa.int32(), "chosen_mask": pa.float32(),
    "rejected_mask": pa.float32(), "chosen_focal": pa.uint8(), "rejected_focal": pa.uint8(),
}  # fmt: skip
_LENGTHS = {"n_prompt": "prompt_ids", "n_chosen": "chosen_ids", "n_rejected": "rejected_ids"}
EXAMPLE_SCHEMA = pa.schema(
    [pa.field("pair_id", pa.string()), pa.field("split", pa.string())]
    + [pa.field(name, pa.list_(item)) for name, item in _ROWS.items()]
    + [pa.field(name, pa.int32()) for name in _LENGTHS]
)

Indices = Sequence[int] | npt.NDArray[np.integer[Any]]


def to_table(examples: Sequence[Example]) -> pa.Table:
    """The examples as a table of `EXAMPLE_SCHEMA`; lengths stand in columns of their own, in tokens."""
    columns: dict[str, pa.Array] = {
        "pair_id": pa.array([e.pair_id for e in examples], pa.string()),
        "split": pa.array([e.split for e in examples], pa.string()),
    }
    for name, item in _ROWS.items():
        rows = [np.asarray(getattr(e, name), item.to_pandas_dtype()) for e in examples]
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        values = np.concatenate(rows) if rows else np.zeros(0, item.to_pandas_dtype())
        columns[name] = pa.ListArray.from_arrays(pa.array(ends), pa.array(values))
    for name, of in _LENGTHS.items():
        columns[name] = pa.array([len(getattr(e, of)) for e in examples], pa.int32())
    return pa.table(columns, schema=EXAMPLE_SCHEMA)


def open_examples(parquet: Path, cache: Path) -> ExampleTable:
    """The examples of a finished tokens stage, memory-mapped from an Arrow copy that `datasets` keeps under `cache`.

    Raises `UserError` for a file that was damaged.
    """
    from datasets import Dataset, disable_progress_bars, enable_progress_bars
    from datasets.exceptions import DatasetGenerationError
    from pyarrow.dataset import ParquetFragmentScanOptions

    checked = ParquetFragmentScanOptions(page_checksum_verification=True)
    disable_progress_bars()
    try:
        with undamaged(parquet):
            try:
                dataset = Dataset.from_parquet(str(parquet), cache_dir=str(cache), fragment_scan_options=checked)
            except DatasetGenerationError as error:
                raise error.__cause__ or error from None
    finally:
        enable_progress_bars()
    return ExampleTable(dataset.data.table)


class ExampleTable(Sequence[Example]):
    """A read-only sequence of examples whose rows stay where they are until `table[i]` makes numpy views of them.

    `select` and slices share the table; lengths, ids and splits come from columns of their own, without touching a row.
    """

    def __init__(self, table: pa.Table, rows: Indices | None = None) -> None:
        self._table = table
        self._rows = np.arange(table.num_rows) if rows is None else np.asarray(rows, np.int64)
        self._batches = table.to_batches()
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)
        # The (row ends, values) of each list column, batch by batch: views into the mapped file.
        self._columns: dict[int, dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> ExampleTable: ...
    def __getitem__(self, index: int | slice) -> Example | ExampleTable:
        if isinstance(index, slice):
            return ExampleTable(self._table, self._rows[index])
        row = int(self._rows[index])
        b = int(np.searchsorted(self._ends, row, side="right"))
        batch = self._batches[b]
        i = row - int(self._ends[b]) + batch.num_rows
        columns = self._columns.get(b) or self._columns.setdefault(b, _views(batch))
        return Example(
            pair_id=batch.column("pair_id")[i].as_py(),
            split=batch.column("split")[i].as_py(),
            **{name: values[ends[i] : ends[i + 1]] for name, (ends, values) in columns.items()},
        )

    def select(self, indices: Indices) -> ExampleTable:
        """The examples at these positions, in this order."""
        return ExampleTable(self._table, self._rows[np.asarray(indices, np.int64)])

    @cached_property
    def pair_ids(self) -> list[str]:
        return self._strings("pair_id")

    @cached_property
    def splits(self) -> list[str]:
        return self._strings("split")

    @cached_property
    def prompt_lengths(self) -> npt.NDArray[np.int32]:
        return self._numbers("n_prompt")

    @cached_property
    def chosen_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of y+, EOS included."""
        return self._numbers("n_chosen")

    @cached_property
    def rejected_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of y-, EOS included."""
        return self._numbers("n_rejected")

    def _strings(self, name: str) -> list[str]:
        return self._table.column(name).take(pa.array(self._rows)).to_pylist()

    def _numbers(self, name: str) -> npt.NDArray[np.int32]:
        return self._table.column(name).to_numpy()[self._rows]


def _views(batch: pa.RecordBatch) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    columns = {name: batch.column(name) for name in _ROWS}
    return {name: (column.offsets.to_numpy(), column.values.to_numpy()) for name, column in columns.items()}
