"""The reference as a column: per-token log-probs of the frozen model, computed once.

They depend on token ids, weights and arithmetic, and on no mask, beta or alpha; so they survive a change of any of these.
Each completion token has one, whatever a training step scores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.batch import Batch
from iterpref.data.loader import ids_digest
from iterpref.models.policy import score_rows
from iterpref.progress import track
from iterpref.record import Record
from iterpref.schema import Example

_PAIRS_PER_SHARD = 32
_COLUMNS = ("chosen_ref_logps", "rejected_ref_logps")
Rows = npt.NDArray[np.integer[Any]]
MakeBatch = Callable[[Sequence[Example]], Batch]


@dataclass(frozen=True)
class ReferenceLogps(Record):
    """fp32 log-probs of each completion token, EOS included: under the reference, whose columns these are, or under a model that
    is evaluated as the reference was."""

    pair_id: str
    chosen_ref_logps: tuple[float, ...]
    rejected_ref_logps: tuple[float, ...]


def reference_key(examples: Sequence[Example], weights: str, arithmetic: str) -> str:
    """The key of the cache: the ids of the pairs, the weights' hash and dtype, the arithmetic of the pass."""
    return fingerprint("reference", ids_digest(examples), weights, arithmetic)


def reference_stage(
    data: Path, key: str, examples: Sequence[Example], open_model: Any, *, make_batch: MakeBatch, micro_batch: int,
    backend: str, autocast: Any,
) -> Artifact:  # fmt: skip
    """Computes and stores what `key` names; a killed run goes on from its last finished shard.

    Args:
        open_model: called only when something is missing; returns the model on its device.
        autocast: called for each batch; returns the context of its forward pass.
    """
    folder = data / "reference"
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        # Long pairs first: if memory is short, it shows at once.
        tokens = [len(e.chosen_ids) + len(e.rejected_ids) + len(e.prompt_ids) for e in examples]
        names = [e.pair_id for e in examples]
        order = sorted(range(len(examples)), key=lambda i: (-tokens[i], names[i]))
        shards = [order[i : i + _PAIRS_PER_SHARD] for i in range(0, len(order), _PAIRS_PER_SHARD)]
        keys = [f"{key}-{i:05d}" for i in range(len(shards))]
        parts = folder / "shards"
        missing = [i for i, shard_key in enumerate(keys) if find(parts, shard_key) is None]
        model = open_model() if missing else None
        for i in track(missing, len(missing), "reference log-probs"):
            shard = [examples[j] for j in shards[i]]
            rows = all_logps(model, shard, micro_batch, make_batch=make_batch, backend=backend, autocast=autocast)
            publish(parts, keys[i], {"reference": (ReferenceLogps, rows)}, {"stage": "reference_shard"})
        found = [part for shard_key in keys if (part := find(parts, shard_key))]
        table = pa.concat_tables([part.load("reference") for part in found]).combine_chunks()
        ordered = table.sort_by("pair_id")
        counts = {"pairs": ordered.num_rows}
        artifact = publish(
            folder, key, {"reference": (ordered.schema, [ordered])}, {"stage": "reference", "counts": counts}
        )
        for part in found:
            shutil.rmtree(part.folder)
        return artifact


def batch_logps(
    model: Any, examples: Sequence[Example], *, make_batch: MakeBatch, backend: str, autocast: Any
) -> list[ReferenceLogps]:
    """Per-token log-probs of one batch under `model`, in the order of the examples."""
    batch = make_batch(examples)
    assert batch.terms is None, "a batch that scores some tokens gives no whole columns"
    # Entries of a sequence stand in token order; a stable sort brings each sequence's together.
    lengths = batch.completion_tokens_S.long().tolist()
    order = np.argsort(batch.entry_sequence_E.numpy(), kind="stable")[: sum(lengths)]
    with torch.no_grad(), autocast():
        logps_R = score_rows(model, batch.to(model.device), None, backend).policy_logps_R
    logps_E = logps_R.float().cpu().numpy()[batch.entry_row_E.numpy()]
    columns = np.split(logps_E[order], np.cumsum(lengths)[:-1])
    P = len(examples)
    return [
        ReferenceLogps(e.pair_id, tuple(columns[p].tolist()), tuple(columns[p + P].tolist()))
        for p, e in enumerate(examples)
    ]


def all_logps(
    model: Any, examples: Sequence[Example], micro_batch: int, *, make_batch: MakeBatch, backend: str, autocast: Any,
    shown: str | None = None,
) -> list[ReferenceLogps]:  # fmt: skip
    """`batch_logps` of all examples, `micro_batch` at a time; `shown` names a progress bar."""
    groups = [examples[i : i + micro_batch] for i in range(0, len(examples), micro_batch)]
    return [
        row
        for group in (track(groups, len(groups), shown) if shown else groups)
        for row in batch_logps(model, group, make_batch=make_batch, backend=backend, autocast=autocast)
    ]


def attach(examples: Sequence[Example], cache: Artifact) -> Referenced:
    """The examples with their reference columns, which stay in Arrow until an example is asked for."""
    table = cache.load("reference").combine_chunks()
    row_of = {pair_id: row for row, pair_id in enumerate(table["pair_id"].to_pylist())}
    pair_ids = getattr(examples, "pair_ids", None) or [e.pair_id for e in examples]
    return Referenced(examples, table, np.arange(len(examples)), np.asarray([row_of[i] for i in pair_ids], np.int64))


class Referenced(Sequence[Example]):
    """Examples, each with the reference log-probs of its row of `table`: numpy views, made when asked for."""

    def __init__(self, examples: Sequence[Example], table: pa.Table, at: Rows, rows: Rows) -> None:
        self._examples, self._table, self._at, self._rows = examples, table, at, rows
        columns = [table[name].combine_chunks() for name in _COLUMNS]
        self._columns = [(c.offsets.to_numpy(), c.values.to_numpy()) for c in columns]

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Referenced: ...
    def __getitem__(self, index: int | slice) -> Example | Referenced:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        row = self._rows[index]
        chosen, rejected = (values[ends[row] : ends[row + 1]] for ends, values in self._columns)
        return replace(self._examples[int(self._at[index])], chosen_ref_logps=chosen, rejected_ref_logps=rejected)

    def select(self, indices: Rows) -> Referenced:
        """The examples at these positions, in this order."""
        return Referenced(self._examples, self._table, self._at[indices], self._rows[indices])
