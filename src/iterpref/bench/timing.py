"""Timing on a GPU: interleaved medians, peak memory, and the two ceilings that figures are held against."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterable

import torch

Timed = Callable[[], object]

WARMUP_ROUNDS = 3
_HEAD_START_CYCLES = 2_000_000  # about a millisecond


def median_times(calls: Iterable[Timed], rounds: int) -> list[float]:
    """Median milliseconds of each call on the GPU; the calls take turns, so that a slow spell meets them all.

    Each call is queued while the GPU is held busy, as in a training step, so that what is timed is the GPU and not
    Python; a call that waits for the GPU pays for that itself.
    """
    calls = list(calls)
    samples: list[list[tuple[torch.cuda.Event, torch.cuda.Event]]] = [[] for _ in calls]
    for turn in range(WARMUP_ROUNDS + rounds):
        for call, own in zip(calls, samples, strict=True):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda._sleep(_HEAD_START_CYCLES)
            start.record()
            call()
            end.record()
            if turn >= WARMUP_ROUNDS:
                own.append((start, end))
    torch.cuda.synchronize()
    return [statistics.median(start.elapsed_time(end) for start, end in own) for own in samples]


def extra_memory(call: Timed) -> int:
    """Peak bytes that the call takes beyond what is held when it starts; its result counts."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - held


def copy_bandwidth(rounds: int) -> float:
    """Bytes read plus bytes written per second, of copying 2 GiB of random bytes."""
    source = torch.randint(256, (2**31,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    (milliseconds,) = median_times([lambda: target.copy_(source)], rounds)
    return 2 * source.numel() / (milliseconds * 1e-3)


def product_rate(rounds: int, n: int = 8192) -> float:
    """Floating-point operations per second of a bf16 n x n x n product of random numbers."""
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    (milliseconds,) = median_times([lambda: a @ b], rounds)
    return 2 * n**3 / (milliseconds * 1e-3)
