"""Examples -> a `Batch`, by one of three packings with one meaning.

    none     every sequence by itself, one forward pass each: the definition
    padded   a row for each sequence, filled up to the longest
    shared   whole pairs, packed into rows; the tokens that chosen and rejected have in common run once

Both versions of a pair see the same prompt and most of the same code. Causality makes the hidden states of that common
prefix equal, so a shared row computes it once and lets two branches look back at it:

    positions   0 1 2 3 4 5 | 6 7 8 | 6 7 8 9        near  0 0 0 0 0 0 | 0 0 0 | 9 9 9 9        far  [0, 6) for the last four

A sequence runs up to the token before its last scored one: what comes later changes no loss (*tail cut*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from iterpref.batch import Batch, Terms
from iterpref.errors import UserError
from iterpref.schema import Example

Ints = np.ndarray[Any, np.dtype[np.int64]]
PARTS = 16  # between two powers of two, of rows' lengths: `collate`


@dataclass
class _Side:
    """One completion: its tokens, which of them are scored, and how many of them have to run."""

    ids: Ints
    weights: np.ndarray
    focal: np.ndarray
    refs: np.ndarray
    scored: Ints  # indices of the scored tokens
    runs: int  # tokens before the last scored one

    @classmethod
    def of(cls, ids: Any, weights: Any, focal: Any, refs: Any, terms: Terms | None, name: str) -> _Side:
        ids = np.asarray(ids, np.int64)
        weights, focal = np.asarray(weights, np.float32), np.asarray(focal, np.float32)
        refs = np.zeros(len(ids), np.float32) if refs is None else np.asarray(refs, np.float32)
        if terms is None or terms.nll == name:
            scored = np.arange(len(ids))
        elif terms.preference:
            scored = np.flatnonzero((weights != 0) | (focal != 0))
        else:
            scored = np.empty(0, np.int64)
        return cls(ids, weights, focal, refs, scored, int(scored[-1]) if len(scored) else 0)


@dataclass
class _Piece:
    """What goes into one row as a whole: a sequence, or a pair. Indices count from its first token."""

    ids: Ints
    positions: Ints
    near: Ints
    far_end: Ints  # `far` is the piece's first token; 0: no far keys
    rows: Ints  # [R] positions that are asked for a token
    labels: Ints
    refs: np.ndarray
    entries: Ints  # [E, 3]: row, side, index of the token in its side
    sides: tuple[_Side, _Side]

    def __len__(self) -> int:
        return len(self.ids)


_Pieces = Sequence[tuple[int, _Piece]]  # with the number of their pair
_Columns = dict[str, np.ndarray]


def collate(
    examples: Sequence[Example],
    *,
    packing: str,
    pad_id: int,
    step_pairs: int | None = None,
    terms: Terms | None = None,
    one_row: bool = False,
    parts: int | None = None,
) -> Batch:
    """A batch of the examples, in their order.

    Args:
        step_pairs: pairs in the optimizer step; defaults to the number of examples.
        terms: score only what these terms of the loss need; None scores every completion token.
        one_row: pack all pairs into one row (`shared`), which a block-sparse attention wants; else rows are as long as the
            longest pair, which a dense mask wants.
        parts: rows, scored rows and entries are filled up to one of a few lengths (`bucket`), whole blocks for FlexAttention, and few
            enough to record a graph of each: so many between two powers of two; of scored rows, which are fewer, half as many, 4 at
            least. What fills a row goes to the right, is never attended to and never scored; a scored row that fills up belongs
            to no sequence. None: as long as they are.

    The reference log-probs go along when every example has them. Raises `UserError` for a pair without a prompt token:
    nothing would predict its first completion token.
    """
    cached = all(e.chosen_ref_logps is not None and e.rejected_ref_logps is not None for e in examples)
    make = _pair if packing == "shared" else _sequences
    pieces = [(p, piece) for p, example in enumerate(examples) for piece in make(example, terms)]
    lengths = [len(piece) for _, piece in pieces]
    places, shape = _place(lengths, packing, one_row, parts)
    rows, entries = _scored(pieces, places, shape[1], len(examples))
    if parts:
        rows, entries = _filled(rows, max(parts // 2, 4)), _filled(entries, 1, sequence=2 * len(examples))
    used = [0] * shape[0]
    for (s, at), length in zip(places, lengths, strict=True):
        used[s] = max(used[s], at + length)
    tensor = torch.from_numpy
    input_ids_ST, position_ids_ST, near_ST, far_ST, far_end_ST = map(tensor, _grids(pieces, places, shape, pad_id))
    return Batch(
        pair_ids=[e.pair_id for e in examples],
        packing=packing,
        terms=terms,
        input_ids_ST=input_ids_ST,
        position_ids_ST=position_ids_ST,
        near_ST=near_ST,
        far_ST=far_ST,
        far_end_ST=far_end_ST,
        rows_R=tensor(rows["row"]),
        labels_R=tensor(rows["label"]),
        ref_logps_R=tensor(rows["ref"]) if cached else None,
        entry_row_E=tensor(entries["row"]),
        entry_sequence_E=tensor(entries["sequence"]),
        weights_E=tensor(entries["weight"]),
        focal_E=tensor(entries["focal"]),
        completion_tokens_S=torch.tensor(
            [float(len(ids)) for side in ("chosen_ids", "rejected_ids") for ids in (getattr(e, side) for e in examples)]
        ),
        lengths=lengths if packing == "none" else used,
        step_pairs=step_pairs or len(examples),
        n_tokens=sum(lengths),
    )


def trie_tokens(example: Example, terms: Terms | None = None) -> int:
    """Tokens that the pair costs in a shared row."""
    chosen, rejected = _sides(example, terms)
    common = min(common_prefix(chosen.ids, rejected.ids), chosen.runs, rejected.runs)
    return len(example.prompt_ids) + chosen.runs + rejected.runs - common


def common_prefix(first: Any, second: Any) -> int:
    """Length of the longest common prefix."""
    n = min(len(first), len(second))
    differ = np.flatnonzero(np.asarray(first)[:n] != np.asarray(second)[:n])
    return int(differ[0]) if len(differ) else n


def _sides(e: Example, terms: Terms | None) -> tuple[_Side, _Side]:
    return (
        _Side.of(e.chosen_ids, e.chosen_mask, e.chosen_focal, e.chosen_ref_logps, terms, "chosen"),
        _Side.of(e.rejected_ids, e.rejected_mask, e.rejected_focal, e.rejected_ref_logps, terms, "rejected"),
    )


def _prompt(example: Example) -> Ints:
    prompt = np.asarray(example.prompt_ids, np.int64)
    if not len(prompt):
        raise UserError(
            f"pair {example.pair_id} has an empty prompt, so nothing predicts its first token: "
            "give its task a prompt, or use model.prompt_format=chat"
        )
    return prompt


def _sequences(example: Example, terms: Terms | None) -> list[_Piece]:
    """The two sequences of a pair; one with nothing to score does not run."""
    prompt, sides = _prompt(example), _sides(example, terms)
    pieces = []
    for i, side in enumerate(sides):
        if not len(side.scored) and (i == 1 or len(sides[1].scored)):
            continue  # one piece stays, so that no pair and no batch is empty
        ids = np.concatenate([prompt, side.ids[: side.runs]])
        entries = np.column_stack([np.arange(len(side.scored)), np.full(len(side.scored), i), side.scored])
        zeros = np.zeros(len(ids), np.int64)
        pieces.append(_Piece(
            ids, np.arange(len(ids)), zeros, zeros, len(prompt) + side.scored - 1, side.ids[side.scored],
            side.refs[side.scored], entries, sides,
        ))  # fmt: skip
    return pieces


def _pair(example: Example, terms: Terms | None) -> list[_Piece]:
    """Prompt and common prefix, chosen branch, rejected branch."""
    prompt, (chosen, rejected) = _prompt(example), _sides(example, terms)
    n, alike = len(prompt), common_prefix(chosen.ids, rejected.ids)
    common = min(alike, chosen.runs, rejected.runs)
    fork, second = n + common, n + chosen.runs
    ids = np.concatenate([prompt, chosen.ids[: chosen.runs], rejected.ids[common : rejected.runs]])
    length = len(ids)
    positions = np.concatenate([np.arange(second), np.arange(fork, fork + length - second)])
    near, far_end = np.zeros(length, np.int64), np.zeros(length, np.int64)
    near[second:], far_end[second:] = second, fork

    # A token of both sides before they part is asked for at one position: one row, two entries.
    again = np.isin(rejected.scored, chosen.scored) & (rejected.scored < alike)
    fresh = rejected.scored[~again]
    # Token t is predicted by token t - 1, which stands in the prefix up to the fork, and inside the branch after it.
    fresh_at = np.where(fresh <= common, n + fresh - 1, second + fresh - common - 1)
    row_of = np.empty(len(rejected.scored), np.int64)
    row_of[~again] = len(chosen.scored) + np.arange(len(fresh))
    row_of[again] = np.searchsorted(chosen.scored, rejected.scored[again])
    entries = np.concatenate([
        np.column_stack([np.arange(len(chosen.scored)), np.zeros(len(chosen.scored), np.int64), chosen.scored]),
        np.column_stack([row_of, np.ones(len(row_of), np.int64), rejected.scored]),
    ])  # fmt: skip
    return [_Piece(
        ids, positions, near, far_end,
        np.concatenate([n + chosen.scored - 1, fresh_at]),
        np.concatenate([chosen.ids[chosen.scored], rejected.ids[fresh]]),
        np.concatenate([chosen.refs[chosen.scored], rejected.refs[fresh]]),
        entries, (chosen, rejected),
    )]  # fmt: skip


def _place(
    lengths: Sequence[int], packing: str, one_row: bool, parts: int | None
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """(row, first position) of each piece, and the shape [S, T] that holds them."""

    def up(tokens: int) -> int:
        return bucket(tokens, parts) if parts else tokens

    if packing == "padded":
        return [(s, 0) for s in range(len(lengths))], (len(lengths), up(max(lengths)))
    if packing == "none" or one_row:
        starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        return [(0, at) for at in starts[:-1]], (1, starts[-1] if packing == "none" else up(starts[-1]))
    width = up(max(lengths))
    places, used = [(0, 0)] * len(lengths), list[int]()
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):  # first fit, longest first
        s = next((s for s, n in enumerate(used) if n + lengths[i] <= width), len(used))
        used[s:] = [*used[s:], 0] if s == len(used) else used[s:]
        places[i] = (s, used[s])
        used[s] += lengths[i]
    return places, (len(used), width)


def _grids(
    pieces: _Pieces, places: Sequence[tuple[int, int]], shape: tuple[int, int], pad_id: int
) -> tuple[np.ndarray, ...]:
    """Ids, positions and the two runs of keys of each token, [S, T]. A token of no piece sees itself alone."""
    input_ids, positions = np.full(shape, pad_id, np.int64), np.zeros(shape, np.int64)
    near = np.tile(np.arange(shape[1], dtype=np.int32), (shape[0], 1))
    far, far_end = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for (_, piece), (s, at) in zip(pieces, places, strict=True):
        here = (s, slice(at, at + len(piece)))
        input_ids[here], positions[here], near[here] = piece.ids, piece.positions, piece.near + at
        far[here], far_end[here] = at, piece.far_end + at
    nothing = far_end <= far
    far[nothing], far_end[nothing] = 0, 0
    return input_ids, positions, near, far, far_end


def _scored(pieces: _Pieces, places: Sequence[tuple[int, int]], T: int, P: int) -> tuple[_Columns, _Columns]:
    """Columns of the scored rows (position in [S T], label, reference log-prob), and of their entries (row, sequence in [2 P],
    weight, focal mark)."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("row", "label", "ref")}
    entries: dict[str, list[np.ndarray]] = {name: [] for name in ("row", "sequence", "weight", "focal")}
    n_rows = 0
    for (p, piece), (s, at) in zip(pieces, places, strict=True):
        rows["row"].append(piece.rows + s * T + at)
        rows["label"].append(piece.labels)
        rows["ref"].append(piece.refs)
        row, side, token = piece.entries.T
        entries["row"].append(row + n_rows)
        entries["sequence"].append(side * P + p)
        for i, completion in enumerate(piece.sides):  # a piece's entries stand side by side
            entries["weight"].append(completion.weights[token[side == i]])
            entries["focal"].append(completion.focal[token[side == i]])
        n_rows += len(piece.rows)
    return _joined(rows), _joined(entries)


def _joined(columns: dict[str, list[np.ndarray]]) -> _Columns:
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _filled(columns: _Columns, parts: int, **fillers: int) -> _Columns:
    """The columns, filled up to a length of `bucket` with the given number or 0."""
    n = len(columns["row"])
    missing = bucket(n, parts) - n
    return {
        name: np.pad(column, (0, missing), constant_values=fillers.get(name, 0)) for name, column in columns.items()
    }


def bucket(n: int, parts: int) -> int:
    """The next of a few lengths: multiples of 128, and beyond of so many parts of the power of two below.

    More parts waste less and make more shapes, each of which is a graph. Positions go through the whole model, scored rows
    through the head, and entries, for which one part will do, are a handful of numbers each.
    """
    step = max(128, (1 << max(n - 1, 1).bit_length() - 1) // parts)
    return -(-n // step) * step
