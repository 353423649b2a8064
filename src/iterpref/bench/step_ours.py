"""One side of `iterpref.bench.step`: a model of a given shape trained by this project's own classes, timed by step and by part."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from iterpref.callbacks.throughput import Moment, peak_gib
from iterpref.config import Config
from iterpref.data.collate import collate
from iterpref.data.loader import PairLoader
from iterpref.data.reference_cache import batch_logps
from iterpref.losses import combine, loss_terms, pair_sums
from iterpref.models.module import FocalDPOModule
from iterpref.models.policy import compile_layers, hidden_states, output_head
from iterpref.models.shared_prefix import register_flex
from iterpref.ops import linear_logratio
from iterpref.schema import Batch, Example
from iterpref.train import build_trainer

WARM_STEPS = 6


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


def bench_config(pairs: int, packing: str = "shared", compiled: bool = True, **trainer: Any) -> Config:
    """bf16 weights, fused AdamW, clipping at 1, Target-DPO: what the peers are given too."""
    config = Config(reference="cached")
    config.model.dtype, config.trainer.precision = "bfloat16", "bf16-true"
    config.loss.alpha = 0.0
    config.data.packing, config.data.global_batch, config.data.micro_batch = packing, pairs, pairs
    config.optim.lr, config.optim.schedule, config.optim.warmup_ratio = 1e-6, "constant", 0.0
    config.trainer.epochs, config.trainer.accelerator = 1, "gpu"
    config.trainer.compile = "layers" if compiled else "none"
    config.logger.wandb = "disabled"
    for name, value in trainer.items():
        setattr(config.trainer, name, value)
    return config


@dataclass
class Clock(L.Callback):
    """Seconds of the first `timed` steps after the warm-up, each closed by a wait for the device; then of all others together."""

    timed: int

    def __post_init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[Tensor] = []
        self.free: tuple[float, int] = (0.0, 0)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if batch_idx <= WARM_STEPS + self.timed:
            torch.cuda.synchronize()
            self._begin = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.losses.append(outputs["loss"].detach())
        if batch_idx < WARM_STEPS + self.timed:
            torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self._begin)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        torch.cuda.synchronize()
        self.free = (time.perf_counter() - self._begin, len(self.losses) - len(self.seconds))


def with_reference(model: Any, examples: Sequence[Example], make_batch: Any, pairs: int) -> tuple[list[Example], float]:
    """The examples with their reference log-probs, and the seconds that these took."""
    begin, rows = time.perf_counter(), []
    for start in range(0, len(examples), pairs):
        group = examples[start : start + pairs]
        rows += batch_logps(model, group, make_batch=make_batch, backend="auto", autocast=torch.no_grad)
    done = [
        replace(e, chosen_ref_logps=r.chosen_ref_logps, rejected_ref_logps=r.rejected_ref_logps)
        for e, r in zip(examples, rows, strict=True)
    ]
    return done, time.perf_counter() - begin


def run(shape: Shape, examples: Sequence[Example], config: Config, timed: int, parts: bool = False) -> dict[str, Any]:
    """Trains on the examples in their order; seconds a step, peak memory, losses, and with `parts` the time of each part."""
    pairs = config.data.micro_batch
    flex = config.data.packing == "shared"
    policy = shape.model(register_flex() if flex else "sdpa").train()
    if config.trainer.compile == "layers":
        compile_layers(policy)
    layout = partial(collate, packing=config.data.packing, pad_id=0, one_row=flex, multiple_of=128)
    cached, reference_s = with_reference(policy, examples, layout, pairs)
    terms = loss_terms(config.loss)

    def make_batch(group: list[Example], step_pairs: int) -> Batch:
        return layout(group, step_pairs=step_pairs, terms=terms).pin_memory()

    loader = PairLoader(
        cached, make_batch, global_batch=pairs, micro_batch=pairs, seed=None, prefetch=config.data.prefetch
    )
    module = FocalDPOModule(config, policy, total_steps=len(loader))
    clock = Clock(timed)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(config, Path(folder), "cuda", len(examples))
        # A checkpoint at the end is no part of a step.
        trainer.callbacks = [c for c in trainer.callbacks if not hasattr(c, "save_top_k")] + [clock]
        trainer.fit(module, loader)
    seconds = clock.seconds[WARM_STEPS:]
    batches = [layout(cached[i : i + pairs], terms=terms) for i in range(0, len(cached), pairs)]
    result = {
        "step_s": statistics.median(seconds),
        "step_min_s": min(seconds),
        "pairs_per_s": pairs / statistics.median(seconds),
        "free_pairs_per_s": pairs * clock.free[1] / clock.free[0] if clock.free[1] else None,
        "peak_gib": peak_gib(torch.device("cuda")),
        "reference_s": reference_s,
        "tokens": statistics.mean(b.n_tokens for b in batches),
        "positions": statistics.mean(b.input_ids_ST.numel() for b in batches),
        "loss_rows": statistics.mean(len(b.rows_R) for b in batches),
        "losses": [round(loss.item(), 4) for loss in clock.losses],
    }
    if parts:
        result["parts_ms"] = time_parts(module, trainer, [b.pin_memory() for b in batches[WARM_STEPS:]])
    return result


def time_parts(module: FocalDPOModule, trainer: Any, batches: Sequence[Batch]) -> dict[str, float]:
    """Median milliseconds of the device's time in each part of a step, and of the host until a step is issued."""
    device, policy = torch.device("cuda"), module.policy
    (optimizer,) = trainer.optimizers
    names = (
        "copy and masks, layers forward",
        "head forward, loss",
        "head backward",
        "layers backward",
        "clip",
        "optimizer",
    )
    columns: dict[str, list[float]] = {name: [] for name in (*names, "host")}
    weight_VH, head = output_head(policy)
    for batch in batches:
        torch.cuda.synchronize()
        begin, moments = time.perf_counter(), [Moment(device)]
        batch = batch.to(device)
        hidden_TH = hidden_states(policy, batch)
        moments.append(Moment(device))
        hidden_TH.register_hook(lambda _, m=moments: m.append(Moment(device)))
        ratios = linear_logratio(
            hidden_TH, weight_VH, batch.rows_R, batch.labels_R, ref_logps_R=batch.ref_logps_R, head=head
        )
        loss = combine(pair_sums(ratios, batch), module.config.loss, batch.step_pairs).loss
        moments.append(Moment(device))
        loss.backward()
        moments.append(Moment(device))
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        moments.append(Moment(device))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        moments.append(Moment(device))
        columns["host"].append(time.perf_counter() - begin)
        torch.cuda.synchronize()
        for name, first, second in zip(names, moments, moments[1:], strict=False):
            columns[name].append(first.seconds_until(second))
    return {name: 1e3 * statistics.median(values) for name, values in columns.items()}
