"""The jobs of a sweep: composed and checked before the first one starts, their shared data prepared once, launched, recorded."""

from __future__ import annotations

import logging
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from shutil import which
from typing import Any

from filelock import FileLock, Timeout
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

from iterpref.artifacts import fingerprint
from iterpref.cli import checked_config, explain_os_error
from iterpref.config import SECTIONS, Config, to_dict
from iterpref.config.load import check_value
from iterpref.config.sweep import SweepConfig, scale_changed_by
from iterpref.errors import UserError
from iterpref.overrides import keys_of, parse
from iterpref.progress import track
from iterpref.run_record import read_done, run_key
from iterpref.sweeps.folders import folder_name, place_job
from iterpref.sweeps.gpus import offer_gpus, refuse_shared_devices
from iterpref.sweeps.record import SweepRecord

log = logging.getLogger(__name__)

# Launchers whose jobs run side by side on this host, and which give none of them a GPU of its own.
_LOCAL_AND_PARALLEL = ("JoblibLauncher", "LocalLauncher")


@dataclass(frozen=True)
class Job:
    """One run of the task: its overrides, those of its folder included."""

    number: int
    folder: str
    swept: dict[str, Any]
    overrides: tuple[str, ...]


class Sweep:
    """What all jobs share: the master config, the launcher, the folder, the record."""

    def __init__(self, master: DictConfig, launcher: Launcher, loader: ConfigLoader) -> None:
        self.master, self.launcher, self.loader = master, launcher, loader
        self.folder = Path(str(master.hydra.sweep.dir))
        self.params: dict[str, str] = dict(master.hydra.sweeper.params or {})
        self.options: SweepConfig = OmegaConf.to_object(  # type: ignore[assignment]
            OmegaConf.merge(OmegaConf.structured(SweepConfig), OmegaConf.to_container(master.sweep))
        )
        for item in fields(SweepConfig):
            check_value(f"sweep.{item.name}", getattr(self.options, item.name))
        self.record = SweepRecord(self.folder, self.options.metric, shlex.join(sys.argv))
        self.launched = 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process runs a sweep; raises `UserError` for a second one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise UserError(
                f"another process is running the sweep in {self.folder}: wait for it, or choose hydra.sweep.dir=DIR"
            ) from None

    def job(self, number: int, swept: dict[str, Any], overrides: Sequence[str]) -> Job:
        name = folder_name(swept)
        return Job(number, name, swept, (*overrides, *place_job(str(self.folder), name)))

    def check(self, jobs: Sequence[Job]) -> dict[str, Config]:
        """The config of each job by its folder; raises `UserError`, with nothing started, for the first that cannot run."""
        configs = {}
        chosen = self.master.hydra.runtime.choices.get("hydra/launcher")
        if chosen == "submitit_slurm" and which("srun") is None:
            raise UserError(
                "launcher=submitit starts Slurm jobs, and there is no srun here: begin the sweep on a host of the cluster, "
                "or use launcher=submitit_local or launcher=joblib"
            )
        for job in track(jobs, len(jobs), "jobs checked"):
            composed = self.loader.load_sweep_config(self.master, list(job.overrides))
            task = list(OmegaConf.to_container(composed.hydra.overrides.task))  # type: ignore[arg-type]
            if "paths.run" in keys_of(parse(task)):
                raise UserError(
                    "paths.run has no effect on a sweep, whose jobs have folders of their own: leave it out, or choose the folder "
                    "that holds them with hydra.sweep.dir=DIR"
                )
            experiment = composed.hydra.runtime.choices.get("experiment")
            with open_dict(composed):
                del composed["hydra"]
            try:
                config = checked_config("train", composed, task, experiment)
                refuse_shared_devices(config, chosen)
            except UserError as error:
                raise UserError(f"job {job.folder}: {error} (no job was started)") from None
            if key := scale_changed_by(self.options.metric, job.swept):
                raise UserError(
                    f"{key} changes the scale of sweep.metric={self.options.metric}, so its values cannot be compared: "
                    "set sweep.metric=val/focal_accuracy, or another that does not depend on the loss"
                )
            configs[job.folder] = config
        return configs

    def run(self, jobs: Sequence[Job], configs: dict[str, Config]) -> None:
        """Runs what is not finished yet, and records what became of each. A job that fails stops no other."""
        left = [job for job in jobs if not self._is_finished(job, configs[job.folder])]
        for job in jobs:
            self.record.add(job.number, job.folder, job.swept)
            if job not in left:
                self.record.settle(job.folder)
        self.record.write()
        if len(left) < len(jobs):
            log.info("%d of %d jobs are finished already", len(jobs) - len(left), len(jobs))
        unfit = prepare_shared({job.folder: configs[job.folder] for job in left})
        for folder, reason in unfit.items():
            self.record.settle(folder, reason)
        left = [job for job in left if job.folder not in unfit]
        # One at a time where they run one at a time: the record is then never behind.
        size = 1 if isinstance(self.launcher, BasicLauncher) else max(len(left), 1)
        if type(self.launcher).__name__ in _LOCAL_AND_PARALLEL:
            offer_gpus()
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            for job in batch:
                (self.folder / job.folder / "error.txt").unlink(missing_ok=True)
            outcomes = self.launcher.launch([list(job.overrides) for job in batch], initial_job_idx=self.launched)
            self.launched += len(batch)
            for job, outcome in zip(batch, outcomes, strict=True):
                self.record.settle(job.folder, self._failure(job, outcome))
            self.record.write()

    def _is_finished(self, job: Job, config: Config) -> bool:
        return read_done(self.folder / job.folder, run_key(config)) is not None

    def _failure(self, job: Job, outcome: JobReturn) -> str | None:
        """Why the job raised, in one line; the whole story goes into its folder."""
        if outcome.status != JobStatus.FAILED:
            return None
        error = outcome._return_value
        (self.folder / job.folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        reason = reason_of(error)
        log.error("job %s failed: %s", job.folder, reason)
        return reason

    def finish(self) -> list[Any]:
        """The end of a sweep: leaderboard and, when a job failed, a `UserError` that lists why."""
        from iterpref.sweeps.leaderboard import publish

        self.record.write()
        publish(self.record)
        failed = [row for row in self.record.rows.values() if row.state == "failed"]
        if failed:
            told = "; ".join(f"{row.folder}: {row.reason}" for row in failed[:3])
            raise UserError(
                f"{len(failed)} of {len(self.record.rows)} jobs failed ({told}{'; ...' if len(failed) > 3 else ''}): mend it and run "
                "the same command again; finished jobs are not repeated"
            )
        return [self.record.value(row) for row in self.record.rows.values()]


def reason_of(error: BaseException) -> str:
    """One line for a person: our own errors as they are, others with their type."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        try:
            return explain_os_error(error)
        except OSError:
            pass
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def prepare_shared(configs: dict[str, Config]) -> dict[str, str]:
    """Builds the data of all jobs, once for each distinct configuration of them; returns {job: reason} for those that have none."""
    jobs_by_data: dict[str, list[str]] = {}
    for folder, config in configs.items():
        said = {name: value for name, value in to_dict(config).items() if name in SECTIONS["prepare"]}
        jobs_by_data.setdefault(fingerprint("data", said), []).append(folder)
    unfit: dict[str, str] = {}
    if jobs_by_data:
        from iterpref.data.stages import prepare
    for folders in jobs_by_data.values():
        try:
            prepare(configs[folders[0]])
        except Exception as error:
            reason = reason_of(error)
            log.error("no data for %s: %s", ", ".join(folders), reason)
            unfit |= dict.fromkeys(folders, reason)
    return unfit
