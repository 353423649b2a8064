"""Pairs and tokens a second, and peak memory, at each optimizer step."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from iterpref.schema import Batch


class Throughput(L.Callback):
    """Logs `train/pairs_per_s`, `train/tokens_per_s` (real tokens) and `train/peak_gib` (of the GPU, or of the process)."""

    def __init__(self) -> None:
        self._pairs = self._tokens = 0
        self._since = 0.0
        self._step = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Not at the end of the last step: validation and checkpoints are no training time.
        self._restart(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._pairs += batch.n_pairs
        self._tokens += batch.n_tokens
        if trainer.global_step == self._step:
            return
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            # The clock is right only when the device has caught up: once a log line, not once a step.
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            seconds = max(time.perf_counter() - self._since, 1e-9)
            devices = trainer.world_size
            pl_module.log_dict({
                "train/pairs_per_s": devices * self._pairs / seconds,
                "train/tokens_per_s": devices * self._tokens / seconds,
                "train/peak_gib": peak_gib(pl_module.device),
            })  # fmt: skip
            self._restart(trainer)
        self._step = trainer.global_step

    def _restart(self, trainer: L.Trainer) -> None:
        self._pairs = self._tokens = 0
        self._since = time.perf_counter()
        self._step = trainer.global_step


def peak_gib(device: torch.device) -> float:
    """Most memory allocated on the GPU, or most resident memory of this process, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
