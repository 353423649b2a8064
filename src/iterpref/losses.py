"""Log-ratios -> loss, equation by equation (arXiv 2503.02783, section 3). Plain torch on [P] tensors in fp32.

With r_t = log pi(y_t | x, y_<t) - log pi_ref(y_t | x, y_<t) and masks m over completion tokens,

    K+ = sum_t m+_t r_t over y+            K- = sum_t m-_t r_t over y-
    L  = preference * link(K+ - K-) + alpha * NLL
    link = -log sigmoid(beta (K+ - K-))    eq. 6, Target-DPO; plain DPO when both masks are 1
    NLL  = -sum_t log pi(y+_t)             eq. 7; with it L is eq. 8, Target-RPO

The masks come with the batch and know nothing of the loss: any of them goes with any link. Every loss is a sum over the pairs
divided by `step_pairs`, the pairs of the whole optimizer step, so that micro-batches of any size add up to the mean over the
global batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from iterpref.batch import Batch, Terms
from iterpref.config import LossConfig
from iterpref.errors import UserError
from iterpref.ops import TokenLogRatio, sequence_sum
from iterpref.registry import LINKS

# Sums of some thousand fp32 log-ratios differ by rounding alone: an untrained policy must tie, not win at random.
TIE_NATS = 1e-3


def sigmoid_link(margin_P: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """`-(1 - e) logsigmoid(beta m) - e logsigmoid(-beta m)`, [P]: eq. 6 at e = 0; else conservative DPO, for labels that are
    wrong with probability e (Mitchell, "A note on DPO with noisy preferences", 2023). Least where `sigmoid(beta m) = 1 - e`."""
    z_P = beta * margin_P
    plain_P = -F.logsigmoid(z_P)
    # -log sigmoid(-z) = z - log sigmoid(z). No term at e = 0: 0 * inf is not 0.
    return plain_P + label_smoothing * z_P if label_smoothing else plain_P


def hinge_link(margin_P: Tensor, beta: float) -> Tensor:
    """`relu(1 - beta m)`, [P]: RSO's hinge on normalised likelihoods (arXiv 2309.06657), after SLiC-HF (2305.10425)."""
    return F.relu(1 - beta * margin_P)


def ipo_link(margin_P: Tensor, beta: float) -> Tensor:
    """`(m - 1 / (2 beta))^2`, [P]: IPO (arXiv 2310.12036, eq. 17), whose tau is beta: a larger one asks for a smaller margin."""
    return (margin_P - 1 / (2 * beta)).square()


@LINKS.register("sigmoid")
def _sigmoid(k_plus_P: Tensor, k_minus_P: Tensor, config: LossConfig) -> Tensor:
    return sigmoid_link(k_plus_P - k_minus_P, config.beta, config.label_smoothing)


@LINKS.register("hinge")
def _hinge(k_plus_P: Tensor, k_minus_P: Tensor, config: LossConfig) -> Tensor:
    return hinge_link(k_plus_P - k_minus_P, config.beta)


@LINKS.register("ipo")
def _ipo(k_plus_P: Tensor, k_minus_P: Tensor, config: LossConfig) -> Tensor:
    return ipo_link(k_plus_P - k_minus_P, config.beta)


def preference_loss(k_plus_P: Tensor, k_minus_P: Tensor, config: LossConfig) -> Tensor:
    """`link(K+, K-)` of each pair, [P], by `config.link`: a function of (K+, K-, config), of the margin alone if it is ours.

    Raises `UserError` where somebody's function returns anything else than a loss of each pair that has a gradient.
    """
    loss_P = LINKS.get(config.link)(k_plus_P, k_minus_P, config)
    if not isinstance(loss_P, Tensor) or loss_P.shape != k_plus_P.shape:
        came = f"shape {tuple(loss_P.shape)}" if isinstance(loss_P, Tensor) else f"a {type(loss_P).__name__}"
        raise UserError(
            f"loss.link={config.link}: a tensor of shape {tuple(k_plus_P.shape)} was expected, a loss of each pair; {came} came. "
            "Leave the mean over pairs to the training step"
        )
    if torch.is_grad_enabled() and k_plus_P.requires_grad and not loss_P.requires_grad:
        raise UserError(f"loss.link={config.link}: the loss that it returned has no gradient towards K+ or K-")
    return loss_P


def nll(logps_P: Tensor, tokens_P: Tensor, reduction: str) -> Tensor:
    """NLL of a completion, [P]: `-sum_t log pi(y_t)` (`sum`, eq. 7), or that divided by the number of tokens (`mean`, the public code)."""
    return -logps_P / tokens_P if reduction == "mean" else -logps_P


class PairSums(NamedTuple):
    """What one batch says about each pair: [P] fp32 sums over completion tokens, EOS included."""

    k_plus_P: Tensor  # masked log-ratio of y+
    k_minus_P: Tensor  # masked log-ratio of y-
    weight_plus_P: Tensor  # sum of the mask's weights over y+
    weight_minus_P: Tensor  # and over y-
    chosen_logps_P: Tensor
    rejected_logps_P: Tensor
    chosen_logratio_P: Tensor  # over all tokens, whatever the mask
    rejected_logratio_P: Tensor
    focal_chosen_P: Tensor  # log-ratio over the tokens of D+
    focal_rejected_P: Tensor  # log-ratio over the tokens of D-
    chosen_tokens_P: Tensor
    rejected_tokens_P: Tensor
    focal_share_P: Tensor  # share of the rejected tokens that K- counts, in [0, 1]


