"""Loggers of a run: CSV always, wandb, TensorBoard and MLflow by `logger=`. wandb never asks: without a login it writes offline."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from iterpref.config import Config, to_dict
from iterpref.config.sweep import METRICS
from iterpref.config.training import LoggerConfig
from iterpref.errors import UserError
from iterpref.launch import rank

_KEY_LENGTH = 40  # characters that wandb's client asks of a key, at least
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]  # columns, rows


def check_trackers(config: LoggerConfig) -> None:
    """Raises `UserError` for a tracker that this machine has no package or no login for."""
    key = os.environ.get("WANDB_API_KEY", "")
    if wandb_mode(config.wandb) == "online" and 0 < len(key) < _KEY_LENGTH:
        raise UserError(
            f"$WANDB_API_KEY has {len(key)} characters, and a key of wandb at least {_KEY_LENGTH}: mend it, or set "
            "logger.wandb=offline"
        )
    for wanted, package, name in (
        (config.tensorboard, "tensorboard", "TensorBoard"),
        (config.mlflow is not None, "mlflow", "MLflow"),
    ):
        if wanted and find_spec(package) is None:
            raise UserError(f"logger={package} needs {name}: pip install 'iterpref[tracking]'")


def build_loggers(config: Config, run: Path, first_step: int) -> list[Logger]:
    """`RUN/metrics.csv`, and the trackers that `logger` names; a resumed run continues its own in each.

    Rows of the optimizer steps before `first_step`, the step that a resumed run goes on from, are kept.
    """
    if rank():
        return []  # rank 0 writes for all
    loggers: list[Logger] = [_csv(run, first_step)]
    mode = wandb_mode(config.logger.wandb)
    if mode != "disabled":
        loggers.append(_wandb(config, run, mode))
    if config.logger.tensorboard:
        loggers.append(_tensorboard(run))
    if config.logger.mlflow is not None:
        loggers.append(_mlflow(config, run))
    return loggers


def run_id(run: Path) -> str:
    """A run's id in its trackers: that of its folder, so that a resumed run continues; under a wandb agent, the agent's."""
    if os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"):
        return os.environ["WANDB_RUN_ID"]
    return hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:12]


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


def wandb_settings(config: Config, run: Path, mode: str) -> dict[str, Any]:
    """What every wandb run of this run folder is opened with, in the words of `wandb.init`."""
    # A quiet client: its banner and its summary would tear the progress bar.
    os.environ.setdefault("WANDB_SILENT", "true")
    _stage_in(run)
    return {
        "name": run.name, "project": config.logger.project, "group": config.logger.group, "tags": config.logger.tags or None,
        "config": to_dict(config), "resume": "allow" if mode == "online" else None,
    }  # fmt: skip


_staging: str | None = None  # the folder that an earlier run of this process chose


def _stage_in(run: Path) -> None:
    """What an offline run has still to send (tables, files of artifacts) waits in its folder, not in a home folder that the
    machine which sends it may not see; unless the user chose a place."""
    global _staging
    if os.environ.get("WANDB_DATA_DIR") in (None, _staging):
        _staging = os.environ["WANDB_DATA_DIR"] = str(run.resolve() / "wandb")


def _wandb(config: Config, run: Path, mode: str) -> Logger:
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    settings = wandb_settings(config, run, mode)
    logger = WandbLogger(save_dir=run, id=run_id(run), offline=mode == "offline", job_type="train", **settings)
    try:
        # Opens the run: a key that is refused, or a server that is not there, is told before the first step.
        _ = logger.experiment
    except wandb.errors.Error as error:
        raise UserError(
            f"wandb opens no run ({' '.join(str(error).split())}): see to the network and `wandb login`, or set "
            "logger.wandb=offline, whose run `wandb sync` sends later"
        ) from None
    return logger


def wandb_run(loggers: list[Logger]) -> Any | None:
    """The open wandb run of rank 0 among these loggers, or None."""
    from lightning.pytorch.loggers import WandbLogger

    found = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
    return found.experiment if found is not None else None


def track_evaluation(config: Config, run: Path) -> None:
    """A wandb run of its own for the evaluation of a run folder, in the group of its training, made from its model."""
    from iterpref.lineage import log_evaluation

    with _evaluation_run(config, run, "evaluation") as tracked:
        if tracked is not None and config.logger.artifacts != "none":
            log_evaluation(tracked, run, config.logger.artifacts)


def track_benchmark(
    config: Config, run: Path, name: str, figures: dict[str, float], tables: dict[str, Table], plots: dict[str, Path]
) -> None:
    """A wandb run of its own for a benchmark of a run folder: figures in its summary, tables, and SVG files as panels."""
    with _evaluation_run(config, run, name) as tracked:
        if tracked is None:
            return
        import wandb

        tracked.summary.update(figures)
        shown = {f"{name}/{title}": wandb.Table(list(columns), [list(row) for row in rows])
                 for title, (columns, rows) in tables.items()}  # fmt: skip
        pages = {
            f"{name}/{title}": wandb.Html(path.read_text(encoding="utf-8"), inject=False)
            for title, path in plots.items()
        }
        tracked.log({**shown, **pages})


@contextmanager
def _evaluation_run(config: Config, run: Path, what: str) -> Iterator[Any | None]:
    """An open wandb run in the group of the training; None where wandb is off, or the training had no tracker."""
    mode, record = wandb_mode(config.logger.wandb), json.loads((run / "run.json").read_text())
    if mode == "disabled" or "tracker_id" not in record:
        yield None
        return
    import wandb

    settings = wandb_settings(config, run, mode) | {"mode": mode, "id": f"{record['tracker_id']}-{what}"}
    with wandb.init(dir=run, job_type="evaluation", **settings) as tracked:
        yield tracked


def define_metrics(run: Any) -> None:
    """Best values beside the last ones in the summary, for the metrics that have a better side; the axis of all is the optimizer step."""
    for name, direction in METRICS.items():
        run.define_metric(name, step_metric="trainer/global_step", summary=f"{direction[:3]},last")


def finish_wandb(failed: bool = False) -> None:
    """Ends the wandb run, so that the next job of a multirun gets its own."""
    import sys

    if "wandb" in sys.modules:
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=1 if failed else 0)


def _tensorboard(run: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=run, name="tensorboard", version="")


def _mlflow(config: Config, run: Path) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    # MLflow gives ids of its own: a resumed run finds the one that it had.
    kept = run / "mlflow_run_id"
    logger = MLFlowLogger(
        experiment_name=config.logger.project, run_name=run.name, tracking_uri=config.logger.mlflow,
        run_id=kept.read_text() if kept.is_file() else None,
        tags={"group": config.logger.group or "", "tags": ",".join(config.logger.tags)},
    )  # fmt: skip
    kept.write_text(str(logger.run_id))
    return logger
