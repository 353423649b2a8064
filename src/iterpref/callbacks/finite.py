"""Stops at the first number that is not finite, and says which: for a run that ends in NaN."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from iterpref.batch import Batch
from iterpref.errors import UserError

log = logging.getLogger(__name__)


class CheckFinite(L.Callback):
    """Checks each loss, the gradients before a step and the weights after it. Reads numbers off the device: slow.

    A gradient that is not finite is mostly met by autograd first (`detect_anomaly`), whose error names the operation.
    """

    def __init__(self) -> None:
        self._pairs: list[str] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._pairs = batch.pair_ids

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        if not bool(torch.isfinite(loss)):
            self._stop(trainer, f"the loss is {float(loss)}")

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self._check(trainer, pl_module, "gradient", lambda parameter: parameter.grad)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._check(trainer, pl_module, "weights", lambda parameter: parameter)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, (UserError, KeyboardInterrupt)):
            log.error("%s: %s", self._where(trainer), exception)

    def _check(
        self, trainer: L.Trainer, module: L.LightningModule, what: str, of: Callable[[Tensor], Tensor | None]
    ) -> None:
        for name, parameter in module.named_parameters():
            tensor = of(parameter)
            if tensor is not None and not bool(torch.isfinite(tensor).all()):
                wrong = int((~torch.isfinite(tensor)).sum())
                self._stop(trainer, f"{wrong} of {tensor.numel()} numbers in the {what} of {name} are not finite")

    def _stop(self, trainer: L.Trainer, what: str) -> None:
        raise UserError(f"{self._where(trainer)}: {what} (trainer.check_finite=true stops here)")

    def _where(self, trainer: L.Trainer) -> str:
        return f"optimizer step {trainer.global_step}, pairs {', '.join(self._pairs)}"
