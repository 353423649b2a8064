"""Mixtures of experts: which of a decoder's weights each token meets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# As the configs of transformers name them.
_NUMBER = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_A_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k")


def share_of_experts(settings: Any) -> float | None:
    """Experts of a token over those of a layer, as a transformers config says it; None where it does not say both."""
    number, a_token = _said(settings, _NUMBER), _said(settings, _A_TOKEN)
    return a_token / number if number and a_token and a_token <= number else None


def is_mixture(settings: Any) -> bool:
    """Whether the config speaks of experts."""
    return bool(_said(settings, _NUMBER))


def in_experts(named: Iterable[tuple[str, Any]]) -> int:
    """Numbers in the weights of routed experts: those under that name, or of a tensor that has a matrix for each."""
    return sum(p.numel() for name, p in named if "experts" in name.split(".") or p.ndim == 3)


def _said(settings: Any, names: Iterable[str]) -> int:
    return next((v for name in names if isinstance(v := getattr(settings, name, None), int)), 0)
