"""Forward, loss and backward of a micro-batch as one CUDA graph: the GPU is told once what to do, then only when.

A step of a 1.5B model is some 2,000 kernels. Issuing them takes Python as long as running them takes an H200, so a step
that is compiled layer by layer still waits for its host. A graph is recorded for each shape of a batch (`collate` rounds
lengths up, so that there are few) at its first coming, and replayed from then on. What differs between batches of one
shape are numbers in tensors, the block mask's lists included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from iterpref.batch import Batch

MOST_GRAPHS = 128  # a batch of a further shape runs without one
_WARM_UPS = 2  # runs before the recording: kernels are compiled, workspaces taken


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    batch: Batch  # whose tensors the graph reads
    outputs: tuple[Tensor, ...]  # which it writes


class StepGraphs:
    """`graphs(batch, begins)` runs `step(batch)`; gradients replace those of `parameters` if it begins a step, else add to them.

    Args:
        step: computes the loss of a batch on the device, calls its backward, and returns tensors that need no gradient. It
            may not wait for the device, draw random numbers, or depend on anything but the batch and the parameters.

    The outputs are overwritten by the next call of the same shape. All graphs share one pool of memory, as large as the
    largest needs, and one place for gradients: `p.grad` must stay what it is.
    """

    def __init__(self, step: Callable[[Batch], tuple[Tensor, ...]], parameters: Iterable[torch.nn.Parameter]) -> None:
        self._step = step
        self._parameters = [p for p in parameters if p.requires_grad]
        self._gradients = [torch.zeros_like(p) for p in self._parameters]
        for p, gradient in zip(self._parameters, self._gradients, strict=True):
            p.grad = gradient
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}
        self._pool: Any = None

    def __call__(self, batch: Batch, begins: bool) -> tuple[Tensor, ...]:
        key = (begins, *_shape(batch))
        if key not in self._recorded:
            if len(self._recorded) >= MOST_GRAPHS:
                return self.run(batch, begins)
            self._recorded[key] = self._record(batch, begins)
        graph, buffers, outputs = self._recorded[key]
        for name, tensor in _tensors(batch):
            getattr(buffers, name).copy_(tensor, non_blocking=True)
        graph.replay()
        return outputs

    def run(self, batch: Batch, begins: bool, keep: bool = True) -> tuple[Tensor, ...]:
        """The same, kernel by kernel; without `keep`, gradients stay as they are."""
        # New ones each time: autograd then takes over what backward writes, instead of adding it up parameter by parameter.
        for p in self._parameters:
            p.grad = None
        outputs = self._step(batch)
        fresh = [p.grad for p in self._parameters]
        for p, gradient in zip(self._parameters, self._gradients, strict=True):
            p.grad = gradient
        pairs = [(own, new) for own, new in zip(self._gradients, fresh, strict=True) if new is not None]
        if keep and pairs:
            places, values = [own for own, _ in pairs], [new for _, new in pairs]
            if begins:
                torch._foreach_copy_(places, values)
            else:
                torch._foreach_add_(places, values)
        return outputs

    def _record(self, batch: Batch, begins: bool) -> _Recorded:
        buffers = batch.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self.run(buffers, begins, keep=False)
        torch.cuda.current_stream().wait_stream(stream)
        # What these runs left in the other pool is as large as what the graph is about to take.
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self.run(buffers, begins)
        self._pool = self._pool or graph.pool()
        return _Recorded(graph, buffers, outputs)


def _tensors(batch: Batch) -> list[tuple[str, Tensor]]:
    return [(item.name, value) for item in fields(batch) if isinstance(value := getattr(batch, item.name), Tensor)]


def _shape(batch: Batch) -> tuple[Any, ...]:
    """Whatever of a batch a graph holds fast: shapes, and what is no tensor but for names and lengths of its own."""
    sizes = tuple((name, *tensor.shape) for name, tensor in _tensors(batch))
    return (batch.packing, batch.terms, batch.step_pairs, batch.n_pairs, *sizes)
