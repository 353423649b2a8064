"""Ctrl-C in the middle of a training."""

from __future__ import annotations

import signal
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor

from iterpref.callbacks.stop_signal import interruptible


class Interrupted(L.LightningModule):
    """Gets a Ctrl-C in its second step."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.steps = 0

    def training_step(self, batch: Tensor) -> Tensor:
        self.steps += 1
        if self.steps == 2:
            signal.raise_signal(signal.SIGINT)
        return self.w * batch.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_ctrl_c_in_a_step_is_told_as_everywhere_else_and_the_next_one_is_heard(tmp_path: Path) -> None:
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    module, data = Interrupted(), torch.utils.data.DataLoader(torch.ones(4))
    with pytest.raises(KeyboardInterrupt), interruptible(trainer):
        trainer.fit(module, data)
    assert module.steps == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
