"""Runs of real commands in this process: what Hydra, Lightning and wandb change in it is put back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# One step an epoch, two epochs; a checkpoint after each.
SMALL = [
    "experiment=smoke", "problems.limit=3", "debug.samples=1", "data.global_batch=2", "data.micro_batch=2",
    "data.max_train_pairs=2", "model.hidden=32", "model.layers=1", "generate.bugs_max=1", "generate.wrong_repair=0",
]  # fmt: skip


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all these tests: the sandbox works once."""
    return tmp_path_factory.mktemp("shared") / "data"


@pytest.fixture
def in_process(commands_here: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in this process, with nothing of wandb in the environment before or after."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]  # what the run itself has set


@pytest.fixture
def train(in_process: None, shared_data: Path) -> Callable[..., None]:
    """`train(...)`: the command, small, on the shared data; relative folders are below `tmp_path`."""
    from iterpref.train import main

    return lambda *arguments: main([*SMALL, f"paths.data={shared_data}", *arguments])
