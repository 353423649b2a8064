"""The order of pairs is a function of (seed, epoch), each pair comes once, and a stopped epoch goes on where it was."""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iterpref.config import Config
from iterpref.data.collate import collate
from iterpref.data.datamodule import CodeFlowDataModule
from iterpref.data.loader import PairLoader
from iterpref.errors import UserError
from iterpref.schema import Example

SIZES = st.integers(1, 40)


def examples(n: int, name: str = "p") -> list[Example]:
    """Pair i has 1 + (7 i mod 11) completion tokens."""
    return [
        Example(
            f"{name}{i}",
            "train",
            (5,),
            ids := (3,) * (1 + 7 * i % 11),
            ids,
            *((0.0,) * len(ids),) * 2,
            *((0,) * len(ids),) * 2,
        )
        for i in range(n)
    ]


def loader(n: int, global_batch: int = 4, micro_batch: int = 2, seed: int | None = 0, **settings: Any) -> PairLoader:
    def make_batch(chunk: list[Example], step_pairs: int) -> Any:
        return SimpleNamespace(ids=[e.pair_id for e in chunk], step_pairs=step_pairs)

    return PairLoader(
        examples(n), make_batch, global_batch=global_batch, micro_batch=micro_batch, seed=seed, **settings
    )


def epoch(pairs: PairLoader) -> list[tuple[list[str], int]]:
    return [(batch.ids, batch.step_pairs) for batch in pairs]


@given(n=SIZES, micro=st.integers(1, 4), times=st.integers(1, 4), seed=st.none() | st.integers(0, 9))
def test_every_pair_comes_exactly_once_an_epoch(n: int, micro: int, times: int, seed: int | None) -> None:
    pairs = loader(n, micro * times, micro, seed)
    for _ in range(2):
        batches = epoch(pairs)
        assert sorted(i for ids, _ in batches for i in ids) == sorted(e.pair_id for e in examples(n))
        assert len(batches) == len(pairs)


@given(n=SIZES, micro=st.integers(1, 3), times=st.integers(1, 3))
def test_micro_batches_of_a_step_know_how_many_pairs_it_has(n: int, micro: int, times: int) -> None:
    batches = epoch(loader(n, micro * times, micro))
    full = n // (micro * times)
    steps = [batches[i * times : (i + 1) * times] for i in range(full)] + (
        [batches[full * times :]] if n % (micro * times) else []
    )
    for step in steps:
        assert {step_pairs for _, step_pairs in step} == {sum(len(ids) for ids, _ in step)}


@given(n=SIZES, micro=st.integers(1, 3), times=st.integers(1, 3), seed=st.integers(0, 3), data=st.data())
def test_a_stopped_epoch_goes_on_with_exactly_the_rest(n: int, micro: int, times: int, seed: int, data: Any) -> None:
    whole = loader(n, micro * times, micro, seed)
    wanted = epoch(whole) + epoch(whole) + epoch(whole)
    stop = data.draw(st.integers(1, 2 * len(whole)))
    first = loader(n, micro * times, micro, seed)
    running = itertools.chain.from_iterable(iter(first) for _ in range(2))
    found = [(batch.ids, batch.step_pairs) for batch in itertools.islice(running, stop)]
    second = loader(n, micro * times, micro, seed)
    second.load_state_dict(first.state_dict())
    found += epoch(second) + epoch(second) + epoch(second)
    assert found[: len(wanted)] == wanted


def test_the_next_epoch_begins_when_the_last_batch_is_out_though_nobody_asks_for_more() -> None:
    pairs = loader(6)
    iterator = iter(pairs)
    first = [next(iterator).ids for _ in range(len(pairs))]
    assert pairs.state_dict()["epoch"] == 1
    assert [ids for ids, _ in epoch(pairs)] != first


def test_the_order_changes_with_the_epoch_and_with_the_seed_and_with_nothing_else() -> None:
    pairs = loader(40)
    first, second = epoch(pairs), epoch(pairs)
    assert first != second
    assert epoch(loader(40)) == first
    assert epoch(loader(40, seed=1)) != first


def test_without_a_seed_the_given_order_stays() -> None:
    assert [i for ids, _ in epoch(loader(7, seed=None)) for i in ids] == [f"p{i}" for i in range(7)]


def test_within_a_step_pairs_go_by_length_and_steps_stay_random() -> None:
    lengths = {e.pair_id: len(e.chosen_ids) for e in examples(12)}
    batches = [[lengths[i] for i in ids] for ids, _ in epoch(loader(12, global_batch=12, micro_batch=3))]
    assert [n for batch in batches for n in batch] == sorted(lengths.values())


