"""Both packings against the plain meaning: each sequence run by itself, its full logits, one log-softmax.

The models compute in fp64, the norms and rotary angles inside transformers in fp32: hence 1e-5, not 1e-12.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from iterpref.batch import Batch, Terms
from iterpref.data.collate import bucket, collate, common_prefix, trie_tokens
from iterpref.errors import UserError
from iterpref.models.policy import scored_logits
from iterpref.models.shared_prefix import dense_mask, sight
from iterpref.ops import token_logratio_definition
from iterpref.schema import Example

EOS, PAD, BETA = 1, 0, 0.3
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
TOKENS = st.lists(st.integers(2, 47), max_size=5)


def pair(prompt: list[int], chosen: list[int], rejected: list[int], name: str = "p") -> Example:
    """Weights that tell every token from every other, so that a token counted at a wrong place changes the sum."""
    sides = {"chosen": (*chosen, EOS), "rejected": (*rejected, EOS)}
    weights = {side: tuple(((7 * i + len(ids)) % 5) / 4 for i in range(len(ids))) for side, ids in sides.items()}
    focal = {side: tuple(i % 2 for i in range(len(ids))) for side, ids in sides.items()}
    return Example(
        name, "train", tuple(prompt), sides["chosen"], sides["rejected"],
        weights["chosen"], weights["rejected"], focal["chosen"], focal["rejected"],
    )  # fmt: skip


@st.composite
def pairs(draw: Any) -> Example:
    """Pairs with any amount of common prefix: none, all of one side, or both sides alike."""
    prefix = draw(TOKENS)
    return pair(
        draw(st.lists(st.integers(2, 47), min_size=1, max_size=5)), prefix + draw(TOKENS), prefix + draw(TOKENS)
    )


EDGES = {
    "no common prefix": pair([5, 6], [7, 8, 9], [10, 8, 9]),
    "chosen is a prefix of rejected": pair([5], [7, 8], [7, 8, 9, 10]),
    "rejected is a prefix of chosen": pair([5, 6, 7], [7, 8, 9, 10], [7]),
    "identical completions": pair([5, 6], [7, 8, 9], [7, 8, 9]),
    "one-token completions": pair([5, 6], [], []),
    "one token against many": pair([5], [], [7, 8, 9, 10]),
    "one-token prompt, differ at once": pair([5], [7], [8]),
}


def plain_loss(model: Any, examples: list[Example]) -> Tensor:
    """The mean over pairs of eq. 8 with a summed NLL, one forward pass a sequence, full logits, fp64."""
    losses = []
    for e in examples:
        sums = []
        for ids, mask in ((e.chosen_ids, e.chosen_mask), (e.rejected_ids, e.rejected_mask)):
            logits_TV = model(input_ids=torch.tensor([[*e.prompt_ids, *ids]])).logits[0].double()
            logps_T = logits_TV.log_softmax(-1)[torch.arange(len(ids)) + len(e.prompt_ids) - 1, torch.tensor(ids)]
            sums.append((torch.tensor(mask, dtype=torch.float64) @ logps_T, logps_T.sum()))
        (k_plus, chosen), (k_minus, _) = sums
        losses.append(-torch.nn.functional.logsigmoid(BETA * (k_plus - k_minus)) - chosen)
    return torch.stack(losses).mean()


def packed_loss(model: Any, batch: Batch) -> Tensor:
    """The same from a batch; sums in fp64, so that only the layout is on trial."""
    logits_RV = scored_logits(model, batch)
    live_R, zeros_R = (
        torch.ones_like(batch.labels_R, dtype=torch.bool),
        torch.zeros(len(batch.labels_R), dtype=torch.float64),
    )
    logps_R = token_logratio_definition(logits_RV, batch.labels_R, live_R, ref_logps_R=zeros_R).policy_logps_R
    logps_E = logps_R.double()[batch.entry_row_E]
    empty_S = torch.zeros(2 * batch.n_pairs + 1, dtype=torch.float64)  # the last: what fills up
    k_plus_P, k_minus_P = empty_S.index_add(0, batch.entry_sequence_E, batch.weights_E * logps_E)[:-1].chunk(2)
    chosen_P = empty_S.index_add(0, batch.entry_sequence_E, logps_E)[: batch.n_pairs]
    return (-torch.nn.functional.logsigmoid(BETA * (k_plus_P - k_minus_P)) - chosen_P).sum() / batch.step_pairs


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def assert_same_training(model: Any, examples: list[Example]) -> None:
    loss = plain_loss(model, examples)
    wanted = gradients(model, loss)
    everything = Terms(preference=True, nll="chosen")
    for layout in (
        {"packing": "none"}, {"packing": "padded"}, {"packing": "shared"}, {"packing": "shared", "one_row": True},
        {"packing": "shared", "terms": everything, "parts": 16}, {"packing": "padded", "terms": everything},
        {"packing": "shared", "one_row": True, "terms": everything, "parts": 2},
    ):  # fmt: skip
        packed = packed_loss(model, collate(examples, pad_id=PAD, **layout))
        torch.testing.assert_close(packed, loss, **TOLERANCE)
        for name, gradient in gradients(model, packed).items():
            torch.testing.assert_close(
                gradient, wanted[name], **TOLERANCE, msg=lambda m, n=name, p=layout: f"{p}, {n}: {m}"
            )


@pytest.fixture(scope="module")
def models(tiny_model: Any) -> dict[str, Any]:
    return {kind: tiny_model(kind, torch.float64) for kind in ("llama", "qwen2", "qwen3")}


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=st.lists(pairs(), min_size=1, max_size=3))
def test_all_packings_give_the_loss_and_every_gradient_of_sequences_run_alone(
    kind: str, examples: list[Example], models: Any
) -> None:
    assert_same_training(models[kind], examples)


@pytest.mark.parametrize("name", EDGES)
def test_a_pair_at_the_edge_trains_as_its_plain_sequences(name: str, models: Any) -> None:
    assert_same_training(models["llama"], [EDGES[name]])


def test_both_packings_agree_in_fp32_as_well(tiny_model: Any, make_examples: Any) -> None:
    model = tiny_model("llama", torch.float32)
    first, second = (packed_loss(model, collate(make_examples(8), packing=p, pad_id=PAD)) for p in ("padded", "shared"))
    torch.testing.assert_close(first, second, rtol=1e-5, atol=0)
    wanted = gradients(model, second)
    for name, gradient in gradients(model, first).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-4)


def logits_of(model: Any, batch: Batch, sequence: int) -> Tensor:
    with torch.no_grad():
        return scored_logits(model, batch)[batch.entry_row_E[batch.entry_sequence_E == sequence]]


@pytest.mark.parametrize("packing", ["padded", "shared"])
@pytest.mark.parametrize(("changed", "unmoved"), [("chosen", 1), ("rejected", 0)])
def test_one_side_never_sees_the_other(packing: str, changed: str, unmoved: int, models: Any) -> None:
    sides = {"chosen": [7, 8, 11, 12], "rejected": [7, 8, 21, 22, 23]}
    before = collate([pair([5, 6], **sides)], packing=packing, pad_id=PAD)
    sides[changed] = [*sides[changed][:2], *(id + 20 for id in sides[changed][2:])]
    after = collate([pair([5, 6], **sides)], packing=packing, pad_id=PAD)
    assert torch.equal(logits_of(models["llama"], before, unmoved), logits_of(models["llama"], after, unmoved))
    assert not torch.equal(
        logits_of(models["llama"], before, 1 - unmoved), logits_of(models["llama"], after, 1 - unmoved)
    )


@pytest.mark.parametrize("one_row", [False, True])
@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_a_pair_never_sees_its_neighbour_in_the_batch(packing: str, one_row: bool, models: Any) -> None:
    mine = pair([5, 6], [7, 8], [7, 9, 10])
    one, other = pair([11], [12, 13, 14], [12]), pair([21], [22, 23, 24], [22])
    for sequence in (0, 2):  # chosen and rejected of the first of two pairs
        rows = [
            logits_of(models["llama"], collate([mine, n], packing=packing, pad_id=PAD, one_row=one_row), sequence)
            for n in (one, other)
        ]
        assert torch.equal(*rows)


@pytest.mark.parametrize("packing", ["padded", "shared"])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_neither_the_amount_of_padding_nor_its_token_matters(packing: str, kind: str, models: Any) -> None:
    short, long = pair([5, 6], [7, 8], [7, 9, 10]), pair([5] * 20, [12] * 20, [13] * 20)
    alone = collate([short], packing=packing, pad_id=PAD)
    beside = [collate([short, long], packing=packing, pad_id=id) for id in (PAD, 30)]
    for side in (0, 1):
        rows = [logits_of(models[kind], batch, 2 * side) for batch in beside]
        assert torch.equal(*rows)
        torch.testing.assert_close(logits_of(models[kind], alone, side), rows[0], **TOLERANCE)


def test_a_shared_row_is_laid_out_as_the_picture_shows() -> None:
    batch = collate([pair([2, 3, 4, 5], [6, 7, 10, 11, 12], [6, 7, 20, 21, 22, 23])], packing="shared", pad_id=PAD)
    assert batch.input_ids_ST.tolist() == [[2, 3, 4, 5, 6, 7, 10, 11, 12, 20, 21, 22, 23]]
    assert batch.position_ids_ST.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9]]
    assert batch.near_ST.tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9]]
    assert batch.far_ST.tolist() == [[0] * 13]
    assert batch.far_end_ST.tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 6, 6, 6]]
    # 6 and 7 are asked for once; 10 and 20 both at position 5, where the branches part.
    assert batch.rows_R.tolist() == [3, 4, 5, 6, 7, 8, 5, 9, 10, 11, 12]
    assert batch.labels_R.tolist() == [6, 7, 10, 11, 12, EOS, 20, 21, 22, 23, EOS]
    assert batch.entry_row_E.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 6, 7, 8, 9, 10]
    assert batch.entry_sequence_E.tolist() == [0] * 6 + [1] * 7
    assert batch.n_tokens == 13


def test_padded_rows_are_the_sequences_without_their_last_token() -> None:
    batch = collate([pair([2, 3], [6], [7, 8])], packing="padded", pad_id=PAD)
    assert batch.input_ids_ST.tolist() == [[2, 3, 6, PAD], [2, 3, 7, 8]]
    assert batch.position_ids_ST.tolist() == [[0, 1, 2, 0], [0, 1, 2, 3]]
    assert batch.near_ST.tolist() == [[0, 0, 0, 3], [0, 0, 0, 0]]
    assert batch.rows_R.tolist() == [1, 2, 5, 6, 7]
    assert batch.labels_R.tolist() == [6, EOS, 7, 8, EOS]
    assert batch.n_tokens == 7


@settings(max_examples=400, deadline=None)
@given(examples=st.lists(pairs(), min_size=1, max_size=5), packing=st.sampled_from(["none", "padded", "shared"]))
def test_each_completion_token_has_one_entry_with_its_own_label_weight_and_focus(
    examples: list[Example], packing: str
) -> None:
    batch = collate(examples, packing=packing, pad_id=PAD, step_pairs=9)
    assert batch.step_pairs == 9
    for p, e in enumerate(examples):
        for s, ids, weights, focal in (
            (p, e.chosen_ids, e.chosen_mask, e.chosen_focal),
            (p + len(examples), e.rejected_ids, e.rejected_mask, e.rejected_focal),
        ):
            mine_E = batch.entry_sequence_E == s
            assert tuple(batch.labels_R[batch.entry_row_E[mine_E]].tolist()) == ids
            assert tuple(batch.weights_E[mine_E].tolist()) == weights
            assert tuple(batch.focal_E[mine_E].tolist()) == focal


@settings(max_examples=100, deadline=None)
@given(examples=st.lists(pairs(), min_size=1, max_size=4), one_row=st.booleans(), window=st.none() | st.integers(1, 9))
def test_a_token_sees_the_tokens_before_it_in_its_own_sequence_and_no_others(
    examples: list[Example], one_row: bool, window: int | None
) -> None:
    batch = collate(examples, packing="shared", pad_id=PAD, one_row=one_row, parts=16)
    seen_STT = dense_mask(sight(batch, window), torch.float32)[:, 0] == 0
    ids, T = batch.input_ids_ST, batch.input_ids_ST.shape[1]
    looked_at = torch.zeros_like(ids, dtype=torch.bool)
    for p, e in enumerate(examples):
        for side, completion in enumerate((e.chosen_ids, e.rejected_ids)):
            plain = [*e.prompt_ids, *completion]
            rows_E = batch.entry_row_E[batch.entry_sequence_E == p + side * len(examples)]
            for t, at in enumerate(batch.rows_R[rows_E].tolist()):
                s, at = divmod(at, T)
                keys = seen_STT[s, at].nonzero()[:, 0]
                end = len(e.prompt_ids) + t
                assert ids[s, keys].tolist() == plain[max(0, end - (window or end)) : end]
                assert batch.position_ids_ST[s, keys].tolist() == list(range(max(0, end - (window or end)), end))
                looked_at[s, keys] = True
    padding_ST = torch.ones_like(looked_at)
    for s, n in enumerate(batch.lengths):
        padding_ST[s, :n] = False
    # Padding sees itself, so that no row of the softmax is empty, and nobody sees padding.
    assert torch.equal(seen_STT & padding_ST[:, :, None], torch.diag_embed(padding_ST))
    assert not (looked_at & padding_ST).any()


def test_a_sequence_ends_at_its_last_token_with_loss() -> None:
    ids, none = (7, 8, 9, 10, EOS), (0.0,) * 5
    wrong = (7, 8, 20, 21, EOS)
    example = Example(
        "p", "train", (5, 6), ids, wrong, (1.0,) * 5, (0.0, 0.0, 1.0, 0.0, 0.0), (0, 0, 1, 0, 0), (0, 0, 1, 0, 0)
    )
    focal, both = Terms(preference=True, nll=None), Terms(preference=True, nll="rejected")
    cut = collate([example], packing="shared", pad_id=PAD, terms=focal)
    # 20 is predicted by the shared 8: the rejected branch does not run at all.
    assert cut.input_ids_ST.tolist() == [[5, 6, 7, 8, 9, 10]]
    assert cut.rows_R.tolist() == [1, 2, 3, 4, 5, 3]
    assert cut.labels_R.tolist() == [*ids, 20]
    assert cut.completion_tokens_S.tolist() == [5, 5]
    assert trie_tokens(example, focal) == cut.n_tokens == 6
    whole = collate([example], packing="shared", pad_id=PAD, terms=both)
    assert whole.input_ids_ST.tolist() == [[5, 6, 7, 8, 9, 10, 20, 21]]
    silent = replace(example, rejected_mask=none, rejected_focal=(0,) * 5)
    for packing, runs in (("shared", 6), ("padded", 6), ("none", 6)):
        assert collate([silent], packing=packing, pad_id=PAD, terms=focal).n_tokens == runs
    tuned = collate([example], packing="padded", pad_id=PAD, terms=Terms(preference=False, nll="chosen"))
    assert tuned.labels_R.tolist() == list(ids)
    assert set(tuned.entry_sequence_E.tolist()) == {0}


def test_a_pair_without_any_loss_still_has_a_place_in_its_batch() -> None:
    empty = replace(
        pair([5, 6], [7], [8]),
        chosen_mask=(0.0, 0.0),
        rejected_mask=(0.0, 0.0),
        chosen_focal=(0, 0),
        rejected_focal=(0, 0),
    )
    for packing in ("none", "padded", "shared"):
        batch = collate([empty], packing=packing, pad_id=PAD, terms=Terms(preference=True, nll=None))
        assert batch.input_ids_ST.tolist() == [[5, 6]]
        assert len(batch.rows_R) == len(batch.weights_E) == 0


def test_a_pair_without_a_prompt_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"pair nameless has an empty prompt.*prompt_format=chat"):
        collate([replace(pair([5], [7], [8], "nameless"), prompt_ids=())], packing="shared", pad_id=PAD)


@settings(max_examples=100, deadline=None)
@given(examples=st.lists(pairs(), min_size=1, max_size=6), parts=st.sampled_from([None, 16]))
def test_packing_keeps_each_pair_whole_and_fills_rows_no_longer_than_the_longest(
    examples: list[Example], parts: int | None
) -> None:
    costs = [trie_tokens(e) for e in examples]
    batch = collate(examples, packing="shared", pad_id=PAD, parts=parts)
    assert batch.input_ids_ST.shape[1] == (bucket(max(costs), 16) if parts else max(costs))
    assert sum(batch.lengths) == sum(costs) == batch.n_tokens
    assert len(batch.lengths) <= len(examples)
    one = collate(examples, packing="shared", pad_id=PAD, one_row=True, parts=parts)
    assert one.input_ids_ST.shape == (1, bucket(sum(costs), 16) if parts else sum(costs))
    few = collate(examples * 40, packing="shared", pad_id=PAD, one_row=True, parts=4)
    assert few.input_ids_ST.shape == (1, bucket(40 * sum(costs), 4))
    assert bucket(len(few.rows_R), 4) == len(few.rows_R)


@given(st.integers(0, 200_000), st.sampled_from([1, 8, 16]))
def test_lengths_are_rounded_up_to_a_few_and_by_little(n: int, parts: int) -> None:
    found = bucket(n, parts)
    assert found >= n
    assert found % 128 == 0
    assert found - n < max(128, n / parts + 1)
    assert bucket(found, parts) == found


def test_there_are_few_lengths() -> None:
    # Multiples of 128 as long as these are the coarser ones, then as many as asked for in each doubling.
    assert len({bucket(n, 8) for n in range(1, 32_769)}) == 8 + 8 * 5
    assert len({bucket(n, 16) for n in range(1, 32_769)}) == 16 + 16 * 4


def test_what_fills_up_scored_rows_belongs_to_no_sequence() -> None:
    batch = collate([pair([5], [7], [8])], packing="shared", pad_id=PAD, parts=16)
    assert len(batch.rows_R) == len(batch.labels_R) == len(batch.weights_E) == len(batch.entry_row_E) == 128
    assert (batch.entry_sequence_E < 2).sum() == 4
    assert batch.weights_E[4:].sum() == batch.focal_E[4:].sum() == 0


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_common_prefix_is_the_longest_one(a: list[int], b: list[int]) -> None:
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
