"""What a device does in a step among others: it computes, it exchanges, it waits for the slowest."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch


@dataclass(frozen=True)
class Spans:
    """Seconds of one device in one optimizer step.

    Args:
        step_s: from the begin of the first kernel to the end of the last.
        computing_s: those in which a kernel ran that is none of NCCL's.
        exchanging_s: those in which one of NCCL's ran and no other: it moves data, or spins until the other ranks come.
    """

    step_s: float
    computing_s: float
    exchanging_s: float


def spans(kernels: Iterable[tuple[str, float, float]]) -> Spans:
    """Of (name, begin, end) of each kernel, in microseconds of one clock."""
    found = list(kernels)
    if not found:
        return Spans(0.0, 0.0, 0.0)
    computing = _covered([(a, b) for name, a, b in found if "nccl" not in name.lower()])
    running = _covered([(a, b) for _, a, b in found])
    whole = max(b for *_, b in found) - min(a for _, a, _ in found)
    return Spans(whole / 1e6, computing / 1e6, (running - computing) / 1e6)


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Length of their union."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return total


def shares(ranks: Sequence[Sequence[Spans]]) -> dict[str, float]:
    """Shares of the steps' time, summed over steps and averaged over ranks; `ranks`: of each rank one `Spans` a step.

    waiting: what a rank computes less than the slowest of the same step. Exchange: NCCL's kernels alone, waiting left out: what the
    exchange costs although the rest of it hides behind other kernels. Idle: no kernel at all, the host is late.
    """
    steps = list(zip(*ranks, strict=True))
    whole = sum(statistics.mean(s.step_s for s in step) for step in steps)
    computing = sum(statistics.mean(s.computing_s for s in step) for step in steps)
    exchanging = sum(statistics.mean(s.exchanging_s for s in step) for step in steps)
    waiting = min(sum(max(s.computing_s for s in step) for step in steps) - computing, exchanging)
    return {
        "computing": computing / whole,
        "waiting": waiting / whole,
        "exchange": (exchanging - waiting) / whole,
        "idle": 1 - (computing + exchanging) / whole,
    }


class Profiled(L.Callback):
    """The `Spans` of each optimizer step of one epoch, the device idle before and after each."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.spans: list[Spans] = []
        self._profile: torch.profiler.profile | None = None
        self._step = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and self._profile is None:
            torch.cuda.synchronize()
            self._step = trainer.global_step
            self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self._profile.start()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._profile is not None and trainer.global_step > self._step:
            torch.cuda.synchronize()
            self._profile.stop()
            self.spans.append(spans(_kernels(self._profile)))
            self._profile = None


def _kernels(profile: torch.profiler.profile) -> Iterable[tuple[str, float, float]]:
    for event in profile.events() or ():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            yield event.name, event.time_range.start, event.time_range.end
