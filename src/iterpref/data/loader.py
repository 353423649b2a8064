"""Batches in an order that is a function of (seed, epoch), and that can stop and go on anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from iterpref.artifacts import fingerprint
from iterpref.errors import UserError
from iterpref.schema import Batch, Example


class PairLoader:
    """Yields micro-batches. Each global batch is cut into as many of them as `accumulate` says, the epoch's last one as it falls.

    Every pair comes exactly once an epoch. Inside a global batch pairs are ordered by length, which saves padding and
    changes no gradient. Several ranks take equal shares of every global batch; what the epoch's last batch has beyond a
    multiple of their number waits for the order of another epoch.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        make_batch: Callable[[list[Example], int], Batch],
        *,
        global_batch: int,
        micro_batch: int,
        seed: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.examples = examples
        self.make_batch = make_batch
        self.global_batch, self.micro_batch = global_batch, micro_batch
        self.seed = seed  # None: the given order, for validation
        self.rank, self.world_size = rank, world_size
        self._epoch = 0
        self._next = 0

    def __len__(self) -> int:
        """Micro-batches in one epoch on this rank."""
        full, rest = divmod(len(self.examples), self.global_batch)
        return full * self._micro_batches(self.global_batch) + self._micro_batches(rest)

    def _micro_batches(self, pairs: int) -> int:
        return math.ceil(pairs // self.world_size / self.micro_batch)

    def plan(self, epoch: int) -> list[tuple[list[int], int]]:
        """The epoch's micro-batches on this rank as (example indices, pairs in their global batch)."""
        order = list(range(len(self.examples)))
        if self.seed is not None:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        batches: list[tuple[list[int], int]] = []
        for start in range(0, len(order), self.global_batch):
            group = order[start : start + self.global_batch]
            if self.seed is not None:
                group = sorted(group, key=self._length)
            even = len(group) // self.world_size * self.world_size
            own = group[self.rank : even : self.world_size]
            for cut in range(0, len(own), self.micro_batch):
                batches.append((own[cut : cut + self.micro_batch], even))
        return batches

    def _length(self, index: int) -> tuple[int, int]:
        e = self.examples[index]
        return len(e.prompt_ids) + max(len(e.chosen_ids), len(e.rejected_ids)), index

    def __iter__(self) -> Iterator[Batch]:
        batches = self.plan(self._epoch)[self._next :]
        for left, (indices, step_pairs) in zip(range(len(batches) - 1, -1, -1), batches, strict=True):
            # Moved on before the batch is out: a trainer that counts batches never asks for one more than there are.
            self._epoch, self._next = (self._epoch, self._next + 1) if left else (self._epoch + 1, 0)
            yield self.make_batch([self.examples[i] for i in indices], step_pairs)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "next": self._next, "plan": self._plan_key()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the last batch handed out; raises `UserError` for the state of other pairs or other batches."""
        if state["plan"] != self._plan_key():
            raise UserError(
                f"the checkpoint was made with other training pairs, or other batches of them, than the {len(self.examples)} pairs here: "
                "start over with resume=false, or choose another paths.run=DIR"
            )
        self._epoch, self._next = state["epoch"], state["next"]

    def _plan_key(self) -> str:
        pairs = [
            (e.pair_id, *(np.asarray(ids).tolist() for ids in (e.prompt_ids, e.chosen_ids, e.rejected_ids)))
            for e in self.examples
        ]
        return fingerprint(pairs, self.seed, self.global_batch, self.micro_batch, self.world_size)
