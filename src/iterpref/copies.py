"""A copy of the model on each device, for passes that are CUDA graphs: gradients are exchanged behind the last one of a step.

DDP exchanges from hooks of autograd, which no replay calls. What it hides behind the backward pass is small where it counts:
2 bytes a parameter, once a step of many passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import nn


class Copies(DDPStrategy):
    """Lightning's DDP without torch's `DistributedDataParallel`; for `FocalDPOModule` alone."""

    def configure_ddp(self) -> None:
        """All ranks begin with the first one's weights, as under DDP."""
        assert isinstance(self.model, nn.Module)
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            dist.broadcast(tensor.detach(), 0)

    def optimizer_step(self, optimizer: Any, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """The closure, which is the step's last pass, then the exchange, then what looks at gradients and uses them."""

        def passed() -> Any:
            outcome = closure()
            self.lightning_module.add_over_ranks()  # type: ignore[operator, union-attr]
            return outcome

        return super().optimizer_step(optimizer, passed, model, **kwargs)
