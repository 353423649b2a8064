"""Validation pairs in wandb, token by token: what is punished, and how likely each token was before and is after training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L

from iterpref.artifacts import Artifact
from iterpref.config import Config
from iterpref.data.reference_cache import all_logps
from iterpref.devices import autocast, resolve_precision
from iterpref.eval.preference import pair_spans, token_table
from iterpref.models.adapters import without_adapters
from iterpref.schema import Example, PreferencePair
from iterpref.tracking import wandb_run

_COLUMNS = [
    "pair_id",
    "task_id",
    "rejected",
    "chosen",
    "k_plus",
    "k_minus",
    "focal_margin",
    "rejected_tokens",
    "chosen_tokens",
]


class PairTable(L.Callback):
    """When training ends, logs the table `validation_pairs`: both sides with the punished tokens shaded, and for each token its
    text, weight, log-prob before (the reference) and after, and log-ratio, in nats."""

    def __init__(
        self, config: Config, pairs: Artifact, examples: Sequence[Example], model: Path, make_batch: Callable[..., Any]
    ) -> None:
        self._config, self._pairs, self._model, self._make_batch = config, pairs, model, make_batch
        self._examples = [examples[i] for i in range(min(config.logger.pairs, len(examples)))]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        run = wandb_run(trainer.loggers)
        if run is None or not self._examples:
            return
        import wandb

        table = wandb.Table(columns=list(_COLUMNS))
        for row in self._rows(pl_module):
            table.add_data(*_cells(row))
        run.log({"validation_pairs": table})

    def _rows(self, module: Any) -> list[dict[str, Any]]:
        from iterpref.models.policy import load_tokenizer

        tokenizer = load_tokenizer(self._model)
        wanted = {e.pair_id for e in self._examples}
        pairs = {p.pair_id: p for p in self._pairs.iterate("pairs", PreferencePair) if p.pair_id in wanted}
        examples = self._with_reference(module)
        training = module.policy.training
        after = self._logps(module.policy.eval(), examples, module)
        module.policy.train(training)
        rows = []
        for example, logps in zip(examples, after, strict=True):
            pair = pairs[example.pair_id]
            spans = pair_spans(tokenizer, pair)
            rows.append(token_table(pair, example, logps, spans, length_normalised=self._config.loss.length_normalised))
        return rows

    def _with_reference(self, module: Any) -> list[Example]:
        """The examples with the reference's log-probs: from the cache, or asked of the reference now."""
        if self._config.reference == "cached":
            return self._examples
        if self._config.reference == "adapter":
            with without_adapters(module.policy):
                before = self._logps(module.policy, self._examples, module)
        else:
            before = self._logps(module.reference, self._examples, module)
        return [
            replace(e, chosen_ref_logps=b.chosen_ref_logps, rejected_ref_logps=b.rejected_ref_logps)
            for e, b in zip(self._examples, before, strict=True)
        ]

    def _logps(self, model: Any, examples: Sequence[Example], module: Any) -> list[Any]:
        context = partial(autocast, module.device, resolve_precision(self._config.trainer, module.device))
        return all_logps(
            model,
            examples,
            self._config.data.micro_batch,
            make_batch=self._make_batch,
            backend=self._config.ops,
            autocast=context,
        )


def _cells(row: dict[str, Any]) -> list[Any]:
    import wandb

    from iterpref.reporting.page import side_pages

    pages = side_pages(row)
    tokens = {side: json.dumps(token_rows(row[side], row["tokens"][side])) for side in ("rejected", "chosen")}
    return [
        row["pair_id"], row["task_id"], wandb.Html(pages["rejected"]), wandb.Html(pages["chosen"]),
        row["k_plus"], row["k_minus"], row["focal_margin"], tokens["rejected"], tokens["chosen"],
    ]  # fmt: skip


def token_rows(text: str, tokens: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each token for a reader: its text, its weight in K, log-prob before and after, log-ratio (nats)."""
    return [
        {
            "text": text[t["start"] : t["end"]], "weight": t["mask"], "before": t["ref_logp"], "after": t["logp"],
            "log_ratio": round(t["logp"] - t["ref_logp"], 4),
        }
        for t in tokens
    ]  # fmt: skip
