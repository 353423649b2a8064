"""AdamW and the learning rate: linear warm-up, then cosine to zero or constant."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from iterpref.config import Config, OptimConfig
from iterpref.errors import UserError
from iterpref.ops import resolve_backend


def build_optimizer(model: torch.nn.Module, config: OptimConfig, ops: str = "auto") -> AdamW:
    """AdamW over the parameters that train; weight decay only on matrices, not on norms and biases.

    With the Triton backend it is `ops.adamw.TritonAdamW`, else torch's fused one; their state dicts are alike. Raises
    `UserError` for stochastic rounding without Triton.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    betas = config.beta1, config.beta2
    if _kernel_fits(trained, ops):
        from iterpref.ops.adamw import TritonAdamW  # late: needs triton, which may be absent

        return TritonAdamW(groups, lr=config.lr, betas=betas, stochastic=config.rounding == "stochastic")
    check_rounding(config, False)
    return AdamW(groups, lr=config.lr, betas=betas, fused=True)


def check_rounding(config: OptimConfig, has_kernel: bool) -> None:
    """Raises `UserError` where Triton's AdamW would be needed, and is not to be had."""
    if config.rounding == "stochastic" and not has_kernel:
        raise UserError("optim.rounding=stochastic needs a GPU and Triton: set optim.rounding=nearest")


def _kernel_fits(parameters: list[torch.nn.Parameter], ops: str) -> bool:
    return (
        bool(parameters)
        and resolve_backend(ops, parameters[0].device) == "triton"
        # A DTensor is a shard, of which the kernel would see the whole's shape.
        and not any(isinstance(p, DTensor) for p in parameters)
        and all(p.is_contiguous() and p.dtype in (torch.float32, torch.bfloat16) for p in parameters)
    )


def clip(optimizer: AdamW, limit: float) -> torch.Tensor:
    """The norm of all gradients, which are scaled to at most `limit`: in place, or by the optimizer's next step."""
    if hasattr(optimizer, "clip"):
        return optimizer.clip(limit)
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    shards = any(isinstance(g, DTensor) for g in gradients)
    own = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
    # torch's clip_grad_norm_ has the norm in the gradients' dtype: in bf16, two digits.
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(own, 2, torch.float32)))
    if shards:
        square = norm.square()
        torch.distributed.all_reduce(square)
        norm = square.sqrt()
    torch._foreach_mul_(own, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm


def total_steps(config: Config, train_pairs: int) -> int:
    """Optimizer steps of the whole run: `min(max_steps, epochs * ceil(train_pairs / global_batch))`."""
    steps = config.trainer.epochs * math.ceil(train_pairs / config.data.global_batch)
    return min(steps, config.trainer.max_steps or steps)


def build_schedule(optimizer: Optimizer, config: OptimConfig, total_steps: int) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: lr_factor(step, total_steps, config.warmup_ratio, config.schedule))


def lr_factor(step: int, total_steps: int, warmup_ratio: float, schedule: str) -> float:
    """Share of the peak learning rate at optimizer step `step` (0-based), in (0, 1].

    Warm-up over w = ceil(warmup_ratio * total) steps: (step + 1) / w. Then constant, or 0.5 (1 + cos(pi (step - w) / (total - w))):
    the zero falls behind the last step.
    """
    warmup = math.ceil(warmup_ratio * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(total_steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
