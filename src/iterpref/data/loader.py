"""Batches in an order that is a function of (seed, epoch), that are made ahead of time, and that can stop and go on anywhere."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from iterpref.artifacts import fingerprint
from iterpref.batch import Batch
from iterpref.errors import UserError
from iterpref.schema import Example


class PairLoader:
    """Yields micro-batches. Each global batch is cut into as many of them as `accumulate` says, the epoch's last one as it falls.

    Every pair comes exactly once an epoch, on one rank. All ranks have the same number of micro-batches: where the epoch's
    last batch has no pair left for one, that is a *filler*, a pair that counts nowhere. How a global batch is cut changes
    no gradient: by length, which saves padding, or with `cost` into micro-batches that cost the same over all ranks, for
    packed rows.

    Args:
        make_batch: from examples and the pairs of their global batch to a `Batch`; called on a thread of its own.
        micro_batch: pairs in a micro-batch; with `cost`, on average.
        seed: None leaves the given order, for validation.
        prefetch: batches made before they are asked for; 0 makes each when it is.
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
        cost: Callable[[Example], int] | None = None,
        prefetch: int = 0,
    ) -> None:
        self.examples = examples
        self.make_batch = make_batch
        self.global_batch, self.micro_batch = global_batch, micro_batch
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.cost, self.prefetch = cost, prefetch
        self._epoch = 0
        self._next = 0
        self._digest = ""

    def __len__(self) -> int:
        """Micro-batches in one epoch on this rank."""
        full, rest = divmod(len(self.examples), self.global_batch)
        return full * self._micro_batches(self.global_batch) + self._micro_batches(rest)

    def _micro_batches(self, pairs: int) -> int:
        return math.ceil(math.ceil(pairs / self.world_size) / self.micro_batch)

    def plan(self, epoch: int, first: int = 0) -> Iterator[tuple[list[int], int, bool]]:
        """The epoch's micro-batches on this rank, from number `first` on: (example indices, pairs in their global batch,
        whether it is a filler)."""
        order = np.arange(len(self.examples))
        if self.seed is not None:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        each = self._micro_batches(self.global_batch)
        for start in range(first // each * self.global_batch, len(order), self.global_batch):
            skipped = max(first - start // self.global_batch * each, 0)
            yield from self._cut(order[start : start + self.global_batch].tolist())[skipped:]

    def _cut(self, group: list[int]) -> list[tuple[list[int], int, bool]]:
        each = self._micro_batches(len(group))
        costs = {i: (self.cost or _longer_side)(self.examples[i]) for i in group} if self.seed is not None else {}
        if self.cost and costs:
            parts = balanced(group, costs, each * self.world_size)[self.rank :: self.world_size]
        else:
            own = sorted(group, key=lambda i: (costs.get(i, 0), i))[self.rank :: self.world_size]
            parts = [own[k * self.micro_batch : (k + 1) * self.micro_batch] for k in range(each)]
        return [(part or group[:1], len(group), not part) for part in parts]

    def __iter__(self) -> Iterator[Batch]:
        left = len(self) - self._next
        for batch in self._made_ahead(self.plan(self._epoch, self._next)):
            left -= 1
            # Moved on before the batch is out: a trainer that counts batches never asks for one more than there are.
            self._epoch, self._next = (self._epoch, self._next + 1) if left else (self._epoch + 1, 0)
            yield batch

    def _made_ahead(self, plan: Iterator[tuple[list[int], int, bool]]) -> Iterator[Batch]:
        def make() -> Batch | None:
            planned = next(plan, None)
            if planned is None:
                return None
            indices, step_pairs, filler = planned
            batch = self.make_batch([self.examples[i] for i in indices], step_pairs)
            batch.filler = filler
            return batch

        if not self.prefetch:
            yield from iter(make, None)
            return
        # One thread, so that batches come in order. numpy and page-locking let the training thread run meanwhile.
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead: deque[Future[Batch | None]] = deque(worker.submit(make) for _ in range(self.prefetch + 1))
            while (batch := ahead.popleft().result()) is not None:
                ahead.append(worker.submit(make))
                yield batch

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self._epoch, "next": self._next, "each": self._micro_batches(self.global_batch), "plan": self._plan_key(),
            "cut": [self.micro_batch, self.world_size],
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the last batch handed out; with another number of ranks, after the last optimizer step.

        Raises `UserError` for the state of other pairs or other batches, and for one in the middle of a step that would
        have to be cut anew.
        """
        steps, begun = divmod(state["next"], state["each"])
        same = state["cut"] == [self.micro_batch, self.world_size]
        if state["plan"] != self._plan_key() or (begun and not same):
            raise UserError(
                f"the checkpoint was made with other training pairs, or other batches of them, than the {len(self.examples)} pairs here: "
                "start over with resume=false, or choose another paths.run=DIR"
            )
        self._epoch = state["epoch"]
        self._next = state["next"] if same else steps * self._micro_batches(self.global_batch)

    def _plan_key(self) -> str:
        """Of what decides which pairs make an optimizer step; not of how a step is cut."""
        self._digest = self._digest or ids_digest(self.examples)
        return fingerprint(self._digest, self.seed, self.global_batch)


def balanced(indices: Sequence[int], costs: dict[int, int], parts: int) -> list[list[int]]:
    """The indices in `parts` groups of nearly equal cost: the dearest first, each to the group that is cheapest so far.

    As many in each group where that makes the dearest no dearer, but for a fiftieth: batches then have fewer shapes, each
    of which is recorded (`models.graphs`).
    """
    alike, free = (_dealt(indices, costs, parts, most) for most in (math.ceil(len(indices) / parts), len(indices)))
    dearest = [max(sum(costs[i] for i in group) for group in groups) for groups in (alike, free)]
    return alike if dearest[0] <= 1.02 * dearest[1] else free


def _dealt(indices: Sequence[int], costs: dict[int, int], parts: int, most: int) -> list[list[int]]:
    groups: list[list[int]] = [[] for _ in range(parts)]
    heap = [(0, p) for p in range(parts)]
    for i in sorted(indices, key=lambda i: (-costs[i], i)):
        total, p = heapq.heappop(heap)
        groups[p].append(i)
        if len(groups[p]) < most:
            heapq.heappush(heap, (total + costs[i], p))
    return groups


def _longer_side(e: Example) -> int:
    return len(e.prompt_ids) + max(len(e.chosen_ids), len(e.rejected_ids))


def ids_digest(examples: Sequence[Example]) -> str:
    """16 hex digits over pair ids and token ids, in their order; one pair in memory at a time."""
    digest = hashlib.sha256()
    for e in examples:
        digest.update(e.pair_id.encode() + b"\0")
        for ids in (e.prompt_ids, e.chosen_ids, e.rejected_ids):
            digest.update(len(ids).to_bytes(8, "little") + np.asarray(ids, "<i8").tobytes())
    return digest.hexdigest()[:16]
