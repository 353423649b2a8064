"""Log-ratios -> loss, equation by equation (arXiv 2503.02783, section 3). Plain torch on [P] tensors in fp32.

With r_t = log pi(y_t | x, y_<t) - log pi_ref(y_t | x, y_<t) and masks m over completion tokens,

    K+ = sum_t m+_t r_t over y+            K- = sum_t m-_t r_t over y-
    L_focal = -log sigmoid(beta (K+ - K-))             eq. 6, Target-DPO; plain DPO when both masks are 1
    L_rpo   = L_focal + alpha NLL(y+)                  eq. 8, Target-RPO

Every loss is a sum over the pairs divided by `step_pairs`, the pairs of the whole optimizer step, so that micro-batches of any
size add up to the mean over the global batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from iterpref.config import LossConfig
from iterpref.ops import TokenLogRatio, sequence_sum
from iterpref.schema import Batch


def focal_dpo(k_plus_P: Tensor, k_minus_P: Tensor, beta: float) -> Tensor:
    """`-logsigmoid(beta * (k_plus - k_minus))`, [P]: eq. 6."""
    return -F.logsigmoid(beta * (k_plus_P - k_minus_P))


def nll(chosen_logps_P: Tensor, chosen_tokens_P: Tensor, reduction: str) -> Tensor:
    """NLL of y+, [P]: `-sum_t log pi(y_t)` (`sum`, eq. 7), or that divided by the number of tokens (`mean`, the public code)."""
    return -chosen_logps_P / chosen_tokens_P if reduction == "mean" else -chosen_logps_P


# Sums of some thousand fp32 log-ratios differ by rounding alone: an untrained policy must tie, not win at random.
TIE_NATS = 1e-3


class LossParts(NamedTuple):
    """Scalars whose gradient, or log line, is wanted. `loss = preference * focal + alpha * nll`."""

    loss: Tensor
    focal: Tensor
    nll: Tensor


def combine(
    k_plus_P: Tensor,
    k_minus_P: Tensor,
    chosen_logps_P: Tensor,
    chosen_tokens_P: Tensor,
    config: LossConfig,
    step_pairs: int,
) -> LossParts:
    """Eq. 8: `sum_p (preference * L_focal + alpha * NLL) / step_pairs`.

    Args:
        k_plus_P, k_minus_P: masked sums of log-ratios, fp32.
        chosen_logps_P: sum of policy log-probs over all tokens of y+ (EOS included), fp32.
        chosen_tokens_P: number of those tokens.
    """
    focal = focal_dpo(k_plus_P, k_minus_P, config.beta).sum() / step_pairs
    fine_tuning = nll(chosen_logps_P, chosen_tokens_P, config.nll).sum() / step_pairs
    # A term of weight zero is left out rather than multiplied: 0 * inf is not 0.
    terms = [weight * term for weight, term in ((config.preference, focal), (config.alpha, fine_tuning)) if weight]
    loss = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    return LossParts(loss, focal, fine_tuning)


class PairSums(NamedTuple):
    """What one batch says about each pair: [P] fp32 sums over completion tokens, EOS included."""

    k_plus_P: Tensor  # masked log-ratio of y+
    k_minus_P: Tensor  # masked log-ratio of y-
    chosen_logps_P: Tensor
    rejected_logps_P: Tensor
    chosen_logratio_P: Tensor  # over all tokens, whatever the mask
    rejected_logratio_P: Tensor
    focal_chosen_P: Tensor  # log-ratio over the tokens of D+
    focal_rejected_P: Tensor  # log-ratio over the tokens of D-
    chosen_tokens_P: Tensor
    focal_share_P: Tensor  # share of the rejected tokens that K- counts, in [0, 1]


def pair_sums(ratios: TokenLogRatio, batch: Batch) -> PairSums:
    """Sums the rows of a batch into pairs; gradient flows through `k_plus`, `k_minus` and `chosen_logps`."""
    P = batch.n_pairs
    rows_E, sequence_E = batch.entry_row_E, batch.entry_sequence_E
    logratio_E = ratios.logratio_R[rows_E]
    logps_E = ratios.policy_logps_R[rows_E]
    ones_E = torch.ones_like(batch.weights_E)

    def sums(values_E: Tensor, weights_E: Tensor) -> tuple[Tensor, Tensor]:
        sums_S = sequence_sum(values_E, weights_E, sequence_E, 2 * P)
        return sums_S[:P], sums_S[P:]

    k_plus_P, k_minus_P = sums(logratio_E, batch.weights_E)
    chosen_logps_P, rejected_logps_P = sums(logps_E, ones_E)
    chosen_logratio_P, rejected_logratio_P = sums(logratio_E.detach(), ones_E)
    focal_chosen_P, focal_rejected_P = sums(logratio_E.detach(), batch.focal_E)
    chosen_tokens_P, rejected_tokens_P = sums(ones_E, ones_E)
    _, weighted_P = sums(ones_E, (batch.weights_E > 0).float())
    return PairSums(
        k_plus_P, k_minus_P, chosen_logps_P, rejected_logps_P.detach(), chosen_logratio_P, rejected_logratio_P,
        focal_chosen_P, focal_rejected_P, chosen_tokens_P, weighted_P / rejected_tokens_P,
    )  # fmt: skip


def preference_metrics(sums: PairSums, beta: float) -> dict[str, Tensor]:
    """Per-pair metrics, [P] each, whose means are logged. An accuracy counts a tie as one half."""
    margin_P = sums.k_plus_P.detach() - sums.k_minus_P.detach()
    focal_margin_P = sums.focal_chosen_P - sums.focal_rejected_P
    return {
        "accuracy": _wins(margin_P),
        "margin": beta * margin_P,
        "chosen_reward": beta * sums.k_plus_P.detach(),
        "rejected_reward": beta * sums.k_minus_P.detach(),
        "focal_accuracy": _wins(focal_margin_P),
        "focal_margin": focal_margin_P,
        "chosen_logps": sums.chosen_logps_P.detach(),
        "rejected_logps": sums.rejected_logps_P,
        "chosen_logratio": sums.chosen_logratio_P,
        "rejected_logratio": sums.rejected_logratio_P,
        "focal_chosen_logratio": sums.focal_chosen_P,
        "focal_rejected_logratio": sums.focal_rejected_P,
        "focal_share": sums.focal_share_P,
    }


def _wins(margin_P: Tensor) -> Tensor:
    tie_P = margin_P.abs() <= TIE_NATS
    return torch.where(tie_P, 0.5, (margin_P > 0).float())
