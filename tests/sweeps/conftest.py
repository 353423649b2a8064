"""Runs of real commands in this process: what Hydra, Lightning and wandb change in it is put back."""

from __future__ import annotations

import logging
import os
import sys
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
def in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Arguments, folder, environment, log handlers, torch's threads and determinism are as before when the test ends."""
    import torch

    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = root.handlers[:], root.level
    torch.set_num_threads(1)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def train(in_process: None, shared_data: Path) -> Callable[..., None]:
    """`train(...)`: the command, small, on the shared data; relative folders are below `tmp_path`."""
    from iterpref.train import main

    return lambda *arguments: main([*SMALL, f"paths.data={shared_data}", *arguments])
