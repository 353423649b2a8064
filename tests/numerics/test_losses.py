"""Losses against numbers worked out by hand, equations 6 and 8 in fp64, and the algebra of micro-batches."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from iterpref.batch import Batch
from iterpref.config import LossConfig
from iterpref.data.collate import collate
from iterpref.losses import (
    TIE_NATS,
    LossParts,
    PairSums,
    combine,
    nll,
    pair_sums,
    preference_metrics,
)
from iterpref.models.policy import scored_logits
from iterpref.ops import TokenLogRatio, token_logratio
from iterpref.schema import Example

INF = float("inf")
LOG_RATIOS = st.floats(-200, 200)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sums_of(k_plus_P: Tensor, k_minus_P: Tensor | None = None, **others: Tensor) -> PairSums:
    """Pairs with these K; whatever else is not given is zero, and one token long."""
    zeros = torch.zeros_like(k_plus_P.detach())
    values = dict.fromkeys(PairSums._fields, zeros) | dict.fromkeys(
        ("weight_plus_P", "weight_minus_P", "chosen_tokens_P", "rejected_tokens_P"), zeros + 1
    )
    return PairSums(
        **{**values, "k_plus_P": k_plus_P, "k_minus_P": zeros if k_minus_P is None else k_minus_P, **others}
    )


def combined(
    k_plus_P: Tensor, k_minus_P: Tensor, logps_P: Tensor, tokens_P: Tensor, config: LossConfig, step_pairs: int
) -> LossParts:
    return combine(sums_of(k_plus_P, k_minus_P, chosen_logps_P=logps_P, chosen_tokens_P=tokens_P), config, step_pairs)


@given(st.lists(st.tuples(LOG_RATIOS, LOG_RATIOS, st.floats(-300, 0), st.integers(1, 50)), min_size=1, max_size=5),
       st.floats(0, 5), st.floats(0.1, 5), st.sampled_from(["sum", "mean"]), st.integers(0, 7))  # fmt: skip
def test_equation_8_in_fp64(
    rows: list[tuple[float, float, float, int]], alpha: float, preference: float, how: str, others: int
) -> None:
    config = LossConfig(beta=0.1, alpha=alpha, nll=how, preference=preference)
    k_plus_P, k_minus_P, logps_P, tokens_P = (column(*c) for c in zip(*rows, strict=True))
    parts = combined(k_plus_P, k_minus_P, logps_P, tokens_P, config, step_pairs=len(rows) + others)
    wanted = 0.0
    for k_plus, k_minus, logps, tokens in rows:
        z = 0.1 * (k_plus - k_minus)
        focal = max(-z, 0) + math.log1p(math.exp(-abs(z)))
        wanted += preference * focal + alpha * (-logps / (tokens if how == "mean" else 1))
    assert parts.loss.item() == pytest.approx(wanted / (len(rows) + others), rel=1e-10, abs=1e-12)


def test_the_nll_is_a_sum_over_tokens_or_their_mean() -> None:
    assert nll(column(-6, -1), column(3, 2), "sum").tolist() == [6, 1]
    assert nll(column(-6, -1), column(3, 2), "mean").tolist() == [2, 0.5]


@pytest.mark.parametrize(("side", "how", "wanted"), [("chosen", "sum", 6), ("chosen", "mean", 2),
                                                     ("rejected", "sum", 10), ("rejected", "mean", 5)])  # fmt: skip
def test_the_nll_is_of_the_side_that_is_asked_for(side: str, how: str, wanted: float) -> None:
    sums = sums_of(
        column(0), chosen_logps_P=column(-6).requires_grad_(), chosen_tokens_P=column(3),
        rejected_logps_P=column(-10).requires_grad_(), rejected_tokens_P=column(2),
    )  # fmt: skip
    parts = combine(sums, LossConfig(preference=0, nll=how, nll_side=side), 1)
    parts.loss.backward()
    assert parts.loss.item() == parts.nll.item() == wanted
    assert (sums.chosen_logps_P.grad is not None, sums.rejected_logps_P.grad is not None) == (
        side == "chosen",
        side == "rejected",
    )


def test_a_term_of_weight_zero_is_left_out_even_when_it_is_infinite() -> None:
    impossible = combined(column(1), column(1), column(-INF), column(4), LossConfig(alpha=0), 1)
    assert impossible.loss.item() == pytest.approx(math.log(2))
    assert impossible.nll.item() == INF
    half = LossConfig(preference=0, alpha=0.5, nll="mean")
    no_preference = combined(column(-INF), column(1), column(-8), column(4), half, 1)
    assert no_preference.loss.item() == pytest.approx(1.0)
    assert no_preference.preference.item() == INF


def test_the_gradient_pushes_the_pair_apart_by_beta_times_the_doubt() -> None:
    k_plus_P, k_minus_P = column(0, 30).requires_grad_(), column(0, -30).requires_grad_()
    combine(sums_of(k_plus_P, k_minus_P), LossConfig(beta=0.1, alpha=0), 2).loss.backward()
    # d/dK+ = -beta sigmoid(-beta (K+ - K-)) / P
    wanted = [-0.1 * 0.5 / 2, -0.1 / (1 + math.exp(6)) / 2]
    assert k_plus_P.grad.tolist() == pytest.approx(wanted)
    assert k_minus_P.grad.tolist() == pytest.approx([-g for g in wanted])


def two_pairs() -> list[Example]:
    """Pair a: y+ = 7 8 1, y- = 7 9 5 1 with D- = 9 5. Pair b: y+ = 6 1, y- = 1 with an empty D-."""
    return [
        Example("a", "train", (5,), (7, 8, 1), (7, 9, 5, 1), (1, 1, 1), (0, 1, 0.5, 0), (0, 1, 0), (0, 1, 1, 0)),
        Example("b", "train", (5, 5), (6, 1), (1,), (1, 1), (0,), (1, 0), (0,)),
    ]


# Log-ratio and policy log-prob of each token, by (pair, side); the shared token 7 has one value, whoever asks.
RATIOS = {("a", 0): [1.0, 2.0, 4.0], ("a", 1): [1.0, -8.0, -16.0, 0.25], ("b", 0): [0.5, -3.0], ("b", 1): [2.5]}
LOGPS = {("a", 0): [-1.0, -2.0, -3.0], ("a", 1): [-1.0, -4.0, -5.0, -6.0], ("b", 0): [-0.5, -0.25], ("b", 1): [-9.0]}


def filled(batch: Batch) -> TokenLogRatio:
    """The numbers above at the rows where the batch wants them."""
    logratio_R, logps_R = torch.full((2, len(batch.labels_R)), float("nan"))
    for s in range(2 * batch.n_pairs):
        key = (batch.pair_ids[s % batch.n_pairs], s // batch.n_pairs)
        rows = batch.entry_row_E[batch.entry_sequence_E == s]
        logratio_R[rows], logps_R[rows] = torch.tensor(RATIOS[key]), torch.tensor(LOGPS[key])
    return TokenLogRatio(logratio_R, logps_R, logps_R - logratio_R)


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_the_sums_of_a_pair_are_what_a_hand_adds_up(packing: str) -> None:
    batch = collate(two_pairs(), packing=packing, pad_id=0)
    sums = pair_sums(filled(batch), batch)
    assert {name: value.tolist() for name, value in sums._asdict().items()} == {
        "k_plus_P": [7.0, -2.5],
        "k_minus_P": [-8.0 - 0.5 * 16, 0.0],
        "weight_plus_P": [3.0, 2.0],
        "weight_minus_P": [1.5, 0.0],
        "chosen_logps_P": [-6.0, -0.75],
        "rejected_logps_P": [-16.0, -9.0],
        "chosen_logratio_P": [7.0, -2.5],
        "rejected_logratio_P": [-22.75, 2.5],
        "focal_chosen_P": [2.0, 0.5],
        "focal_rejected_P": [-24.0, 0.0],
        "chosen_tokens_P": [3.0, 2.0],
        "rejected_tokens_P": [4.0, 1.0],
        "focal_share_P": [0.5, 0.0],
    }


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_the_metrics_of_a_pair_follow_from_its_sums(packing: str) -> None:
    batch = collate(two_pairs(), packing=packing, pad_id=0)
    metrics = preference_metrics(pair_sums(filled(batch), batch), LossConfig(beta=0.1))
    wanted = {
        "accuracy": [1, 0], "margin": [2.3, -0.25], "chosen_reward": [0.7, -0.25], "rejected_reward": [-1.6, 0],
        "focal_accuracy": [1, 1], "focal_margin": [26, 0.5], "focal_share": [0.5, 0],
    }  # fmt: skip
    for name, values in wanted.items():
        assert metrics[name].tolist() == pytest.approx(values), name


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_normalised_scores_are_means_over_the_masks_and_zero_for_an_empty_one(packing: str) -> None:
    batch = collate(two_pairs(), packing=packing, pad_id=0)
    config = LossConfig(beta=0.1, length_normalised=True)
    metrics = preference_metrics(pair_sums(filled(batch), batch), config)
    # Pair a: 7 / 3 and (-8 - 0.5 * 16) / 1.5. Pair b: -2.5 / 2, and no weight at all.
    wanted = {
        "chosen_reward": [0.7 / 3, -0.125],
        "rejected_reward": [-1.6 / 1.5, 0],
        "margin": [0.7 / 3 + 1.6 / 1.5, -0.125],
    }
    for name, values in wanted.items():
        assert metrics[name].tolist() == pytest.approx(values), name
    assert metrics["focal_margin"].tolist() == [26, 0.5]


def test_a_tie_counts_one_half_and_rounding_noise_is_a_tie() -> None:
    margin_P = torch.tensor([0.0, TIE_NATS / 2, -TIE_NATS / 2, 2 * TIE_NATS, -2 * TIE_NATS])
    metrics = preference_metrics(sums_of(margin_P, focal_chosen_P=-margin_P), LossConfig())
    assert metrics["accuracy"].tolist() == [0.5, 0.5, 0.5, 1, 0]
    assert metrics["focal_accuracy"].tolist() == [0.5, 0.5, 0.5, 0, 1]


def test_a_normalised_margin_ties_within_the_rounding_of_its_mean() -> None:
    margin_P, weight_P = torch.tensor([0.5, 2, -2]) * TIE_NATS, torch.full((3,), 100.0)
    sums = sums_of(margin_P, weight_plus_P=weight_P, weight_minus_P=weight_P)
    assert preference_metrics(sums, LossConfig(length_normalised=True))["accuracy"].tolist() == [0.5, 1, 0]


def test_no_metric_carries_a_gradient() -> None:
    one_P = torch.tensor([1.0]).requires_grad_()
    sums = sums_of(one_P, one_P, chosen_logps_P=one_P, rejected_logps_P=one_P)
    for normalised in (False, True):
        metrics = preference_metrics(sums, LossConfig(length_normalised=normalised))
        assert not any(value.requires_grad for value in metrics.values())


def gradient(
    model: Any, examples: list[Example], config: LossConfig, micro_batch: int, packing: str
) -> tuple[float, list[Tensor]]:
    """Accumulated over the micro-batches of one optimizer step."""
    model.zero_grad()
    total = 0.0
    for start in range(0, len(examples), micro_batch):
        batch = collate(examples[start : start + micro_batch], packing=packing, pad_id=0, step_pairs=len(examples))
        every_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
        ratios = token_logratio(
            scored_logits(model, batch), batch.labels_R, every_R, ref_logps_R=torch.full((len(every_R),), -3.0)
        )
        s = pair_sums(ratios, batch)
        loss = combine(s, config, batch.step_pairs).loss
        loss.backward()
        total += loss.item()
    return total, [p.grad.clone() for p in model.parameters()]


CONFIGS = [
    LossConfig(alpha=0),
    LossConfig(nll="mean", label_smoothing=0.1),
    LossConfig(preference=0),
    LossConfig(preference=0, nll="mean", nll_side="rejected"),
    LossConfig(preference=2, alpha=0.5, length_normalised=True),
    LossConfig(link="hinge", alpha=0),
    LossConfig(link="ipo", alpha=0, length_normalised=True),
]


@pytest.mark.parametrize("packing", ["padded", "shared"])
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_four_micro_batches_of_two_give_the_gradient_of_one_of_eight(
    packing: str, config: LossConfig, tiny_model: Any, make_examples: Any
) -> None:
    model = tiny_model("llama")
    whole, wanted = gradient(model, make_examples(8), config, 8, packing)
    assert any(b.abs().max() > 0 for b in wanted)
    for micro_batch in (2, 3):  # 3: the last one is smaller, and weighs as little as it should
        parts, found = gradient(model, make_examples(8), config, micro_batch, packing)
        assert parts == pytest.approx(whole, rel=1e-5)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())
