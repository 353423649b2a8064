"""One side of `iterpref.bench.step`: a model of a given shape trained by this project's own classes, timed by step and by part."""

from __future__ import annotations

import gc
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from iterpref.batch import Batch
from iterpref.bench.exchange import Profiled
from iterpref.callbacks.throughput import Moment, peak_gib
from iterpref.config import Config
from iterpref.config.training import compiles
from iterpref.data.collate import PARTS, collate, trie_tokens
from iterpref.data.loader import PairLoader
from iterpref.data.reference_cache import all_logps
from iterpref.launch import rank, world_size
from iterpref.losses import combine, loss_terms, pair_sums
from iterpref.models.adapters import add_adapters
from iterpref.models.graphs import StepGraphs
from iterpref.models.module import FocalDPOModule
from iterpref.models.optim import clip
from iterpref.models.policy import compile_layers, hidden_states, output_head
from iterpref.models.shared_prefix import register_flex
from iterpref.ops import linear_logratio
from iterpref.schema import Example
from iterpref.train import build_trainer


@dataclass(frozen=True)
class Shape:
    """A Qwen2.5 model's sizes; the weights are random."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    tied: bool
    vocabulary: int = 151_936

    def model(self, attention: str, device: str = "cuda") -> Any:
        from transformers import Qwen2Config, Qwen2ForCausalLM

        config = Qwen2Config(
            hidden_size=self.hidden, intermediate_size=self.intermediate, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.key_value_heads, vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied, max_position_embeddings=32_768,
        )  # fmt: skip
        torch.manual_seed(0)
        with torch.device(device):
            return Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16, attn_implementation=attention)

    @property
    def head_parameters(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def body_parameters(self) -> int:
        """Of the matrices that every token passes, embeddings and head left out."""
        head = self.hidden // self.heads
        attention = self.hidden * head * (2 * self.heads + 2 * self.key_value_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)


SHAPES = {
    "0.5B": Shape(896, 4864, 24, 14, 2, True),
    "1.5B": Shape(1536, 8960, 28, 12, 2, True),
    "7B": Shape(3584, 18_944, 28, 28, 4, False),
}


_WARM_UPS = 2  # epochs: shapes that are met for the first time, and recorded at the second


def bench_config(
    pairs: int,
    packing: str = "shared",
    compiled: str = "graphs",
    lora: int = 0,
    global_batch: int | None = None,
    **trainer: Any,
) -> Config:
    """bf16 weights, fused AdamW, clipping at 1, Target-DPO: what the peers are given too. `pairs` a device and pass.

    Args:
        lora: rank of adapters in front of frozen weights; the reference is then the policy without them.
        global_batch: pairs a step; None: one pass of each device.
    """
    config = Config(reference="adapter" if lora else "cached")
    config.model.dtype, config.trainer.precision = "bfloat16", "bf16-mixed" if lora else "bf16-true"
    config.model.lora.rank = lora
    config.loss.alpha = 0.0
    config.data.packing, config.data.micro_batch = packing, pairs
    config.optim.lr, config.optim.schedule, config.optim.warmup_ratio = 1e-6, "constant", 0.0
    config.trainer.epochs, config.trainer.accelerator = _WARM_UPS + 2, "gpu"
    config.trainer.compile = compiled
    config.trainer.checkpoints = False  # one at the end is no part of a step
    config.logger.wandb = "disabled"
    for name, value in trainer.items():
        setattr(config.trainer, name, value)
    config.data.global_batch = global_batch or pairs * world_size(config.trainer)
    return config


class Repeated(PairLoader):
    """Every epoch is the first one: what its shapes compile and record is there when the epochs that count begin."""

    def plan(self, epoch: int, first: int = 0) -> Iterator[tuple[list[int], int, bool]]:
        return super().plan(0, first)


@dataclass
class Clock(L.Callback):
    """Epochs over the same batches: to warm up; with a wait for the device around each step; and free.

    Peak memory is that of all epochs, from the first step on.
    """

    part_batch: Batch | None = None  # to time each part with, at the end

    def __post_init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[Tensor] = []
        self.first_epoch_s = self.free_s = 0.0
        self.parts_ms: dict[str, float] | None = None
        self._step = -1  # the one whose begin is known

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        torch.cuda.synchronize()
        self._begin = time.perf_counter()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if trainer.current_epoch == _WARM_UPS and trainer.global_step != self._step:
            self._step = trainer.global_step
            torch.cuda.synchronize()
            self._begin = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.losses.append(outputs["loss"].detach())
        if trainer.current_epoch == _WARM_UPS and trainer.global_step != self._step:
            torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self._begin)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        torch.cuda.synchronize()
        if trainer.current_epoch == 0:
            self.first_epoch_s = time.perf_counter() - self._begin
        elif trainer.current_epoch == _WARM_UPS + 1:
            self.free_s = time.perf_counter() - self._begin

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.peak_gib = peak_gib(torch.device("cuda"))
        self.reserved_gib = torch.cuda.max_memory_reserved() / 2**30
        if self.part_batch is not None:
            self.parts_ms = time_parts(pl_module, trainer, self.part_batch)


def with_reference(model: Any, examples: Sequence[Example], make_batch: Any, pairs: int) -> tuple[list[Example], float]:
    """The examples with their reference log-probs, and the seconds that these took."""
    begin = time.perf_counter()
    rows = all_logps(model, examples, pairs, make_batch=make_batch, backend="auto", autocast=torch.no_grad)
    done = [
        replace(e, chosen_ref_logps=r.chosen_ref_logps, rejected_ref_logps=r.rejected_ref_logps)
        for e, r in zip(examples, rows, strict=True)
    ]
    return done, time.perf_counter() - begin


def run(
    shape: Shape, examples: Sequence[Example], config: Config, parts: bool = False, dealt: bool = False
) -> dict[str, Any]:
    """Trains on the examples: seconds a step, peak memory, losses.

    Args:
        parts: the time of each part as well.
        dealt: in the order and in the passes of equal cost that `iterpref.train` makes, rather than as given; and `Spans` of each
            step of one more epoch.
    """
    pairs, world = config.data.micro_batch, world_size(config.trainer)
    flex = config.data.packing == "shared"
    policy = shape.model(register_flex() if flex else "sdpa").train()
    layout = partial(collate, packing=config.data.packing, pad_id=0, one_row=flex, parts=PARTS)
    cached, reference_s = list(examples), 0.0
    if config.reference == "cached":
        cached, reference_s = with_reference(policy, examples, layout, pairs)
    policy = add_adapters(policy, config.model)
    if compiles(config.trainer):
        compile_layers(policy)
    terms = loss_terms(config.loss)

    def make_batch(group: list[Example], step_pairs: int) -> Batch:
        return layout(group, step_pairs=step_pairs, terms=terms).pin_memory()

    loader = Repeated(
        cached, make_batch, global_batch=config.data.global_batch, micro_batch=pairs, seed=0 if dealt else None, rank=rank(),
        world_size=world, cost=partial(trie_tokens, terms=terms) if dealt else None, prefetch=config.data.prefetch,
    )  # fmt: skip
    profiled = Profiled(config.trainer.epochs)
    config.trainer.epochs += dealt
    module = FocalDPOModule(
        config, policy, total_steps=config.trainer.epochs * math.ceil(len(cached) / config.data.global_batch)
    )
    batches = [layout(cached[i : i + pairs], terms=terms) for i in range(0, len(cached), pairs)]
    middle = sorted(batches, key=lambda b: b.n_tokens)[len(batches) // 2]
    clock = Clock(middle if parts else None)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer: Any = build_trainer(config, Path(folder), "cuda", len(examples))
        trainer.callbacks += [clock, profiled]
        trainer.fit(module, loader)
    step_s = statistics.median(clock.seconds)
    return {
        "step_s": step_s,
        "step_min_s": min(clock.seconds),
        "pairs_per_s": config.data.global_batch / step_s,
        "free_pairs_per_s": len(examples) / clock.free_s,
        "first_epoch_s": clock.first_epoch_s,
        "peak_gib": clock.peak_gib,
        "reserved_gib": clock.reserved_gib,
        "reference_s": reference_s,
        "tokens": statistics.mean(b.n_tokens for b in batches),
        "positions": statistics.mean(b.input_ids_ST.numel() for b in batches),
        "loss_rows": statistics.mean(len(b.entry_row_E[b.entry_sequence_E < 2 * pairs].unique()) for b in batches),
        "losses": [round(loss.item(), 4) for loss in clock.losses[: len(batches)]],
        "parts_ms": clock.parts_ms,
        "spans": [asdict(s) for s in profiled.spans] or None,
    }


def time_parts(module: FocalDPOModule, trainer: Any, batch: Batch) -> dict[str, float]:
    """Median milliseconds of each part of a step on one batch, the host out of the way where a graph can be made of it."""
    policy, (optimizer,) = module.policy, trainer.optimizers
    batch = batch.to("cuda")
    weight_VH, head = output_head(policy)

    def loss_of(hidden_TH: Tensor) -> Tensor:
        ratios = linear_logratio(
            hidden_TH, weight_VH, batch.rows_R, batch.labels_R, ref_logps_R=batch.ref_logps_R, head=head
        )
        return combine(pair_sums(ratios, batch), module.config.loss, batch.step_pairs).loss

    def whole_pass(batch: Batch) -> tuple[Tensor, ...]:
        loss_of(hidden_states(policy, batch)).backward()
        return ()

    graphs = StepGraphs(whole_pass, policy.parameters(), adds_up=False)
    hidden_TH = hidden_states(policy, batch).detach().requires_grad_()
    alone = {
        "layers forward": lambda: hidden_states(policy, batch),
        "head": lambda: torch.autograd.grad(loss_of(hidden_TH), (hidden_TH, weight_VH)),
        "whole pass": lambda: graphs.run(batch),
    }
    times = {name: _graph_ms(part) for name, part in alone.items()}
    layers, heads, whole = times.values()
    return {
        "layers forward": layers,
        "head and loss, forward and backward": heads,
        "layers backward": whole - layers - heads,
        "clip": _eager_ms(lambda: clip(optimizer, 1.0)),
        "optimizer": _eager_ms(optimizer.step),
    }


def _graph_ms(part: Any, rounds: int = 8) -> float:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            part()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        part()
    return _eager_ms(graph.replay, rounds)


def _eager_ms(part: Any, rounds: int = 8) -> float:
    device, spans = torch.device("cuda"), []
    for _ in range(rounds):
        first = Moment(device)
        part()
        spans.append((first, Moment(device)))
    torch.cuda.synchronize()
    return 1e3 * statistics.median(first.seconds_until(last) for first, last in spans)
