"""Loggers of a run: CSV always, wandb when it is wanted. wandb never asks: without a login it writes offline."""

from __future__ import annotations

import csv
import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from iterpref.config import Config, to_dict
from iterpref.errors import UserError


def build_loggers(config: Config, run: Path, first_step: int) -> list[Logger]:
    """`RUN/metrics.csv`, and a wandb run whose id comes from the run folder, so that a resumed run continues it.

    Rows of the optimizer steps before `first_step`, the step that a resumed run goes on from, are kept.
    """
    loggers: list[Logger] = [_csv(run, first_step)]
    mode = wandb_mode(config.logger.wandb)
    if mode != "disabled":
        loggers.append(_wandb(config, run, mode))
    return loggers


def _csv(run: Path, first_step: int) -> CSVLogger:
    logger = CSVLogger(save_dir=run, name="", version="", flush_logs_every_n_steps=1)
    _open_csv(logger, run / "metrics.csv", first_step)
    return logger


@rank_zero_only
def _open_csv(logger: CSVLogger, path: Path, first_step: int) -> None:
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="") as handle:
            # What a killed run logged after its checkpoint comes once more; its last row may be half a row.
            early = [
                row
                for row in csv.DictReader(handle)
                if (row.get("step") or "").isdigit() and int(row["step"]) < first_step
            ]
        rows = [{k: v for k, v in row.items() if k and v} for row in early]
        # Lightning would delete the file anyway, and warn.
        path.unlink()
    with warnings.catch_warnings():
        # It warns that the folder is not empty and that old files go: the one that would go is read above.
        warnings.simplefilter("ignore", UserWarning)
        logger.experiment.metrics.extend(rows)
    # At once, for a run that is killed again before its first step.
    logger.save()


def wandb_mode(wanted: str) -> str:
    """`online`, `offline` or `disabled`. `auto` is WANDB_MODE if set, online when a key is stored, else offline."""
    if wanted != "auto":
        if wanted == "online" and not _logged_in():
            raise UserError(
                "logger.wandb=online, but no wandb key is stored here: run `wandb login`, or set logger.wandb=offline"
            )
        return wanted
    asked = os.environ.get("WANDB_MODE", "")
    if asked in ("online", "offline", "disabled"):
        return asked if asked != "online" or _logged_in() else "offline"
    return "online" if _logged_in() else "offline"


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    for name in (".netrc", "_netrc"):
        path = Path.home() / name
        try:
            if path.is_file() and netrc.netrc(path).authenticators(_wandb_host()):
                return True
        except (netrc.NetrcParseError, OSError):
            continue
    return False


def _wandb_host() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0].split(":")[0]


def _wandb(config: Config, run: Path, mode: str) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    # A quiet client: its banner and its summary would tear the progress bar.
    os.environ.setdefault("WANDB_SILENT", "true")
    run_id = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:12]
    settings: dict[str, Any] = {"group": config.logger.group, "tags": config.logger.tags or None}
    return WandbLogger(
        name=run.name, save_dir=run, id=run_id, project=config.logger.project, offline=mode == "offline",
        config=to_dict(config), resume="allow" if mode == "online" else None, **settings,
    )  # fmt: skip


def finish_wandb() -> None:
    """Ends the wandb run, so that the next job of a multirun gets its own."""
    import sys

    if "wandb" in sys.modules:
        import wandb

        if wandb.run is not None:
            wandb.finish()
