"""The learning rate by hand, and what weight decay touches."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iterpref.config import Config, OptimConfig
from iterpref.models.optim import build_optimizer, build_schedule, clip, lr_factor, total_steps


def test_three_percent_of_a_hundred_steps_warm_up_in_thirds_then_the_cosine_begins() -> None:
    factors = [lr_factor(step, 100, 0.03, "cosine") for step in range(100)]
    assert factors[:4] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    # 97 steps of cosine: a quarter of the way down at step 3 + 97/4, and so on; here at its middle and at its end.
    assert factors[3 + 48] == pytest.approx(0.5 * (1 + math.cos(math.pi * 48 / 97)))
    assert factors[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 96 / 97)))
    assert factors[99] > 0


def test_four_steps_without_warm_up_are_the_four_quarters_of_a_cosine() -> None:
    wanted = [1, 0.5 * (1 + math.sqrt(0.5)), 0.5, 0.5 * (1 - math.sqrt(0.5))]
    assert [lr_factor(step, 4, 0, "cosine") for step in range(4)] == pytest.approx(wanted)


def test_a_constant_schedule_stays_at_the_peak_after_the_warm_up() -> None:
    assert [lr_factor(step, 5, 0.4, "constant") for step in range(5)] == [0.5, 1, 1, 1, 1]


@given(total=st.integers(1, 500), ratio=st.floats(0, 1), schedule=st.sampled_from(["cosine", "constant"]))
def test_each_step_has_a_positive_share_of_the_peak_and_rises_before_it_falls(
    total: int, ratio: float, schedule: str
) -> None:
    factors = [lr_factor(step, total, ratio, schedule) for step in range(total)]
    assert all(0 < f <= 1 for f in factors)
    top = math.ceil(ratio * total)
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_the_schedule_gives_these_factors_to_the_optimizer() -> None:
    config = OptimConfig(lr=2e-3, warmup_ratio=0.5)
    optimizer = build_optimizer(torch.nn.Linear(2, 2), config)
    schedule = build_schedule(optimizer, config, 4)
    seen = []
    for _ in range(4):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert seen == pytest.approx([1e-3, 2e-3, 2e-3, 1e-3])


def test_weight_decay_is_for_matrices_that_train() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 3))
    model[2].requires_grad_(False)
    decayed, plain = build_optimizer(model, OptimConfig(weight_decay=0.1, beta1=0.8, beta2=0.95)).param_groups
    assert decayed["weight_decay"] == 0.1
    assert [p is model[0].weight for p in decayed["params"]] == [True]
    assert plain["weight_decay"] == 0
    assert {id(p) for p in plain["params"]} == {id(model[0].bias), id(model[1].weight), id(model[1].bias)}
    assert plain["betas"] == (0.8, 0.95)


@pytest.mark.parametrize(
    ("pairs", "max_steps", "wanted"), [(256, None, 6), (257, None, 9), (1, None, 3), (257, 4, 4), (257, 100, 9)]
)
def test_the_run_has_epochs_times_the_global_batches_unless_stopped_before(
    pairs: int, max_steps: Any, wanted: int
) -> None:
    config = Config()
    config.trainer.epochs, config.data.global_batch, config.trainer.max_steps = 3, 128, max_steps
    assert total_steps(config, pairs) == wanted


def test_gradients_in_bf16_are_clipped_by_their_norm_and_not_by_its_first_two_digits() -> None:
    weights = [torch.nn.Parameter(torch.zeros(n, dtype=torch.bfloat16)) for n in (5985, 3, 1)]
    for weight in weights[:2]:
        weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.AdamW(weights)
    # sqrt(5988) = 77.38, for which bf16 has 77.5
    norm = clip(optimizer, 7.738)
    assert norm.dtype == torch.float32
    assert float(norm) == pytest.approx(math.sqrt(5988), rel=1e-6)
    for weight in weights[:2]:
        assert weight.grad is not None
        assert set(weight.grad.tolist()) == {0.10009765625}  # the bf16 next to 0.1
    assert weights[2].grad is None


def test_gradients_within_the_limit_stay_as_they_are() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    for limit in (5.1, float("inf")):
        assert float(clip(torch.optim.AdamW([weight]), limit)) == 5.0
        assert weight.grad.tolist() == [3.0, 4.0]
