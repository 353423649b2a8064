"""The other side of `iterpref.bench.step`: TRL's DPOTrainer on the same pairs, in a process of its own.

    python -m iterpref.bench.step_trl PAIRS.json SHAPE [--steps N] [--batch N] [--precompute] [--liger] [--mask] [--checkpointing] [--lora RANK]

Prints one line of JSON. `--mask` edits the collator's completion mask, so that rejected tokens outside D- carry no loss,
as in ours; the pairs come in their order in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "disabled")

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from iterpref.bench.arguments import at_least
from iterpref.bench.step_ours import SHAPES
from iterpref.cli import run_task
from iterpref.models.policy import load_tokenizer


class Masked(DataCollatorForPreference):
    """TRL's collator, with a rejected token's place in the completion mask taken from `masks`, by the rejected ids."""

    masks: dict[tuple[int, ...], list[float]]

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        for p, e in enumerate(examples):
            begin, mask = len(e["prompt_ids"]), self.masks[tuple(e["rejected_ids"])]
            batch["completion_mask"][len(examples) + p, begin : begin + len(mask)] = torch.tensor(mask).long()
        return batch


class Clock(TrainerCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        torch.cuda.synchronize()
        self.begin = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.begin)

    def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(round(float(logs["loss"]), 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument(
        "--steps", type=at_least(6), default=20, help="of each epoch; the first five of the first one warm up"
    )
    parser.add_argument("--batch", type=at_least(1), default=8, help="pairs a step")
    for flag in ("precompute", "liger", "mask", "checkpointing"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument(
        "--lora", type=at_least(0), default=0, help="rank of adapters; the reference is the model without them"
    )
    a = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("it measures a GPU, and torch sees none here")
    rows = json.loads(a.pairs.read_text())[: a.batch * a.steps]
    tokenizer = load_tokenizer(a.tokenizer)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    shape = SHAPES[a.shape]
    clock = Clock()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = DPOConfig(
            output_dir=folder, per_device_train_batch_size=a.batch, num_train_epochs=2, bf16=True, max_length=None,
            beta=0.1, gradient_checkpointing=a.checkpointing, precompute_ref_log_probs=a.precompute,
            use_liger_kernel=a.liger, report_to=[], save_strategy="no", logging_steps=1, optim="adamw_torch_fused",
            dataloader_num_workers=2, seed=0, learning_rate=1e-6, lr_scheduler_type="constant", max_grad_norm=1.0,
            train_sampling_strategy="sequential", disable_tqdm=True,
        )  # fmt: skip
        columns = {name: [row[name] for row in rows] for name in ("prompt", "chosen", "rejected")}
        collator = None
        if a.mask:
            collator = Masked(pad_token_id=tokenizer.pad_token_id)
            collator.masks = {tuple(row["rejected_ids"]): row["rejected_mask"] for row in rows}
        adapters = LoraConfig(r=a.lora, lora_alpha=2 * a.lora, target_modules="all-linear") if a.lora else None
        trainer = DPOTrainer(
            shape.model("sdpa"), None if a.precompute or a.lora else shape.model("sdpa"), args=arguments, peft_config=adapters,
            train_dataset=Dataset.from_dict(columns), processing_class=tokenizer, data_collator=collator,
            callbacks=[clock],
        )  # fmt: skip
        setup = time.perf_counter() - begin
        torch.cuda.reset_peak_memory_stats()
        trainer.train()
    seconds = clock.seconds[a.steps :]
    print(json.dumps({
        "step_s": statistics.median(seconds), "step_min_s": min(seconds), "pairs_per_s": a.batch / statistics.median(seconds),
        "first_epoch_pairs_per_s": a.batch / statistics.median(clock.seconds[5 : a.steps]),
        "first_epoch_s": sum(clock.seconds[: a.steps]),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30, "setup_s": setup, "reserved_gib": torch.cuda.max_memory_reserved() / 2**30, "losses": clock.losses[: a.steps],
    }))  # fmt: skip


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
