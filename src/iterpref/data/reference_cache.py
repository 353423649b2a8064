"""The reference as a column: per-token log-probs of the frozen model, computed once.

They depend on token ids, weights and arithmetic, and on no mask, beta or alpha; so they survive a change of any of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.data.collate import collate
from iterpref.models.policy import scored_logits
from iterpref.ops import token_logratio
from iterpref.progress import track
from iterpref.schema import Example, Record

_PAIRS_PER_SHARD = 32


@dataclass(frozen=True)
class ReferenceLogps(Record):
    """fp32 log-probs of each completion token under the reference, EOS included."""

    pair_id: str
    chosen_ref_logps: tuple[float, ...]
    rejected_ref_logps: tuple[float, ...]


def reference_key(examples: Sequence[Example], weights: str, arithmetic: str) -> str:
    """The key of the cache: the ids of the pairs, the weights' hash and dtype, the arithmetic of the pass."""
    ids = [
        (e.pair_id, *(np.asarray(row).tolist() for row in (e.prompt_ids, e.chosen_ids, e.rejected_ids)))
        for e in examples
    ]
    return fingerprint("reference", ids, weights, arithmetic)


def reference_stage(
    data: Path, key: str, examples: Sequence[Example], open_model: Any, *, packing: str, micro_batch: int, pad_id: int,
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
        order = sorted(
            examples, key=lambda e: (-len(e.chosen_ids) - len(e.rejected_ids) - len(e.prompt_ids), e.pair_id)
        )
        shards = [order[i : i + _PAIRS_PER_SHARD] for i in range(0, len(order), _PAIRS_PER_SHARD)]
        keys = [f"{key}-{i:05d}" for i in range(len(shards))]
        parts = folder / "shards"
        missing = [i for i, shard_key in enumerate(keys) if find(parts, shard_key) is None]
        model = open_model() if missing else None
        for i in track(missing, len(missing), "reference log-probs"):
            rows = []
            for start in range(0, len(shards[i]), micro_batch):
                group = shards[i][start : start + micro_batch]
                rows += batch_logps(model, group, packing=packing, pad_id=pad_id, backend=backend, autocast=autocast)
            publish(parts, keys[i], {"reference": (ReferenceLogps, rows)}, {"stage": "reference_shard"})
        found = [find(parts, shard_key) for shard_key in keys]
        rows = [row for part in found if part for row in part.read("reference", ReferenceLogps)]
        rows.sort(key=lambda row: row.pair_id)
        artifact = publish(
            folder, key, {"reference": (ReferenceLogps, rows)}, {"stage": "reference", "counts": {"pairs": len(rows)}}
        )
        for part in found:
            if part:
                _remove(part.folder)
        return artifact


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def batch_logps(
    model: Any, examples: Sequence[Example], *, packing: str, pad_id: int, backend: str, autocast: Any
) -> list[ReferenceLogps]:
    """Per-token log-probs of one batch under `model`, in the order of the examples."""
    batch = collate(examples, packing=packing, pad_id=pad_id).to(model.device)
    with torch.no_grad(), autocast():
        logits_RV = scored_logits(model, batch)
    live_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
    zeros_R = torch.zeros(batch.labels_R.shape, device=logits_RV.device)
    logps_R = token_logratio(logits_RV, batch.labels_R, live_R, ref_logps_R=zeros_R, backend=backend).policy_logps_R
    logps_E, sequence_E = logps_R[batch.entry_row_E].cpu(), batch.entry_sequence_E.cpu()
    P = len(examples)
    # Entries stand in token order within their sequence, so a mask by sequence gives the column back.
    columns = [tuple(logps_E[sequence_E == s].tolist()) for s in range(2 * P)]
    return [ReferenceLogps(e.pair_id, columns[p], columns[p + P]) for p, e in enumerate(examples)]


def attach(examples: Sequence[Example], cache: Artifact) -> list[Example]:
    """The examples with their reference columns."""
    rows = {row.pair_id: row for row in cache.read("reference", ReferenceLogps)}
    return [
        replace(
            e, chosen_ref_logps=rows[e.pair_id].chosen_ref_logps, rejected_ref_logps=rows[e.pair_id].rejected_ref_logps
        )
        for e in examples
    ]
