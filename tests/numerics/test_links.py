"""Each link against numbers worked out by hand, its equation in fp64, its gradient, and the ends of the number line."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from iterpref.config import LossConfig
from iterpref.losses import masked_mean, preference_loss, sigmoid_link

LINKS = [
    LossConfig(link="sigmoid"),
    LossConfig(link="sigmoid", label_smoothing=0.2),
    LossConfig(link="hinge"),
    LossConfig(link="ipo"),
]
BY_NAME = pytest.mark.parametrize("config", LINKS, ids=lambda c: f"{c.link}-{c.label_smoothing}")
MARGINS, BETAS = st.floats(-400, 400), st.floats(0.01, 2)


def of_margin(margin_P: Tensor, config: LossConfig) -> Tensor:
    return preference_loss(margin_P, torch.zeros_like(margin_P), config)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("config", "margin", "wanted"),
    [
        (LossConfig(), 0, math.log(2)),
        # beta 0.5: 0.5 * 3 = 1.5 and -log sigmoid(1.5) = 0.20141327798; the other way round 1.5 more.
        (LossConfig(beta=0.5), 3, 0.2014132779827524),
        (LossConfig(beta=0.5), -3, 1.7014132779827524),
        # 0.9 * 0.20141 + 0.1 * 1.70141 = 0.35141: smoothing adds e z.
        (LossConfig(beta=0.5, label_smoothing=0.1), 3, 0.3514132779827524),
        (LossConfig(beta=0.5, label_smoothing=0.1), -3, 1.5514132779827524),
        (LossConfig(link="hinge", beta=0.5), 3, 0),
        (LossConfig(link="hinge", beta=0.5), -3, 2.5),
        (LossConfig(link="hinge", beta=0.5), 1, 0.5),
        # beta 0.25 asks for a margin of 1 / (2 * 0.25) = 2: (5 - 2)^2 and (-1 - 2)^2.
        (LossConfig(link="ipo", beta=0.25), 5, 9),
        (LossConfig(link="ipo", beta=0.25), -1, 9),
        (LossConfig(link="ipo", beta=0.25), 2, 0),
    ],
)
def test_a_link_has_its_hand_computed_value(config: LossConfig, margin: float, wanted: float) -> None:
    assert of_margin(column(margin), config).item() == pytest.approx(wanted, abs=1e-14)


def plain(z: float) -> float:
    """`-log sigmoid(z)` by the standard library."""
    return max(-z, 0) + math.log1p(math.exp(-abs(z)))


@given(MARGINS, BETAS, st.floats(0, 0.49))
def test_the_sigmoid_link_is_conservative_dpo_in_fp64(margin: float, beta: float, e: float) -> None:
    z = beta * margin
    wanted = (1 - e) * plain(z) + e * plain(-z)
    assert sigmoid_link(column(margin), beta, e).item() == pytest.approx(wanted, rel=1e-12, abs=1e-14)


@given(MARGINS, BETAS)
def test_the_hinge_and_ipo_links_in_fp64(margin: float, beta: float) -> None:
    hinge, ipo = (of_margin(column(margin), LossConfig(link=k, beta=beta)).item() for k in ("hinge", "ipo"))
    assert hinge == pytest.approx(max(0.0, 1 - beta * margin), rel=1e-12, abs=1e-12)
    assert ipo == pytest.approx((margin - 0.5 / beta) ** 2, rel=1e-12, abs=1e-12)


@given(MARGINS, BETAS)
def test_no_smoothing_is_the_plain_loss_to_the_bit(margin: float, beta: float) -> None:
    assert torch.equal(sigmoid_link(column(margin), beta, 0.0), -torch.nn.functional.logsigmoid(beta * column(margin)))


@given(MARGINS, BETAS, st.floats(0, 0.49))
def test_swapping_the_sides_swaps_the_label(margin: float, beta: float, e: float) -> None:
    """A label that is wrong with probability e is, with the sides exchanged, right with that probability."""
    there, back = sigmoid_link(column(margin), beta, e), sigmoid_link(column(-margin), beta, e)
    assert (there - back).item() == pytest.approx((2 * e - 1) * beta * margin, rel=1e-9, abs=1e-9)
    assert sigmoid_link(column(margin), beta, 1 - e).item() == pytest.approx(back.item(), rel=1e-9, abs=1e-9)


@given(MARGINS, BETAS, st.floats(0.1, 10))
def test_beta_only_scales_the_margin(margin: float, beta: float, scale: float) -> None:
    for link, factor in (("sigmoid", 1), ("hinge", 1), ("ipo", scale**2)):
        here = of_margin(column(margin), LossConfig(link=link, beta=beta)).item()
        there = of_margin(column(margin * scale), LossConfig(link=link, beta=beta / scale)).item()
        # IPO's loss is a squared distance between margins, and so grows with the square of their unit.
        assert there == pytest.approx(here * factor, rel=1e-9, abs=1e-9)


@BY_NAME
@given(low=MARGINS, step=st.floats(1e-3, 50))
def test_a_link_has_one_minimum_and_no_other(config: LossConfig, low: float, step: float) -> None:
    """Convex: the middle lies below the chord."""
    a, middle, b = of_margin(column(low, low + step, low + 2 * step), config).tolist()
    assert middle <= (a + b) / 2 + 1e-9 * (abs(a) + abs(b) + 1)


@pytest.mark.parametrize("e", [0.05, 0.2, 0.4])
def test_smoothing_is_least_where_the_policy_is_as_sure_as_the_labels(e: float) -> None:
    margin_P = column(math.log((1 - e) / e) / 0.1).requires_grad_()
    sigmoid_link(margin_P, 0.1, e).sum().backward()
    assert margin_P.grad.item() == pytest.approx(0, abs=1e-15)


@BY_NAME
def test_gradients_are_those_of_the_values(config: LossConfig) -> None:
    # None of them at hinge's corner, beta m = 1, where there is no gradient to compare.
    margin_P = column(-300, -12, -1, 0, 2, 9.5, 40, 300).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: of_margin(m, config), (margin_P,))


@BY_NAME
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [1e6, -1e6, 1e4, -1e4, 1e-6, -1e-30, 0.0])
def test_extreme_margins_give_finite_losses_and_gradients(
    config: LossConfig, dtype: torch.dtype, margin: float
) -> None:
    margin_P = torch.tensor([margin], dtype=dtype, requires_grad=True)
    loss_P = of_margin(margin_P, config)
    loss_P.sum().backward()
    assert loss_P.isfinite().all()
    assert loss_P.item() >= 0
    assert margin_P.grad.isfinite().all()
    if margin <= -1e4:
        assert margin_P.grad.item() < 0, "a pair that is far on the wrong side is pulled back"


def test_the_tail_of_the_sigmoid_link_in_fp32_is_as_good_as_fp32_can_hold() -> None:
    margin_P = torch.linspace(-800, 800, 4001)
    for e in (0.0, 0.1):
        found, wanted = sigmoid_link(margin_P, 0.1, e), sigmoid_link(margin_P.double(), 0.1, e)
        # beta * m is rounded once, to 2^-24 of itself, and what is computed from it twice more.
        error = (found.double() - wanted).abs() / (wanted + e)
        assert error.nan_to_num(0)[margin_P < 700].max() < 3 * (1 + 80) * 2**-24


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 500)), min_size=1, max_size=5))
def test_a_masked_mean_is_the_sum_by_the_weight(rows: list[tuple[float, float]]) -> None:
    sum_P, weight_P = (column(*c) for c in zip(*rows, strict=True))
    assert masked_mean(sum_P, weight_P).tolist() == pytest.approx([s / w for s, w in rows])


def test_an_empty_mask_gives_zero_and_no_gradient() -> None:
    sum_P, weight_P = column(0, 6).requires_grad_(), column(0, 3)
    mean_P = masked_mean(sum_P, weight_P)
    mean_P.sum().backward()
    assert mean_P.tolist() == [0, 2]
    assert sum_P.grad.tolist() == [0, pytest.approx(1 / 3)]
