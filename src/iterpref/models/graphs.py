"""Forward, loss and backward of a micro-batch as one CUDA graph: the GPU is told once what to do, then only when.

A step of a 1.5B model is some 2,000 kernels. Issuing them takes Python as long as running them takes an H200, so a step
that is compiled layer by layer still waits for its host. A graph is recorded for each shape of a batch (`collate` rounds
lengths up, so that there are few) when it comes for the second time, and replayed from then on: recording takes as long as
two passes, and a shape that comes once is not worth it. What differs between batches of one shape are numbers in tensors,
the block mask's lists included.

Several devices with a copy of the model each replay graphs of their own. No graph holds an exchange, so that devices may
record at different times: gradients are added up over the devices once a step, behind its last pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from iterpref.batch import PAGE_LOCKING, Batch

MOST_GRAPHS = 128  # a batch of a further shape runs without one
_ALIGNED = 256  # bytes: where a gradient begins in the memory that several share


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    batch: Batch  # whose tensors the graph reads
    outputs: tuple[Tensor, ...]  # which it writes
    gradients: list[Tensor | None]  # likewise, unless passes add up


class StepGraphs:
    """`graphs(batch, begins)` runs `step(batch)`; gradients replace those of `parameters` if it begins a step, else add to them.

    Off a GPU the same, kernel by kernel.

    Args:
        step: computes the loss of a batch on the device, calls its backward, and returns tensors that need no gradient. It
            may not wait for the device, draw random numbers, or depend on anything but the batch and the parameters.
        adds_up: a step may have several passes, or devices. Gradients then have one place for all graphs, and `p.grad` must
            stay what it is; else they lie where the pass had its activations, and are gone with the next call.

    The outputs are overwritten by the next call of the same shape. All graphs share one pool of memory, as large as the
    largest needs.
    """

    def __init__(
        self, step: Callable[[Batch], tuple[Tensor, ...]], parameters: Iterable[torch.nn.Parameter], adds_up: bool
    ) -> None:
        self._step = step
        self._parameters = [p for p in parameters if p.requires_grad]
        self._sums, self._places = _side_by_side(self._parameters) if adds_up else ([], [])
        self._set_gradients(self._places)
        self._met: set[tuple[Any, ...]] = set()
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}
        self._pool: Any = None

    def _set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        for p, gradient in zip(self._parameters, gradients or [None] * len(self._parameters), strict=True):
            p.grad = gradient

    def add_over_ranks(self) -> None:
        """The step's gradients become their sums over the processes of the group, in the gradients' dtype."""
        for sums in self._sums:
            dist.all_reduce(sums)

    def __call__(self, batch: Batch, begins: bool) -> tuple[Tensor, ...]:
        if begins:
            for sums in self._sums:
                sums.zero_()
        if batch.input_ids_ST.device.type != "cuda":
            return self.run(batch)
        shape = _shape(batch)
        if shape not in self._recorded:
            if shape not in self._met or len(self._recorded) >= MOST_GRAPHS:
                self._met.add(shape)
                return self.run(batch)
            self._recorded[shape] = self._record(batch)
        return self._replay(self._recorded[shape], batch)

    def _replay(self, recorded: _Recorded, batch: Batch) -> tuple[Tensor, ...]:
        for name, tensor in _tensors(batch):
            getattr(recorded.batch, name).copy_(tensor, non_blocking=True)
        recorded.graph.replay()
        # Each time: before a validation, Lightning lets go of all gradients, and the optimizer would find none.
        self._set_gradients(self._places or recorded.gradients)
        return recorded.outputs

    def run(self, batch: Batch, keep: bool = True) -> tuple[Tensor, ...]:
        """The pass, kernel by kernel; without `keep`, sums of gradients stay as they are."""
        # New ones each time: autograd then takes over what backward writes, instead of adding it up parameter by parameter.
        self._set_gradients([])
        outputs = self._step(batch)
        if not self._places:
            return outputs
        fresh = [p.grad for p in self._parameters]
        self._set_gradients(self._places)
        pairs = [(own, new) for own, new in zip(self._places, fresh, strict=True) if new is not None]
        if keep and pairs:
            torch._foreach_add_([own for own, _ in pairs], [new for _, new in pairs])
        return outputs

    def _record(self, batch: Batch) -> _Recorded:
        buffers = batch.clone()
        # What a run leaves in another pool is as large as what the next one, and the graph, are about to take.
        torch.cuda.empty_cache()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.run(buffers, keep=False)  # takes the workspaces of a stream beside
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        # NCCL's watchdog asks for events of its own meanwhile, which is no fault of the recording.
        with PAGE_LOCKING, torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = self.run(buffers)
        self._pool = self._pool or graph.pool()
        gradients = [] if self._places else [_place_of(p.grad) for p in self._parameters]
        return _Recorded(graph, buffers, outputs, gradients)


def _side_by_side(parameters: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Zeros of each dtype in one tensor, which is quickly exchanged, and each parameter's part of them."""
    ends: dict[torch.dtype, int] = defaultdict(int)
    begins = []
    for p in parameters:
        begins.append(ends[p.dtype])
        step = _ALIGNED // p.element_size()
        ends[p.dtype] += -(-p.numel() // step) * step
    device = parameters[0].device
    sums = {dtype: torch.zeros(end, dtype=dtype, device=device) for dtype, end in ends.items()}
    parts = [sums[p.dtype][at : at + p.numel()].view_as(p) for at, p in zip(begins, parameters, strict=True)]
    return list(sums.values()), parts


class _Memory:
    """Memory of a GPU that somebody else owns, as `torch.as_tensor` takes it."""

    def __init__(self, tensor: Tensor) -> None:
        size = tensor.element_size()
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape), "strides": tuple(size * n for n in tensor.stride()), "typestr": f"<i{size}",
            "data": (tensor.data_ptr(), False), "version": 3,
        }  # fmt: skip


def _place_of(tensor: Tensor | None) -> Tensor | None:
    """A tensor in the same memory, which does not keep it: the next graph recorded may use it for its own pass."""
    if tensor is None:
        return None
    return torch.as_tensor(_Memory(tensor), device=tensor.device).view(tensor.dtype)


def _tensors(batch: Batch) -> list[tuple[str, Tensor]]:
    return [(item.name, value) for item in fields(batch) if isinstance(value := getattr(batch, item.name), Tensor)]


def _shape(batch: Batch) -> tuple[Any, ...]:
    """Whatever of a batch a graph holds fast: shapes, and what is no tensor but for names and lengths of its own."""
    sizes = tuple((name, *tensor.shape) for name, tensor in _tensors(batch))
    return (batch.packing, batch.terms, batch.step_pairs, batch.n_pairs, batch.filler, *sizes)
