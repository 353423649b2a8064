"""Ctrl-C in the middle of a training."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from iterpref.callbacks.stop_signal import interruptible


class Interrupted(L.LightningModule):
    """Ends by `stop()` in its second step."""

    def __init__(self, stop: Callable[[], Any]) -> None:
        super().__init__()
        self.stop = stop
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.steps = 0

    def training_step(self, batch: Tensor) -> Tensor:
        self.steps += 1
        if self.steps == 2:
            self.stop()
        return self.w * batch.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def trainer(tmp_path: Path) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip


def test_ctrl_c_in_a_step_is_told_as_everywhere_else_and_the_next_one_is_heard(trainer: L.Trainer) -> None:
    module = Interrupted(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), interruptible():
        trainer.fit(module, torch.utils.data.DataLoader(torch.ones(4)))
    assert module.steps == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_exit_for_another_reason_keeps_its_code(trainer: L.Trainer) -> None:
    with pytest.raises(SystemExit) as end, interruptible():
        trainer.fit(Interrupted(lambda: sys.exit(143)), torch.utils.data.DataLoader(torch.ones(4)))
    assert end.value.code == 143
