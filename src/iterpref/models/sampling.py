"""The next token of each row of a batch: the likeliest, or drawn, by random numbers that belong to the row alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 is greedy; `top_p` keeps the fewest likeliest tokens whose probabilities reach it."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


GREEDY = Sampling()
_FEW = 1024  # tokens that a nucleus seldom outgrows


class Draw:
    """Chooses tokens for the rows of one batch; `streams` names the random numbers of each row."""

    def __init__(self, sampling: Sampling, streams: Sequence[int]) -> None:
        self._sampling = sampling
        self._numbers = [np.random.default_rng([sampling.seed, stream]) for stream in streams]

    def numbers(self, rows: Sequence[int], n: int) -> Tensor:
        """The next `n` random numbers of each of the rows, [S, n] fp32 in [0, 1); one is used up by each token."""
        if self._sampling.temperature == 0:
            return torch.zeros(len(rows), n)
        return torch.from_numpy(np.stack([self._numbers[row].random(n, dtype=np.float32) for row in rows]))

    def choose(self, logits_SV: Tensor, uniforms_S: Tensor) -> Tensor:
        """Token ids [S], by one number of each row. Waits for the device with a `top_p` below 1 alone."""
        if self._sampling.temperature == 0:
            return logits_SV.argmax(dim=-1)
        return inverse(logits_SV, uniforms_S, self._sampling.temperature, self._sampling.top_p)


def inverse(logits_SV: Tensor, uniforms_S: Tensor, temperature: float, top_p: float) -> Tensor:
    """The token at which cumulated probabilities pass the uniform number in [0, 1): in the order of the vocabulary where all
    count (`top_p` 1), else likeliest first and cut at `top_p`. fp32 whatever the logits are.

    Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751) by inversion. A sort of all chances takes longer than a small
    model's own pass: only rows whose nucleus is wider than `_FEW` tokens are sorted, which a look at the device tells.
    """
    chances_SV = (logits_SV.float() / temperature).softmax(dim=-1)
    if top_p == 1:
        cumulated_SV = chances_SV.cumsum(dim=-1)
        mass_S1 = cumulated_SV[:, -1:].contiguous()
        place_S1 = torch.searchsorted(cumulated_SV, uniforms_S[:, None] * mass_S1, right=True)
        # A number that rounds to the mass itself is the last token's that has a chance.
        return torch.minimum(place_S1, torch.searchsorted(cumulated_SV, mass_S1))[:, 0]
    few = min(_FEW, chances_SV.shape[-1])
    # Equal chances come in the order of the vocabulary, as a stable sort has them; `topk` leaves that open.
    tokens_SK = chances_SV.topk(few).indices.sort(dim=-1).values
    ordered_SK, order_SK = chances_SV.gather(-1, tokens_SK).sort(dim=-1, descending=True, stable=True)
    drawn_S = _drawn(ordered_SK, tokens_SK.gather(-1, order_SK), uniforms_S, top_p)
    # Of those as likely as the last one, others may have been left out.
    whole_S = (ordered_SK * (ordered_SK > ordered_SK[:, -1:])).sum(dim=-1) >= top_p
    wide = (~whole_S).nonzero()[:, 0]
    if len(wide):
        drawn_S[wide] = _drawn(*chances_SV[wide].sort(dim=-1, descending=True, stable=True), uniforms_S[wide], top_p)
    return drawn_S


def _drawn(ordered_SK: Tensor, tokens_SK: Tensor, uniforms_S: Tensor, top_p: float) -> Tensor:
    """By inversion from the nucleus of chances that fall from left to right."""
    cumulated_SK = ordered_SK.cumsum(dim=-1)
    kept_SK = cumulated_SK - ordered_SK < top_p  # the first one always
    mass_S = (ordered_SK * kept_SK).sum(dim=-1)
    place_S = (cumulated_SK <= (uniforms_S * mass_S)[:, None]).sum(dim=-1)
    last_S = kept_SK.sum(dim=-1) - 1
    return tokens_SK.gather(-1, torch.minimum(place_S, last_S)[:, None])[:, 0]
