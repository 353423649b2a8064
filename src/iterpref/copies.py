"""A copy of the model on each device; gradients lie where they are exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import nn


class Buckets(DDPStrategy):
    """Torch's DDP, whose exchange hides behind the backward pass. All gradients lie in its buckets, from the first pass on.

    Left alone, the passes of a step but for the last one add up gradients of their own beside the buckets: as much memory
    again as the gradients take. Buckets come with the first backward pass that is exchanged; so there is one before training,
    of zeros.
    """

    def __init__(self, **said: Any) -> None:
        super().__init__(gradient_as_bucket_view=True, **said)

    def on_train_start(self) -> None:
        super().on_train_start()
        module, wrapped = self.lightning_module, self.model
        assert module is not None
        assert wrapped is not None
        # DDP takes no call without an argument to move to its device.
        zero: Any = self._forward_redirection(wrapped, module, "nothing", torch.zeros(()))
        zero.backward()


class Copies(DDPStrategy):
    """Lightning's DDP without torch's `DistributedDataParallel`, for passes that are CUDA graphs; for `FocalDPOModule` alone.

    Gradients are exchanged behind the last pass of a step: DDP exchanges from hooks of autograd, which no replay calls. What it
    hides behind the backward pass is small where it counts: 2 bytes a parameter, once a step of many passes.
    """

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
