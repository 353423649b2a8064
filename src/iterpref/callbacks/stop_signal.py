"""SIGTERM, and the signal by which a scheduler announces the end: the step under way is finished and stored first. Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from iterpref.checkpoints import save_whole
from iterpref.launch import end_by

log = logging.getLogger(__name__)


class StopSignal(L.Callback):
    """Writes `last.ckpt` after the optimizer step or the pass of a validation in which a signal came, on all ranks, and then does
    what the signal would have done. SIGUSR1 and SIGUSR2 are heeded where a scheduler (submitit, say) has installed a handler of its own."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._received: int | None = None
        self._handlers: dict[int, Any] = {}
        self._step = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if threading.current_thread() is threading.main_thread() and not self._handlers:
            self._handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._step = trainer.global_step
        for number, handler in self._handlers.items():
            # Lightning's own, which is there by now, would end ranks at different steps. It puts back what was before.
            if number == signal.SIGTERM or callable(handler):
                signal.signal(number, self._heed)

    def _heed(self, number: int, frame: Any) -> None:
        self._received = number

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            return  # in the middle of a step: a checkpoint holds no half-accumulated gradient
        self._step = trainer.global_step
        if not self._came(trainer):
            return
        # The module's own comes after the callbacks: the step's line in the log.
        pl_module.on_train_batch_end(outputs, batch, batch_idx)
        # A checkpoint goes on after the passes that are completed, as this one is once its callbacks have run.
        loop = trainer.fit_loop.epoch_loop
        loop.batch_progress.increment_completed()
        fetcher = trainer.fit_loop._data_fetcher
        if fetcher is not None and loop._should_check_val_fx(fetcher):
            _validation_is_due(loop.val_loop.batch_progress)
        else:
            loop._batches_that_stepped += 1
        self._store(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.FITTING and self._came(trainer):
            _validation_is_due(trainer.fit_loop.epoch_loop.val_loop.batch_progress)
            self._store(trainer)

    def _came(self, trainer: L.Trainer) -> bool:
        """Whether any rank has the signal: it may have reached the others a step earlier or later."""
        return bool(trainer.strategy.reduce_boolean_decision(self._received is not None, all=False))

    def _store(self, trainer: L.Trainer) -> None:
        save_whole(trainer, self._checkpoint)
        number = self._received or signal.SIGTERM
        if trainer.is_global_zero:
            told = signal.Signals(number).name, trainer.global_step, self._checkpoint
            log.info("%s: step %d is stored in %s; the same command goes on from there", *told)
        end_by(number, self._handlers.get(number) if number != signal.SIGTERM else None)


def _validation_is_due(progress: Any) -> None:
    """Makes a run that goes on from here begin the validation behind the step anew, which Lightning would take as done."""
    progress.reset_on_run()
    total = progress.total
    total.ready = total.started = total.completed + 1
    total.processed = total.completed


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is a `KeyboardInterrupt` here too: Lightning makes a silent exit of it, and ignores the signal from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:  # that of a signal which is not Ctrl-C has another context
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
