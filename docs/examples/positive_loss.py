"""A loss: DPO-Positive (arXiv 2402.13228) on our masks. It punishes a policy that makes y+ less likely than its reference does."""

import torch
import torch.nn.functional as F

from iterpref.registry import LINKS

PENALTY = 5.0  # the paper's lambda


@LINKS.register("positive")
def positive(k_plus_P: torch.Tensor, k_minus_P: torch.Tensor, config) -> torch.Tensor:
    """`-logsigmoid(beta (K+ - K- - lambda relu(-K+)))`, [P]."""
    return -F.logsigmoid(config.beta * (k_plus_P - k_minus_P - PENALTY * F.relu(-k_plus_P)))
