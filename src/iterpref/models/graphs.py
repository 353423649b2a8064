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

from iterpref.schema import Batch

MOST_GRAPHS = 64  # shapes; a batch of a further one runs without a graph
_WARM_UPS = 2  # runs before the recording: kernels are compiled, workspaces taken


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    batch: Batch  # whose tensors the graph reads
    outputs: tuple[Tensor, ...]  # which it writes


class StepGraphs:
    """`graphs(batch)` is `step(batch)`: gradients are added to those of `parameters`, and the outputs come back.

    Args:
        step: computes the loss of a batch on the device, calls its backward, and returns tensors that need no gradient. It
            may not wait for the device, draw random numbers, or depend on anything but the batch and the parameters.

    The outputs are overwritten by the next call of the same shape. All graphs share one pool of memory, as large as the
    largest needs.
    """

    def __init__(self, step: Callable[[Batch], tuple[Tensor, ...]], parameters: Iterable[torch.nn.Parameter]) -> None:
        self._step = step
        self._parameters = [p for p in parameters if p.requires_grad]
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}
        self._pool: Any = None

    def __call__(self, batch: Batch) -> tuple[Tensor, ...]:
        shape = _shape(batch)
        if shape not in self._recorded:
            if len(self._recorded) == MOST_GRAPHS:
                self._keep_gradients()
                return self._step(batch)
            self._recorded[shape] = self._record(batch)
        graph, buffers, outputs = self._recorded[shape]
        for name, tensor in _tensors(batch):
            getattr(buffers, name).copy_(tensor, non_blocking=True)
        graph.replay()
        return outputs

    def zero_gradients(self) -> None:
        """Sets gradients to zero where they are: graphs know them by their address."""
        if gradients := [p.grad for p in self._parameters if p.grad is not None]:
            torch._foreach_zero_(gradients)

    def _keep_gradients(self) -> None:
        for p in self._parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)

    def _record(self, batch: Batch) -> _Recorded:
        buffers = batch.clone()
        self._keep_gradients()
        gradients = [p.grad for p in self._parameters]
        for p in self._parameters:
            p.grad = None  # the runs before the recording must not be added to what is there
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._step(buffers)
                for p in self._parameters:
                    p.grad = None
        torch.cuda.current_stream().wait_stream(stream)
        for p, gradient in zip(self._parameters, gradients, strict=True):
            p.grad = gradient
        # What the runs left in the other pool is as large as what the graph is about to take.
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self._step(buffers)
        self._pool = self._pool or graph.pool()
        return _Recorded(graph, buffers, outputs)


def _tensors(batch: Batch) -> list[tuple[str, Tensor]]:
    return [(item.name, value) for item in fields(batch) if isinstance(value := getattr(batch, item.name), Tensor)]


def _shape(batch: Batch) -> tuple[Any, ...]:
    """Whatever of a batch a graph holds fast: shapes, and what is no tensor but for names and lengths of its own."""
    sizes = tuple((name, *tensor.shape) for name, tensor in _tensors(batch))
    return (batch.packing, batch.terms, batch.step_pairs, batch.n_pairs, *sizes)
