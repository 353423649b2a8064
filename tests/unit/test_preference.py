"""Preference metrics of held-out pairs, by hand, and equal to what training logs for the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.codeflow.bank import load_bank
from iterpref.config import Config, LossConfig
from iterpref.data.collate import collate
from iterpref.data.reference_cache import ReferenceLogps
from iterpref.errors import UserError
from iterpref.eval.calibration import calibration
from iterpref.eval.held_out import asked, with_pairs
from iterpref.eval.preference import completion_spans, preference_row, summarise, token_table
from iterpref.losses import TIE_NATS, pair_sums, preference_metrics
from iterpref.ops import TokenLogRatio
from iterpref.schema import Example, PreferencePair, Span

# y+ = 7 8 1 with D+ = 8; y- = 9 5 1 with D- = 9 5, of which 5 weighs a half.
EXAMPLE = Example(
    "p", "test", (5, 6), (7, 8, 1), (9, 5, 1), (1.0, 1.0, 1.0), (1.0, 0.5, 0.0), (0, 1, 0), (1, 1, 0),
    chosen_ref_logps=(-1.0, -2.0, -3.0), rejected_ref_logps=(-1.0, -1.0, -1.0),
)  # fmt: skip
POLICY = ReferenceLogps("p", (-0.5, -1.0, -4.0), (-2.0, -5.0, -0.5))


def test_a_pair_has_the_numbers_that_a_hand_adds_up() -> None:
    assert preference_row(EXAMPLE, POLICY) == pytest.approx({
        "accuracy": 1.0,
        "margin": (0.5 + 1 - 1) - (-1 + 0.5 * -4),
        "focal_accuracy": 1.0,
        "focal_margin": 1 - (-1 - 4),
        "chosen_logps": -5.5,
        "rejected_logps": -7.5,
        "focal_chosen_logps": -1.0,
        "focal_rejected_logps": -7.0,
        "elsewhere_chosen_logps": -4.5,
        "elsewhere_rejected_logps": -0.5,
        "chosen_logratio": 0.5,
        "rejected_logratio": -4.5,
        "focal_chosen_logratio": 1.0,
        "focal_rejected_logratio": -5.0,
        "elsewhere_chosen_logratio": -0.5,
        "elsewhere_rejected_logratio": 0.5,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("shift", "wins"), [(0.0, 0.5), (TIE_NATS / 2, 0.5), (-TIE_NATS / 2, 0.5), (0.01, 1.0), (-0.01, 0.0)]
)
def test_a_tie_is_half_a_win_and_rounding_noise_is_a_tie(shift: float, wins: float) -> None:
    same = ReferenceLogps("p", (-1.0, -2.0 + shift, -3.0), (-1.0, -1.0, -1.0))
    row = preference_row(EXAMPLE, same)
    assert (row["accuracy"], row["focal_accuracy"]) == (wins, wins)


# Quarters: no sum of them comes near the edge of a tie.
@pytest.mark.parametrize("normalised", [False, True])
@given(
    st.lists(st.integers(-36, 0).map(lambda n: n / 4), min_size=12, max_size=12), st.sampled_from(["padded", "shared"])
)
def test_evaluation_and_training_measure_the_same(normalised: bool, values: list[float], packing: str) -> None:
    policy = ReferenceLogps("p", tuple(values[:3]), tuple(values[3:6]))
    example = replace(EXAMPLE, chosen_ref_logps=tuple(values[6:9]), rejected_ref_logps=tuple(values[9:]))
    batch = collate([example], packing=packing, pad_id=0)
    logps_R, refs_R = torch.zeros(2, len(batch.labels_R))
    logps_R[batch.entry_row_E] = torch.tensor([*policy.chosen_ref_logps, *policy.rejected_ref_logps])
    refs_R[batch.entry_row_E] = torch.tensor([*example.chosen_ref_logps, *example.rejected_ref_logps])
    loss = LossConfig(beta=1.0, length_normalised=normalised)
    trained = preference_metrics(pair_sums(TokenLogRatio(logps_R - refs_R, logps_R, refs_R), batch), loss)
    row = preference_row(example, policy, length_normalised=normalised)
    only_here = {name for name in row if name.startswith("elsewhere") or (name.startswith("focal") and "logps" in name)}
    for name in row.keys() - only_here:
        value = row[name]
        assert trained[name].item() == pytest.approx(value, abs=1e-4), name


def test_a_normalised_run_is_measured_by_means_over_its_masks() -> None:
    row = preference_row(EXAMPLE, POLICY, length_normalised=True)
    assert row["margin"] == pytest.approx(0.5 / 3 - -3 / 1.5)
    assert row["chosen_logratio"] == 0.5  # of whole answers, whatever the loss
    empty = replace(EXAMPLE, rejected_mask=(0.0, 0.0, 0.0))
    assert preference_row(empty, POLICY, length_normalised=True)["margin"] == pytest.approx(0.5 / 3)


def test_a_summary_has_mean_and_interval_of_each_metric() -> None:
    summary = summarise([{"accuracy": float(i % 2), "margin": 2.0} for i in range(40)])
    assert summary["n_pairs"] == 40
    assert summary["margin"] == {"mean": 2.0, "low": 2.0, "high": 2.0}
    assert summary["accuracy"]["mean"] == 0.5
    assert 0.3 < summary["accuracy"]["low"] < 0.5 < summary["accuracy"]["high"] < 0.7


def test_a_token_table_lines_up_tokens_masks_and_log_probs() -> None:
    pair = PreferencePair(
        "p",
        "t",
        "test",
        "c",
        "prompt",
        "ab",
        "cd",
        1,
        0,
        "sha",
        (0,),
        (0,),
        (Span(0, 2),),
        (Span(1, 2),),
        "lcs",
        "literal",
        False,
        "note",
    )
    spans = {side: [Span(0, 1), Span(1, 2), Span(2, 2)] for side in ("chosen", "rejected")}
    table = token_table(pair, EXAMPLE, POLICY, spans)
    assert table["k_plus"] == pytest.approx(0.5)
    assert table["k_minus"] == pytest.approx(-3.0)
    assert table["focal_margin"] == pytest.approx(6.0)
    assert token_table(pair, EXAMPLE, POLICY, spans, length_normalised=True)["k_minus"] == pytest.approx(-2.0)
    assert table["tokens"]["rejected"] == [
        {"start": 0, "end": 1, "mask": 1.0, "focal": 1, "logp": -2.0, "ref_logp": -1.0},
        {"start": 1, "end": 2, "mask": 0.5, "focal": 1, "logp": -5.0, "ref_logp": -1.0},
        {"start": 2, "end": 2, "mask": 0.0, "focal": 0, "logp": -0.5, "ref_logp": -1.0},
    ]
    with pytest.raises(ValueError, match="shorter|longer"):
        token_table(pair, EXAMPLE, POLICY, {**spans, "chosen": spans["chosen"][:2]})


def test_the_spans_of_a_completion_are_its_tokens_and_an_empty_end(tmp_path: Any) -> None:
    from iterpref.config import ModelConfig
    from iterpref.models.policy import load_tokenizer
    from iterpref.models.source import resolve_model

    tokenizer = load_tokenizer(resolve_model(ModelConfig(source="tiny", hidden=16, layers=1), tmp_path, seed=0))
    text = "def f(x):\n    return x\n"
    spans = completion_spans(tokenizer, text)
    assert "".join(text[s.start : s.end] for s in spans) == text
    assert spans[-1] == Span(len(text), len(text))
    assert len(spans) == len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1


def test_calibration_by_hand() -> None:
    # p = sigmoid(m ln 3): 3/4, 3/4, 1/4 and 27/28.
    found = calibration([1.0, 1.0, -1.0, 3.0], beta=math.log(3))
    assert found["brier"]["mean"] == pytest.approx((2 / 16 + 9 / 16 + 1 / 28**2) / 4)
    first, second = found["bins"]
    assert (first["n"], first["low"], first["confidence"], first["accuracy"]) == pytest.approx((3, 0.75, 0.75, 2 / 3))
    assert (second["n"], second["low"], second["accuracy"]) == pytest.approx((1, 0.95, 1.0))
    assert found["ece"] == pytest.approx((3 * (0.75 - 2 / 3) + 1 / 28) / 4)


def test_an_untrained_policy_is_calibrated_and_knows_nothing() -> None:
    found = calibration([0.0, TIE_NATS / 2, -TIE_NATS / 2], beta=0.1)
    assert found["ece"] == pytest.approx(0, abs=1e-4)
    assert found["brier"]["mean"] == pytest.approx(0.25, abs=1e-4)
    assert len(found["bins"]) == 1


def test_large_margins_neither_overflow_nor_leave_the_last_bin() -> None:
    found = calibration([1e6, -1e6], beta=1.0)
    assert (found["ece"], found["brier"]["mean"]) == (0.5, 0.5)
    assert found["bins"][0]["high"] == 1.0
    with pytest.raises(UserError, match="all of them finite, got 0 margins"):
        calibration([], beta=1.0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_probabilities_that_are_true_are_calibrated(seed: int) -> None:
    draw = np.random.default_rng(seed)
    sizes = draw.exponential(2.0, 4000)
    signs = np.where(draw.random(4000) < 1 / (1 + np.exp(-sizes)), 1, -1)
    assert calibration((sizes * signs).tolist(), beta=1.0)["ece"] < 0.06


def test_other_pairs_take_the_place_of_the_runs_and_keep_its_limit(tmp_path: Path) -> None:
    config = Config()
    config.data.max_train_pairs, config.data.max_test_pairs = 64, 8
    config.pairs.diff = "prefix_suffix"
    found = with_pairs(config, str(tmp_path))
    assert (found.pairs.source, found.pairs.path, found.pairs.diff) == ("external", str(tmp_path), "prefix_suffix")
    # Pairs that are not scored need no log-probs.
    assert (found.data.max_train_pairs, found.data.max_validation_pairs, found.data.max_test_pairs) == (1, 1, 8)
    assert (config.pairs.source, config.data.max_train_pairs) == ("codeflow", 64)
    with pytest.raises(UserError, match=r"evaluate\.pairs=.*absent\.jsonl: there is no such file"):
        with_pairs(config, str(tmp_path / "absent.jsonl"))


def test_scores_of_the_start_model_are_kept_for_the_same_tasks_limits_and_loss_alone() -> None:
    config, bank = Config(), load_bank()[:2]
    known = asked(config, bank)
    assert asked(replace(config, evaluate=replace(config.evaluate, highlighted_pairs=3)), list(bank)) == known
    slow = replace(config, sandbox=replace(config.sandbox, cpu_s=4.0))
    assert asked(slow, bank) != known
    assert asked(config, [bank[0], replace(bank[1], tests=bank[0].tests)]) != known
    assert asked(replace(config, loss=replace(config.loss, beta=0.2)), bank) != known
    # Where no task is run, neither tasks nor limits count.
    pairs_alone = replace(config.evaluate, pass_at_1=False)
    assert asked(replace(slow, evaluate=pairs_alone), []) == asked(replace(config, evaluate=pairs_alone), bank)
