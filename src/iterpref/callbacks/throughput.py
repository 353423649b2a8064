"""Pairs and tokens a second, and peak memory, with each log line."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from iterpref.batch import Batch


class Throughput(L.Callback):
    """Adds `train/pairs_per_s`, `train/tokens_per_s` (tokens that run, padding excluded) and `train/peak_gib` (of the GPU, or of the
    process) to the module's log lines. Time is the device's own: nothing waits for it."""

    def __init__(self) -> None:
        self._pairs = self._tokens = 0
        self._since: Moment | None = None
        self._step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restart(trainer, pl_module)  # a run that goes on inside an epoch does not start one

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restart(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Validation and checkpoints are no training time.
        self._restart(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._pairs += batch.n_pairs
        self._tokens += batch.n_tokens
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            since, now, device = self._since, Moment(pl_module.device), pl_module.device
            pairs, tokens = trainer.world_size * self._pairs, trainer.world_size * self._tokens
            assert since is not None
            line: dict[str, Any] = pl_module.line  # type: ignore[assignment]
            line |= {
                "train/pairs_per_s": lambda: pairs / since.seconds_until(now),
                "train/tokens_per_s": lambda: tokens / since.seconds_until(now),
                "train/peak_gib": peak_gib(device),
            }
            self._restart(trainer, pl_module, now)

    def _restart(self, trainer: L.Trainer, pl_module: L.LightningModule, now: Moment | None = None) -> None:
        self._pairs = self._tokens = 0
        self._since = now or Moment(pl_module.device)
        self._step = trainer.global_step


class Moment:
    """A point in the device's work: on a GPU an event in its stream, else the clock."""

    def __init__(self, device: torch.device) -> None:
        self._event = torch.cuda.Event(enable_timing=True) if device.type == "cuda" else None
        if self._event is not None:
            self._event.record()
        self._clock = time.perf_counter()

    def seconds_until(self, later: Moment) -> float:
        """Seconds between the two; the device must have passed both."""
        if self._event is not None and later._event is not None:
            return max(self._event.elapsed_time(later._event) / 1e3, 1e-9)
        return max(later._clock - self._clock, 1e-9)


def peak_gib(device: torch.device) -> float:
    """Most memory allocated on the GPU, or most resident memory of this process, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
