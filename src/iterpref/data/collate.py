"""Examples -> a `Batch`: padded sequences, or pairs whose common prefix runs once (`packing=shared`), with one meaning.

Both versions of a pair see the same prompt and most of the same code. Causality makes the hidden states of that common
prefix equal, so a shared row computes it once and lets two branches look back at it:

    positions   0 1 2 3 4 5 | 6 7 8 | 6 7 8 9        branch   0 0 0 0 0 0 | 1 1 1 | 2 2 2 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from iterpref.schema import Batch, Example


@dataclass
class _Row:
    """One row of tokens under construction; `scored` are (position, label, reference log-prob)."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    scored: list[tuple[int, int, float]] = field(default_factory=list)
    entries: list[tuple[int, int, float, int]] = field(default_factory=list)  # scored index, side, weight, focal

    def extend(self, ids: Sequence[int], start: int, branch: int) -> None:
        self.ids.extend(ids)
        self.positions.extend(range(start, start + len(ids)))
        self.branch.extend([branch] * len(ids))


def collate(examples: Sequence[Example], *, packing: str, pad_id: int, step_pairs: int | None = None) -> Batch:
    """A batch of the examples, in their order. `step_pairs` defaults to their number.

    The reference log-probs go along when every example has them. Padding goes to the right; it is never attended to.
    """
    cached = all(e.chosen_ref_logps is not None and e.rejected_ref_logps is not None for e in examples)
    make_rows = _shared_rows if packing == "shared" else _padded_rows
    rows: list[tuple[int, _Row]] = [(p, row) for p, example in enumerate(examples) for row in make_rows(example)]
    width = max(len(row.ids) for _, row in rows)
    shape = (len(rows), width)
    input_ids, positions = np.full(shape, pad_id, np.int64), np.zeros(shape, np.int64)
    branch = np.full(shape, -1, np.int8)
    scored: list[tuple[int, int, float]] = []
    entries: list[tuple[int, int, float, int]] = []
    for s, (p, row) in enumerate(rows):
        n = len(row.ids)
        input_ids[s, :n], positions[s, :n], branch[s, :n] = row.ids, row.positions, row.branch
        first = len(scored)
        scored.extend((s * width + at, label, ref) for at, label, ref in row.scored)
        entries.extend((first + i, p + side * len(examples), weight, focal) for i, side, weight, focal in row.entries)
    return Batch(
        pair_ids=[e.pair_id for e in examples],
        input_ids_ST=torch.from_numpy(input_ids),
        position_ids_ST=torch.from_numpy(positions),
        branch_ST=torch.from_numpy(branch),
        shared=packing == "shared",
        rows_R=_column(scored, 0, torch.int64),
        labels_R=_column(scored, 1, torch.int64),
        ref_logps_R=_column(scored, 2, torch.float32) if cached else None,
        entry_row_E=_column(entries, 0, torch.int64),
        entry_sequence_E=_column(entries, 1, torch.int64),
        weights_E=_column(entries, 2, torch.float32),
        focal_E=_column(entries, 3, torch.float32),
        step_pairs=step_pairs or len(examples),
        n_tokens=sum(len(row.ids) for _, row in rows),
    )


def _column(rows: Sequence[tuple], index: int, dtype: torch.dtype) -> Tensor:
    return torch.tensor([row[index] for row in rows], dtype=dtype)


def _sides(example: Example) -> list[tuple[list[int], list[float], list[int], list[float]]]:
    """(ids, weights, focal, reference log-probs) of the chosen side, then of the rejected side."""
    rows = (
        (example.chosen_ids, example.chosen_mask, example.chosen_focal, example.chosen_ref_logps),
        (example.rejected_ids, example.rejected_mask, example.rejected_focal, example.rejected_ref_logps),
    )
    return [tuple(np.asarray(c if c is not None else [0.0] * len(row[0])).tolist() for c in row) for row in rows]  # type: ignore[misc]


def _padded_rows(example: Example) -> list[_Row]:
    rows = []
    n = len(example.prompt_ids)
    for side, (ids, weights, focal, refs) in enumerate(_sides(example)):
        row = _Row()
        # The last token predicts nothing that is scored, so it need not run.
        row.extend([*example.prompt_ids, *ids[:-1]], 0, 0)
        for t, token in enumerate(ids):
            row.scored.append((n + t - 1, token, refs[t]))
            row.entries.append((t, side, weights[t], focal[t]))
        rows.append(row)
    return rows


def _shared_rows(example: Example) -> list[_Row]:
    row = _Row()
    n = len(example.prompt_ids)
    sides = _sides(example)
    common = common_prefix(sides[0][0], sides[1][0])
    row.extend([*example.prompt_ids, *sides[0][0][:common]], 0, 0)
    for side, (ids, weights, focal, refs) in enumerate(sides):
        branch_at = len(row.ids)
        row.extend(ids[common:-1], n + common, side + 1)
        for t, token in enumerate(ids):
            if t < common and side == 1:
                # The same position was asked for the same token by the chosen side.
                row.entries.append((t, side, weights[t], focal[t]))
                continue
            # The first token of a branch is predicted at the last shared position, the others inside the branch.
            at = n + t - 1 if t <= common else branch_at + t - common - 1
            row.entries.append((len(row.scored), side, weights[t], focal[t]))
            row.scored.append((at, token, refs[t]))
    return [row]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length


def attention_mask(batch: Batch, dtype: torch.dtype) -> Tensor:
    """[S, T] int64 for padded rows; for shared rows [S, 1, T, T] of `dtype`, 0 where query t may see key u, else its lowest.

    t sees u when u <= t and u is common to the row or on t's own branch. A padding query sees itself, so that no row of
    the softmax is empty.
    """
    if not batch.shared:
        return (batch.branch_ST >= 0).long()
    branch_ST = batch.branch_ST
    width = branch_ST.shape[1]
    query, key = branch_ST[:, :, None], branch_ST[:, None, :]
    index = torch.arange(width, device=branch_ST.device)
    allowed_STT = (index[:, None] >= index[None, :]) & ((key == 0) | (key == query)) & (key >= 0)
    allowed_STT = allowed_STT | torch.eye(width, dtype=torch.bool, device=branch_ST.device)
    mask_STT = torch.zeros(allowed_STT.shape, dtype=dtype, device=branch_ST.device)
    return mask_STT.masked_fill_(~allowed_STT, torch.finfo(dtype).min)[:, None]
