"""Both packings against the plain meaning: each sequence run by itself, its full logits, one log-softmax.

The models compute in fp64, the norms and rotary angles inside transformers in fp32: hence 1e-5, not 1e-12.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from iterpref.data.collate import attention_mask, collate, common_prefix
from iterpref.models.policy import scored_logits
from iterpref.ops import token_logratio_definition
from iterpref.schema import Batch, Example

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
    empty_S = torch.zeros(2 * batch.n_pairs, dtype=torch.float64)
    k_plus_P, k_minus_P = empty_S.index_add(0, batch.entry_sequence_E, batch.weights_E * logps_E).chunk(2)
    chosen_P = empty_S.index_add(0, batch.entry_sequence_E, logps_E)[: batch.n_pairs]
    return (-torch.nn.functional.logsigmoid(BETA * (k_plus_P - k_minus_P)) - chosen_P).sum() / batch.step_pairs


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def assert_same_training(model: Any, examples: list[Example]) -> None:
    loss = plain_loss(model, examples)
    wanted = gradients(model, loss)
    for packing in ("padded", "shared"):
        packed = packed_loss(model, collate(examples, packing=packing, pad_id=PAD))
        torch.testing.assert_close(packed, loss, **TOLERANCE)
        for name, gradient in gradients(model, packed).items():
            torch.testing.assert_close(
                gradient, wanted[name], **TOLERANCE, msg=lambda m, n=name, p=packing: f"{p}, {n}: {m}"
            )


@pytest.fixture(scope="module")
def models(tiny_model: Any) -> dict[str, Any]:
    return {kind: tiny_model(kind, torch.float64) for kind in ("llama", "qwen2", "qwen3")}


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=st.lists(pairs(), min_size=1, max_size=3))
def test_both_packings_give_the_loss_and_every_gradient_of_sequences_run_alone(
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


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_a_pair_never_sees_its_neighbour_in_the_batch(packing: str, models: Any) -> None:
    mine = pair([5, 6], [7, 8], [7, 9, 10])
    one, other = pair([11], [12, 13, 14], [12]), pair([21], [22, 23, 24], [22])
    for sequence in (0, 2):  # chosen and rejected of the first of two pairs
        rows = [
            logits_of(models["llama"], collate([mine, n], packing=packing, pad_id=PAD), sequence) for n in (one, other)
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
    assert batch.branch_ST.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]]
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
    assert attention_mask(batch, torch.float32).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch.rows_R.tolist() == [1, 2, 5, 6, 7]
    assert batch.labels_R.tolist() == [6, EOS, 7, 8, EOS]
    assert batch.n_tokens == 7


@settings(max_examples=400, deadline=None)
@given(examples=st.lists(pairs(), min_size=1, max_size=5), packing=st.sampled_from(["padded", "shared"]))
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


def test_no_query_has_an_empty_row_of_keys_and_padding_is_never_a_key() -> None:
    batch = collate([pair([5], [7], [8]), pair([5] * 6, [7] * 4, [8])], packing="shared", pad_id=PAD)
    seen_STT = attention_mask(batch, torch.float32)[:, 0] == 0
    assert seen_STT.any(-1).all()
    padding_ST = batch.branch_ST < 0
    looks_at_padding_STT = seen_STT & padding_ST[:, None, :]
    assert torch.equal(looks_at_padding_STT, torch.diag_embed(padding_ST))


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_common_prefix_is_the_longest_one(a: list[int], b: list[int]) -> None:
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
