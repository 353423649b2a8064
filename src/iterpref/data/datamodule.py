"""The LightningDataModule: prepare_data builds (refinement, localisation, masks, reference), setup reads.

`prepare_data` runs on one process of the whole job and assigns no state; `setup` finds the same finished stages by their keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from iterpref.artifacts import Artifact, find
from iterpref.batch import Batch
from iterpref.config import Config
from iterpref.data.collate import PARTS, collate, trie_tokens
from iterpref.data.examples import ExampleTable, open_examples
from iterpref.data.loader import PairLoader
from iterpref.data.reference_cache import Referenced, attach, reference_key, reference_stage
from iterpref.data.stages import Prepared, prepare
from iterpref.devices import autocast, resolve_device, resolve_precision
from iterpref.errors import UserError
from iterpref.losses import loss_terms
from iterpref.models.checks import check_architecture, check_head, check_model
from iterpref.models.policy import load_model, resolve_attention
from iterpref.models.source import resolve_model, weights_key
from iterpref.schema import SPLITS, Example


class CodeFlowDataModule(L.LightningDataModule):
    """CodeFlow pairs as packed batches. `examples` has the pairs of each split after `setup`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # Only rank 0 of the whole job builds: the stages are shared through the data folder.
        self.prepare_data_per_node = False
        self.examples: dict[str, Sequence[Example]] = {}

    def prepare_data(self) -> None:
        config = self.config
        check_architecture(
            resolve_model(config.model, Path(config.paths.data), config.seed), config.model, config.data.packing
        )
        prepared = prepare(config)
        if config.reference == "cached":
            build_reference(config, prepared, read_examples(config, prepared))

    def setup(self, stage: str | None = None) -> None:
        if self.examples:
            return
        self.prepared = prepared = prepare(self.config)
        table = read_examples(self.config, prepared)
        self.device = resolve_device(self.config.trainer)
        self.collate = batch_maker(self.config, prepared.model, self.device)
        self.longest = _longest(table)
        examples: ExampleTable | Referenced = table
        if self.config.reference == "cached":
            cache = find_reference(self.config, prepared, table)
            assert cache is not None, "prepare_data builds the reference cache before setup reads it"
            examples = attach(table, cache)
        splits = np.asarray(table.splits, object)
        self.examples = {split: examples.select(np.flatnonzero(splits == split)) for split in SPLITS}
        if not self.examples["train"]:
            raise no_training_pair(self.config, len(table))

    def train_dataloader(self) -> PairLoader:
        return self._loader("train", self.config.seed)

    def val_dataloader(self) -> PairLoader | list[Any]:
        return self._loader("validation", None) if self.examples["validation"] else []

    def _loader(self, split: str, seed: int | None) -> PairLoader:
        data, trainer = self.config.data, self.trainer
        # Validation scores whole completions, and so measures what training only samples.
        terms = loss_terms(self.config.loss) if split == "train" and data.score == "loss" else None
        pinned = self.device.type == "cuda"

        def make_batch(examples: list[Example], step_pairs: int) -> Batch:
            batch = self.collate(examples, step_pairs=step_pairs, terms=terms)
            return batch.pin_memory() if pinned else batch

        return PairLoader(
            self.examples[split], make_batch, global_batch=data.global_batch, micro_batch=data.micro_batch,
            seed=seed, prefetch=data.prefetch,
            rank=trainer.global_rank if trainer else 0, world_size=trainer.world_size if trainer else 1,
            cost=partial(trie_tokens, terms=terms) if data.packing == "shared" and seed is not None else None,
        )  # fmt: skip


def no_training_pair(config: Config, among: int) -> UserError:
    """What to tell of so many pairs that are all of other splits."""
    remedy = (
        "lower pairs.test_share and pairs.validation_share, name the split with pairs.splits.train=NAME, or mend the column split"
        if config.pairs.source == "external"
        else "raise problems.limit or debug.samples, or give tasks split=train"
    )
    return UserError(f"there is no training pair among {among}: {remedy}")


def read_examples(config: Config, prepared: Prepared) -> ExampleTable:
    """The tokenised pairs that this run uses: of each split a sample of fixed size, the same for the same seed."""
    seed = config.seed if config.data.sample_seed is None else config.data.sample_seed
    table = open_examples(prepared.tokens.whole("tokens"), prepared.data / "hf_cache")
    limits = {
        "train": config.data.max_train_pairs,
        "validation": config.data.max_validation_pairs,
        "test": config.data.max_test_pairs,
    }
    wanted: list[int] = []
    for split in SPLITS:
        rows = [i for i, s in enumerate(table.splits) if s == split]
        by_hash = sorted(rows, key=lambda i: _shuffle_key(seed, table.pair_ids[i]))
        wanted += sorted(by_hash[: limits[split]])
    return table.select(wanted)


def _shuffle_key(seed: int, pair_id: str) -> str:
    return hashlib.sha256(f"{seed}/{pair_id}".encode()).hexdigest()


def batch_maker(config: Config, folder: Path, device: torch.device) -> Callable[..., Batch]:
    """`collate` as this configuration lays batches out for the model in `folder` on `device`."""
    attention = resolve_attention(config.model, config.data.packing, device, folder)
    few_lengths = device.type == "cuda" or config.trainer.compile != "none"
    # A small model wastes less on what fills a row up than on recording one more length.
    parts = 4 if config.trainer.compile == "replay" else PARTS
    return partial(
        collate, packing=config.data.packing, pad_id=pad_token_id(folder), one_row=attention == "flex",
        parts=parts if few_lengths else None,
    )  # fmt: skip


def pad_token_id(model: Path) -> int:
    """The id that fills padding: the tokenizer's, or its EOS, or 0. It is never attended to and never scored."""
    from iterpref.models.policy import load_tokenizer

    tokenizer = load_tokenizer(model)
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def _reference_key(config: Config, prepared: Prepared, examples: Sequence[Example]) -> str:
    device = resolve_device(config.trainer)
    attention = resolve_attention(config.model, config.data.packing, device, prepared.model)
    weights = config.model.dtype if config.model.quantization == "none" else config.model.quantization
    arithmetic = f"{weights}/{resolve_precision(config.trainer, device)}/{attention}/{config.data.packing}"
    return reference_key(examples, weights_key(prepared.model), arithmetic)


def _longest(examples: ExampleTable) -> int:
    """Positions of the longest sequence, prompt and completion, in tokens."""
    return int(
        (examples.prompt_lengths + np.maximum(examples.chosen_lengths, examples.rejected_lengths)).max(initial=0)
    )


def find_reference(config: Config, prepared: Prepared, examples: Sequence[Example]) -> Artifact | None:
    return find(prepared.data / "reference", _reference_key(config, prepared, examples))


def build_reference(config: Config, prepared: Prepared, examples: ExampleTable) -> Artifact:
    """Per-token log-probs of the frozen start model for these examples, computed once."""
    device = resolve_device(config.trainer)

    def open_model() -> Any:
        attention = resolve_attention(config.model, config.data.packing, device, prepared.model)
        model = load_model(prepared.model, config.model, attention)
        # Before the pass over all pairs, whose log-probs would be wrong.
        check_model(model, config.model, config.data.packing, _longest(examples))
        check_head(model, config.model.name)
        return model.to(device).eval()

    context = partial(autocast, device, resolve_precision(config.trainer, device))
    return reference_stage(
        prepared.data, _reference_key(config, prepared, examples), examples, open_model,
        make_batch=batch_maker(config, prepared.model, device), micro_batch=config.data.micro_batch, backend=config.ops,
        autocast=context,
    )  # fmt: skip
