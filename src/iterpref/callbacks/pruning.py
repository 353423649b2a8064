"""Ends a trial that a study expects nothing of: each validation is reported, and the pruner has its say."""

from __future__ import annotations

from typing import Any

import lightning as L

from iterpref.config.sweep import SweepConfig
from iterpref.sweeps.study import STUDY


class Pruning(L.Callback):
    """Reports `sweep.metric` after each validation, by optimizer step, and stops the run where `sweep.pruner` says so.

    Through the study's file, not through an object of the sweep: the run may be in another process, or a resumed one.
    """

    def __init__(self, config: SweepConfig) -> None:
        import optuna

        self.metric = config.metric
        self.pruned_at: int | None = None  # optimizer steps done
        self._storage = optuna.storages.RDBStorage(f"sqlite:///{config.study}")
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=config.startup)
        self._study = optuna.load_study(study_name=STUDY, storage=self._storage, pruner=self._pruner)
        study_id = self._storage.get_study_id_from_name(STUDY)
        self._trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, config.trial or 0)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        value: Any = trainer.callback_metrics.get(self.metric)
        if value is None or trainer.global_step == 0:
            return
        self._storage.set_trial_intermediate_value(self._trial_id, trainer.global_step, float(value))
        if self._pruner.prune(self._study, self._storage.get_trial(self._trial_id)):
            self.pruned_at = trainer.global_step
            trainer.should_stop = True


def build_pruning(config: SweepConfig) -> list[Pruning]:
    """The callback of a trial whose study has a pruner, else none."""
    return [Pruning(config)] if config.study is not None and config.pruner != "none" else []
