"""Sweeps that can be killed: `python -m iterpref.train -m` with any sampler and launcher.

folders      a sweep's folder by what its jobs share, a job's by what it alone has
jobs         all jobs are composed and checked, and their shared data prepared, before the first one starts
grid study   which jobs there are: all combinations, or the trials of an Optuna study
record       SWEEP/sweep.json: each job with its state, metric and, if it failed, the reason
leaderboard  the same for people: terminal, CSV, Markdown, PNG
gpus         parallel jobs on one host: a GPU each
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig


def run_sweep(config: DictConfig, launcher: Launcher, loader: ConfigLoader, arguments: Sequence[str]) -> Any:
    """What Hydra calls with the composed master config, and with the overrides of YAML and command line."""
    from iterpref.sweeps.jobs import Sweep

    sweep = Sweep(config, launcher, loader)
    with sweep.alone():
        if sweep.options.sampler == "grid":
            from iterpref.sweeps.grid import run_grid

            return run_grid(sweep, arguments)
        from iterpref.sweeps.study import run_study

        return run_study(sweep, arguments)
