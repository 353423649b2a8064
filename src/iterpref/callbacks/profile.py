"""torch's profiler over a few steps: a table by operation, and a trace to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch

from iterpref.batch import Batch
from iterpref.run_record import write_whole

_WARM_UP, _RECORDED = 2, 4  # optimizer steps
_ROWS = 40


class Profile(L.Callback):
    """Writes `RUN/profile/operations.txt` and `trace.json` (chrome://tracing, ui.perfetto.dev) of the third to sixth step."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "profile"
        self._profiler: torch.profiler.profile | None = None
        self._first: int | None = None
        self._done = False

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._first = trainer.global_step if self._first is None else self._first
        if self._profiler is None and not self._done and trainer.global_step >= self._first + _WARM_UP:
            kinds = [torch.profiler.ProfilerActivity.CPU]
            if pl_module.device.type == "cuda":
                kinds.append(torch.profiler.ProfilerActivity.CUDA)
            self._profiler = torch.profiler.profile(activities=kinds)
            self._profiler.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._first is not None and trainer.global_step >= self._first + _WARM_UP + _RECORDED:
            self._write()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write()

    def _write(self) -> None:
        if self._profiler is None:
            return
        profiler, self._profiler, self._done = self._profiler, None, True
        profiler.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        device = "cuda" if torch.profiler.ProfilerActivity.CUDA in profiler.activities else "cpu"
        table = profiler.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=_ROWS)
        write_whole(self._folder / "operations.txt", table)
        profiler.export_chrome_trace(str(self._folder / "trace.json"))
