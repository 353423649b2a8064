"""What a wandb run gets besides its metrics: best values, the data it was trained on, validation pairs token by token."""

from __future__ import annotations

import lightning as L

from iterpref.callbacks.pair_table import PairTable
from iterpref.config import Config
from iterpref.config.training import sharded
from iterpref.data.datamodule import CodeFlowDataModule
from iterpref.data.stages import Prepared
from iterpref.launch import rank
from iterpref.lineage import use_data
from iterpref.tracking import define_metrics, wandb_mode, wandb_run


class WandbRun(L.Callback):
    """At the beginning: which metrics have a best value, and the artifacts that the run reads."""

    def __init__(self, prepared: Prepared, keep: str) -> None:
        self._prepared, self._keep = prepared, keep

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        run = wandb_run(trainer.loggers)
        if run is not None:
            define_metrics(run)
            if self._keep != "none":
                use_data(run, self._prepared, self._keep)


def wandb_callbacks(config: Config, prepared: Prepared, datamodule: CodeFlowDataModule) -> list[L.Callback]:
    """Those of a run that is tracked by wandb, else none."""
    if wandb_mode(config.logger.wandb) == "disabled" or rank():
        return []
    if sharded(config.trainer):  # the table is made by rank 0 alone, which holds a shard of the policy
        return [WandbRun(prepared, config.logger.artifacts)]
    pairs = PairTable(config, prepared.pairs, datamodule.examples["validation"], prepared.model, datamodule.collate)
    return [WandbRun(prepared, config.logger.artifacts), pairs]