@given(
    n=SIZES,
    world=st.integers(2, 4),
    micro=st.integers(1, 3),
    times=st.integers(1, 2),
    packed=st.booleans(),
    seed=st.sampled_from([0, None]),
)
def test_each_pair_is_on_one_rank_and_all_ranks_take_the_same_number_of_passes(
    n: int, world: int, micro: int, times: int, packed: bool, seed: int | None
) -> None:
    cost = (lambda e: len(e.chosen_ids)) if packed else None
    ranks = [
        loader(n, world * micro * times, micro, rank=r, world_size=world, cost=cost, seed=seed) for r in range(world)
    ]
    epochs = [list(rank) for rank in ranks]
    ids = [i for batches in epochs for batch in batches for i in batch.ids if not batch.filler]
    assert sorted(ids) == sorted(e.pair_id for e in examples(n))
    assert {len(batches) for batches in epochs} == {len(ranks[0])}
    for together in zip(*epochs, strict=True):
        assert len({batch.step_pairs for batch in together}) == 1
    fillers = [batch for batches in epochs for batch in batches if batch.filler]
    assert all(len(batch.ids) == 1 for batch in fillers)
    if n % (world * micro * times) == 0:
        assert not fillers


def test_packed_micro_batches_cost_the_same_on_every_rank() -> None:
    cost = {e.pair_id: len(e.chosen_ids) for e in examples(64)}
    totals = [
        sum(cost[i] for i in ids)
        for r in range(4)
        for ids, _ in epoch(loader(64, 64, 8, rank=r, world_size=4, cost=lambda e: len(e.chosen_ids)))
    ]
    assert len(totals) == 8
    assert max(totals) - min(totals) <= 1


@pytest.mark.parametrize("packed", [False, True])
def test_another_number_of_devices_goes_on_after_the_same_step(packed: bool) -> None:
    cost = (lambda e: len(e.chosen_ids)) if packed else None
    one = loader(22, 8, 2, cost=cost)
    steps = [
        sorted(i for ids, _ in batches for i in ids) for batches in in_steps(epoch(loader(22, 8, 2, cost=cost)), 4)
    ]
    for _ in zip(range(4), one, strict=False):
        pass  # one step of four micro-batches
    two = [loader(22, 8, 2, rank=r, world_size=2, cost=cost) for r in range(2)]
    for rank in two:
        rank.load_state_dict(one.state_dict())
    found = [in_steps([(b.ids, b.step_pairs) for b in rank if not b.filler], 2) for rank in two]
    assert [
        sorted(i for part in together for ids, _ in part for i in ids) for together in zip(*found, strict=True)
    ] == steps[1:]
    three = loader(22, 8, 4, cost=cost)  # larger micro-batches are a cut as well
    three.load_state_dict(one.state_dict())
    assert sorted(i for ids, _ in epoch(three) for i in ids) == sorted(i for step in steps[1:] for i in step)
    next(iter(one))
    with pytest.raises(UserError, match=r"resume=false"):
        two[0].load_state_dict(one.state_dict())


def in_steps(batches: list[Any], each: int) -> list[list[Any]]:
    return [batches[i : i + each] for i in range(0, len(batches), each)]


@pytest.mark.parametrize(
    "other",
    [loader(9), loader(8, seed=1), loader(8, global_batch=8)],
    ids=["other number of pairs", "other seed", "other global batch"],
)
def test_the_state_of_another_plan_is_refused(other: PairLoader) -> None:
    with pytest.raises(UserError, match=r"resume=false.*paths\.run=DIR"):
        loader(8).load_state_dict(other.state_dict())


def test_the_state_of_other_pairs_of_the_same_number_is_refused() -> None:
    other = loader(8)
    other.examples = examples(8, "q")
    with pytest.raises(UserError, match="other training pairs"):
        loader(8).load_state_dict(other.state_dict())


@pytest.mark.parametrize("split", ["train", "validation"])
def test_ranks_share_the_pairs_of_each_split(split: str, make_examples: Any) -> None:
    config = Config()
    config.data.global_batch, config.data.micro_batch, config.data.prefetch = 4, 1, 0
    pairs = make_examples(7)
    seen: list[str] = []
    for rank in (0, 1):
        module = CodeFlowDataModule(config)
        module.examples, module.device = {split: pairs}, torch.device("cpu")
        module.collate = partial(collate, packing="shared", pad_id=0)
        module.trainer = SimpleNamespace(global_rank=rank, world_size=2)  # type: ignore[assignment]
        batches = list(module.train_dataloader() if split == "train" else module.val_dataloader())
        assert len(batches) == 4
        seen += [pair_id for batch in batches if not batch.filler for pair_id in batch.pair_ids]
    assert sorted(seen) == sorted(e.pair_id for e in pairs)
