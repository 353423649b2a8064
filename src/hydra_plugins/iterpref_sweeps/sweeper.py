"""The sweeper of `python -m iterpref.train -m`. Imported by every Hydra application, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ResumableSweeper(BasicSweeper):
    """Hydra's grid, and Optuna's studies, in folders named by what they sweep: the same command again goes on."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from iterpref.sweeps.folders import place_sweep

        # Before the launcher is made, which reads the folder.
        place_sweep(config, self.params)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        from iterpref.sweeps import run_sweep

        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        return run_sweep(
            self.config, self.launcher, self.hydra_context.config_loader, [*self._parse_config(), *arguments]
        )
