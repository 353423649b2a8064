"""docs/examples/positive_loss.py: the equation by hand, and its gradient."""

import math

import pytest
import torch

from iterpref.config import LossConfig
from iterpref.errors import UserError
from iterpref.losses import preference_loss
from iterpref.registry import LINKS


def loss(k_plus: float, k_minus: float) -> float:
    columns = (torch.tensor([k], dtype=torch.float64) for k in (k_plus, k_minus))
    return preference_loss(*columns, LossConfig(link="positive", beta=0.5)).item()


def test_with_y_plus_likelier_than_before_it_is_dpo() -> None:
    assert loss(2, -1) == loss(3, 0) == math.log1p(math.exp(-0.5 * 3))


def test_a_y_plus_that_became_less_likely_costs_five_times_its_log_ratio() -> None:
    assert math.isclose(loss(-1, -4), math.log1p(math.exp(-0.5 * (3 - 5))))


def test_its_gradient_is_that_of_the_equation() -> None:
    columns = [torch.tensor([-1.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: preference_loss(a, b, LossConfig(link="positive")), columns)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (lambda a, b, config: (b - a).mean(), r"shape \(2,\) was expected, a loss of each pair; shape \(\) came"),
        (lambda a, b, config: 1.0, "a float came"),
        (lambda a, b, config: (b - a).detach(), "has no gradient"),
    ],
)
def test_what_is_no_loss_of_each_pair_is_refused(link, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LINKS, "get", lambda name: link)
    columns = [torch.tensor([-1.5, 0.5], requires_grad=True) for _ in range(2)]
    with pytest.raises(UserError, match=message):
        preference_loss(*columns, LossConfig(link="positive"))
