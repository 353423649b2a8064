"""What travels from the collator to the policy and the loss. The legend of shapes stands in `schema.py`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Held by the thread that page-locks memory, and by the one that records a CUDA graph: torch's allocator of page-locked
# memory has pools for graphs since 2.11, and nothing says that two threads may be in it during a recording.
PAGE_LOCKING = threading.Lock()


@dataclass(frozen=True)
class Terms:
    """The terms of the loss that a batch is laid out for."""

    preference: bool  # tokens with a weight in K+ or K-, and those of D+ and D-
    nll: str | None  # chosen | rejected: all tokens of that side


@dataclass
class Batch:
    """Pairs laid out for one forward pass. `packing` says how; what a batch means does not depend on it.

    Every token sees its own run of keys, `near_ST[s, t]` to t, and a second, earlier run [`far_ST`, `far_end_ST`) that only
    the second branch of a pair has: the prefix that it shares. Padding sees itself.

    Row r of the logits stands at the flattened position `rows_R[r]` and is asked for token `labels_R[r]`. An entry e says
    that this row belongs to sequence `entry_sequence_E[e]` (0..P-1 chosen, P..2P-1 rejected) with weight `weights_E[e]` in
    K+ or K-; a shared row has one entry for either side. `terms` says which tokens have rows: all of both completions
    (None), or those that a term of the loss asks for.
    """

    pair_ids: list[str]
    packing: str  # none: sequences end to end in one row; padded: a row each; shared: whole pairs, common prefix once
    terms: Terms | None
    input_ids_ST: Tensor  # int64
    position_ids_ST: Tensor  # int64
    near_ST: Tensor  # int32
    far_ST: Tensor  # int32
    far_end_ST: Tensor  # int32
    rows_R: Tensor  # int64, flattened [S * T] index of the position that predicts the token
    labels_R: Tensor  # int64
    ref_logps_R: Tensor | None  # fp32, when the reference is cached
    entry_row_E: Tensor  # int64 into R
    entry_sequence_E: Tensor  # int64 in [0, 2 P)
    weights_E: Tensor  # fp32, the mask of K+ and K-
    focal_E: Tensor  # fp32, 1 where the token lies in D+ or D-
    completion_tokens_S: Tensor  # fp32 [2 P], tokens of each completion, EOS included, scored or not
    lengths: list[int]  # tokens of each sequence where `packing` is none, else of each row; on the host
    step_pairs: int  # pairs in the whole optimizer step that this micro-batch is a part of
    n_tokens: int  # tokens that run, padding excluded
    filler: bool = False  # a pair that counts nowhere: all ranks run the same number of passes

    @property
    def n_pairs(self) -> int:
        return len(self.pair_ids)

    def to(self, device: Any) -> Batch:
        """The same batch on another device; Lightning calls it. From pinned memory the copy waits for nothing."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory."""
        with PAGE_LOCKING:
            return self._each(lambda tensor: tensor.pin_memory())

    def clone(self) -> Batch:
        """A copy with memory of its own."""
        return self._each(lambda tensor: tensor.clone())

    def _each(self, function: Any) -> Batch:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return Batch(
            **{name: function(value) if hasattr(value, "pin_memory") else value for name, value in values.items()}
        )
