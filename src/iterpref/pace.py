"""How long a run takes, from what was measured: operations of its tokens over the rate that steps have reached.

A parameter and a token take 2 operations forward and 4 backward, of which 2 are for the parameter's own gradient (none where adapters
alone train); a reference that runs beside (`live`, `adapter`) takes 2 more, and so does the second forward of gradient checkpointing.
Of experts those count that a token meets, by the model's config.
"""

from __future__ import annotations

from iterpref.config import Config
from iterpref.config.training import world_size
from iterpref.memory import Shape, pass_sizes

# Of an H200, in operations a second: a large matrix product, and the share of it that whole steps reached (docs/results.md, "The whole step").
PRODUCT, SHARE = 780e12, 0.57
PAPER_PAIRS, PAPER_EPOCHS = 59_000, 3  # arXiv 2503.02783


def operations(config: Config, shape: Shape, pair_tokens: int, packing: str) -> float:
    """Floating-point operations of one pair whose sequences have so many tokens."""
    assert shape.active is not None
    tokens, rows = (size / config.data.micro_batch for size in pass_sizes(config, pair_tokens, packing))
    a_token = 6 - (2 if config.model.lora.rank else 0)
    a_token += 2 if config.reference in ("live", "adapter") else 0
    a_token += 2 if config.model.gradient_checkpointing else 0
    return a_token * (shape.active * tokens + shape.vocabulary * shape.hidden * rows)


def pairs_per_s(config: Config, shape: Shape, pair_tokens: int, packing: str) -> float:
    """On all devices, were they H200s and the exchange between them free."""
    return world_size(config.trainer) * SHARE * PRODUCT / operations(config, shape, pair_tokens, packing)


def describe_pace(config: Config, shape: Shape, lengths: list[int]) -> list[str]:
    """Lines of the plan: pairs a second, and hours for as many pairs as the paper has, by tokens of a sequence."""
    if shape.active is None:
        return ["pairs/s are not told: the model's config does not say how many of its experts a token meets"]
    rates = [pairs_per_s(config, shape, n, config.data.packing) for n in lengths]
    hours = [PAPER_PAIRS * config.trainer.epochs / rate / 3600 for rate in rates]
    where = f"{world_size(config.trainer)} H200(s) at {SHARE} of a matrix product's rate"
    return [
        f"{f'pairs/s, {where}':56} " + "".join(f"{rate:8.1f}" for rate in rates),
        f"{f'hours for {PAPER_PAIRS:,} pairs x {config.trainer.epochs} epochs':56} "
        + "".join(f"{h:8.1f}" for h in hours),
    ]
