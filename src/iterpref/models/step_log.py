"""Log lines whose numbers are still on the device when the step is issued: written when they have arrived.

Reading a number off a GPU waits for all work before it, and the GPU then waits for the next step to be issued. A line is
therefore copied into page-locked memory behind the step, and written at a later step, when its copy is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Value = Tensor | float | Callable[[], float]  # a callable is asked when the device has passed the line
Write = Callable[[dict[str, float], int], None]


class _Line(NamedTuple):
    step: int
    names: list[str]  # of the tensors
    numbers: Tensor  # on the host, valid once `arrived`
    rest: dict[str, float | Callable[[], float]]
    arrived: torch.cuda.Event | None


class StepLog:
    """`add` lines in order of their steps; `write(line, step)` gets each as floats, in that order, when it is known."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lines: deque[_Line] = deque()

    def add(self, line: Mapping[str, Value], step: int) -> None:
        """Does not wait for the device."""
        tensors = {name: value.detach().float() for name, value in line.items() if isinstance(value, Tensor)}
        rest = {name: value for name, value in line.items() if not isinstance(value, Tensor)}
        numbers = torch.stack(list(tensors.values())) if tensors else torch.empty(0)
        arrived = None
        if numbers.device.type == "cuda":
            host = torch.empty(numbers.shape, pin_memory=True)
            host.copy_(numbers, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
            numbers = host
        self._lines.append(_Line(step, list(tensors), numbers, rest, arrived))
        self.flush(wait=False)

    def flush(self, wait: bool = True) -> None:
        """Writes the lines whose numbers have arrived; with `wait`, all."""
        while self._lines and (self._lines[0].arrived is None or wait or self._lines[0].arrived.query()):
            line = self._lines.popleft()
            if line.arrived is not None and wait:
                line.arrived.synchronize()
            found = dict(zip(line.names, line.numbers.tolist(), strict=True))
            found |= {name: value() if callable(value) else value for name, value in line.rest.items()}
            self._write(found, line.step)
