"""AdamW and the learning rate: linear warm-up, then cosine to zero or constant."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from iterpref.config import Config, OptimConfig


def build_optimizer(model: torch.nn.Module, config: OptimConfig) -> AdamW:
    """AdamW over the parameters that train; weight decay only on matrices, not on norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([g for g in groups if g["params"]], lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def total_steps(config: Config, train_pairs: int) -> int:
    """Optimizer steps of the whole run: `min(max_steps, epochs * ceil(train_pairs / global_batch))`."""
    steps = config.trainer.epochs * math.ceil(train_pairs / config.data.global_batch)
    return min(steps, config.trainer.max_steps or steps)


def build_schedule(optimizer: Optimizer, config: OptimConfig, total_steps: int) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: lr_factor(step, total_steps, config.warmup_ratio, config.schedule))


def lr_factor(step: int, total_steps: int, warmup_ratio: float, schedule: str) -> float:
    """Share of the peak learning rate at optimizer step `step` (0-based), in (0, 1].

    Warm-up: (step + 1) / ceil(warmup_ratio * total). Then constant, or 0.5 (1 + cos(pi * progress)), whose last step is the
    first one that would reach zero only after it.
    """
    warmup = math.ceil(warmup_ratio * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(total_steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