def scores(sums: PairSums, length_normalised: bool) -> tuple[Tensor, Tensor]:
    """(K+, K-), [P] each: the masked sums, or with `length_normalised` their means `sum_t m_t r_t / sum_t m_t`, 0 for an empty mask."""
    if not length_normalised:
        return sums.k_plus_P, sums.k_minus_P
    return masked_mean(sums.k_plus_P, sums.weight_plus_P), masked_mean(sums.k_minus_P, sums.weight_minus_P)


def masked_mean(sum_P: Tensor, weight_P: Tensor) -> Tensor:
    """`sum / weight`, [P]; 0 where the weight is 0, and so is its gradient."""
    # The denominator is made harmless first: a NaN in the branch not taken would still reach the gradient.
    return torch.where(weight_P > 0, sum_P / torch.where(weight_P > 0, weight_P, 1), 0)


class LossParts(NamedTuple):
    """Scalars whose gradient, or log line, is wanted. `loss = config.preference * preference + config.alpha * nll`."""

    loss: Tensor
    preference: Tensor
    nll: Tensor


def loss_terms(config: LossConfig) -> Terms:
    """The terms that this loss has: what a training batch has to be laid out for."""
    return Terms(preference=config.preference > 0, nll=config.nll_side if config.alpha > 0 else None)


def combine(sums: PairSums, config: LossConfig, step_pairs: int) -> LossParts:
    """Eq. 8: `sum_p (preference * link(K+ - K-) + alpha * NLL) / step_pairs`; the NLL is of y+, or of y- by `config.nll_side`."""
    k_plus_P, k_minus_P = scores(sums, config.length_normalised)
    preference = preference_loss(k_plus_P, k_minus_P, config).sum() / step_pairs
    tuned = {
        "chosen": (sums.chosen_logps_P, sums.chosen_tokens_P),
        "rejected": (sums.rejected_logps_P, sums.rejected_tokens_P),
    }
    fine_tuning = nll(*tuned[config.nll_side], config.nll).sum() / step_pairs
    # A term of weight zero is left out rather than multiplied: 0 * inf is not 0.
    terms = [weight * term for weight, term in ((config.preference, preference), (config.alpha, fine_tuning)) if weight]
    loss = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    return LossParts(loss, preference, fine_tuning)


def pair_sums(ratios: TokenLogRatio, batch: Batch) -> PairSums:
    """Sums the rows of a batch into pairs; gradient flows through `k_plus`, `k_minus`, `chosen_logps` and `rejected_logps`.

    A batch that is laid out for some terms of the loss has no rows for other tokens: `preference_metrics` knows which sums
    then mean what they say.
    """
    P = batch.n_pairs
    rows_E, sequence_E = batch.entry_row_E, batch.entry_sequence_E
    logratio_E = ratios.logratio_R[rows_E]
    logps_E = ratios.policy_logps_R[rows_E]
    ones_E = torch.ones_like(batch.weights_E)

    def sums(values_E: Tensor, weights_E: Tensor) -> tuple[Tensor, Tensor]:
        sums_S = sequence_sum(values_E, weights_E, sequence_E, 2 * P)
        return sums_S[:P], sums_S[P:]

    chosen_tokens_P, rejected_tokens_P = batch.completion_tokens_S.split(P)
    _, counted_P = sums(ones_E, (batch.weights_E > 0).float())
    return PairSums(
        *sums(logratio_E, batch.weights_E),
        *sums(ones_E, batch.weights_E),
        *sums(logps_E, ones_E),
        *sums(logratio_E.detach(), ones_E),
        *sums(logratio_E.detach(), batch.focal_E),
        chosen_tokens_P,
        rejected_tokens_P,
        counted_P / rejected_tokens_P,
    )


# Sums over whole completions, whatever the mask.
_OF_ALL_TOKENS = ("chosen_logps", "rejected_logps", "chosen_logratio", "rejected_logratio")


def preference_metrics(sums: PairSums, config: LossConfig, terms: Terms | None = None) -> dict[str, Tensor]:
    """Per-pair metrics, [P] each, whose means are logged. K+ and K- are those of the loss; an accuracy counts a tie as one half.

    Args:
        terms: those of the batch; what its rows do not give is left out.
    """
    if terms is not None and not terms.preference:
        return {}
    k_plus_P, k_minus_P = (k_P.detach() for k_P in scores(sums, config.length_normalised))
    # A mean over w tokens has one w-th of its sum's rounding error.
    shortest_P = torch.minimum(sums.weight_plus_P, sums.weight_minus_P).clamp(min=1)
    tie_P = TIE_NATS / shortest_P if config.length_normalised else torch.full_like(k_plus_P, TIE_NATS)
    focal_margin_P = sums.focal_chosen_P - sums.focal_rejected_P
    metrics = {
        "accuracy": _wins(k_plus_P - k_minus_P, tie_P),
        "margin": config.beta * (k_plus_P - k_minus_P),
        "chosen_reward": config.beta * k_plus_P,
        "rejected_reward": config.beta * k_minus_P,
        "focal_accuracy": _wins(focal_margin_P, torch.full_like(focal_margin_P, TIE_NATS)),
        "focal_margin": focal_margin_P,
        "chosen_logps": sums.chosen_logps_P.detach(),
        "rejected_logps": sums.rejected_logps_P.detach(),
        "chosen_logratio": sums.chosen_logratio_P,
        "rejected_logratio": sums.rejected_logratio_P,
        "focal_chosen_logratio": sums.focal_chosen_P,
        "focal_rejected_logratio": sums.focal_rejected_P,
        "focal_share": sums.focal_share_P,
    }
    return {name: value for name, value in metrics.items() if terms is None or name not in _OF_ALL_TOKENS}


def _wins(margin_P: Tensor, tie_P: Tensor) -> Tensor:
    return torch.where(margin_P.abs() <= tie_P, 0.5, (margin_P > 0).float())
