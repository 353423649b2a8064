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
        """Token ids [S], by one number of each row. Reads nothing back from the device."""
        if self._sampling.temperature == 0:
            return logits_SV.argmax(dim=-1)
        return inverse(logits_SV, uniforms_S, self._sampling.temperature, self._sampling.top_p)


def inverse(logits_SV: Tensor, uniforms_S: Tensor, temperature: float, top_p: float) -> Tensor:
    """The token at which the cumulated probabilities, likeliest first and cut at `top_p`, pass the uniform number in [0, 1).

    Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751) by inversion; fp32 whatever the logits are.
    """
    ordered_SV, tokens_SV = (logits_SV.float() / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulated_SV = ordered_SV.cumsum(dim=-1)
    kept_SV = cumulated_SV - ordered_SV < top_p  # the first one always
    mass_S = (ordered_SV * kept_SV).sum(dim=-1)
    place_S = (cumulated_SV <= (uniforms_S * mass_S)[:, None]).sum(dim=-1)
    last_S = kept_SV.sum(dim=-1) - 1
    return tokens_SV.gather(-1, torch.minimum(place_S, last_S)[:, None])[:, 0]
