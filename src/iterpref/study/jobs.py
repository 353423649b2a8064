"""One job of a study: train, evaluate, and a record of a few kilobytes that the tables are made of.

OUT/work/NAME/ holds the run and its scores while it lasts: weights go when the record (`records.py`) is written.
Every step is one of the commands, called in this process: a start of Python and torch for each would take as long as the
training. What a kill leaves is taken up by the commands themselves.
"""

from __future__ import annotations

import csv
import gc
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iterpref.cli import quoted
from iterpref.run_record import hardware, now, write_whole
from iterpref.study.plan import Job
from iterpref.study.records import portable, record_file

log = logging.getLogger(__name__)


class StepFailed(Exception):
    """A command ended with an error; it has said why."""


def run_job(job: Job, out: Path, scoring: Sequence[str] = ()) -> dict[str, Any]:
    """Makes the job's record. `scoring`: further overrides of every evaluation on a benchmark."""
    from iterpref.eval.held_out import evaluation_folder
    from iterpref.evaluate import main as evaluate
    from iterpref.train import main as train

    work, began = out / "work" / job.name, now()
    work.mkdir(parents=True, exist_ok=True)
    steps = _Steps(job.name)
    model: tuple[str, ...] = job.model
    record: dict[str, Any] = {
        "name": job.name, "phase": job.phase, "arm": job.arm, "seed": job.seed, "lr": job.lr, "settings": list(job.settings), "began": began,
        "gpus": hardware()["gpus"], "held_out": {},
    }  # fmt: skip
    if job.train:
        run = work / "run"
        steps.take("train", train, *job.train, run_folder(run))
        model = ("model=pretrained", f"model.path={quoted(str(run / 'export'))}")
        for name, overrides in job.held_out.items():
            steps.take(name, evaluate, run_folder(run), "evaluate.pass_at_1=false", *overrides)
            pairs = next((o.partition("=")[2] for o in overrides if o.startswith("evaluate.pairs=")), None)
            record["held_out"][name] = _preferences(evaluation_folder(run, pairs))
        record["curve"] = _curve(run / "metrics.csv")
        record["run"] = json.loads((run / "run.json").read_text())
    record["benchmarks"] = {}
    for name, overrides in job.evaluations.items():
        folder = work / "scores" / name
        steps.take(name, evaluate, *model, *overrides, *scoring, run_folder(folder))
        record["benchmarks"][name] = _scores(folder)
    # Of the settings, {NAME} stands for paths already, and the rest is compared word for word when the study goes on.
    record = portable(record) | {"settings": record["settings"], "seconds": steps.seconds, "ended": now()}
    file = record_file(out, job.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(record) + "\n")
    shutil.rmtree(work)
    return record


class _Steps:
    """Commands of one job, and the seconds that each took."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.seconds: dict[str, float] = {}

    def take(self, name: str, command: Callable[[list[str]], Any], *arguments: str) -> None:
        """Raises `StepFailed` where the command ends with an error."""
        from hydra.core.global_hydra import GlobalHydra

        begin = time.perf_counter()
        log.info("%s, %s", self.job, name)
        GlobalHydra.instance().clear()
        try:
            command(list(arguments))
        except SystemExit as end:
            if end.code:
                raise StepFailed(
                    f"{self.job}, {name}: the command ended with {end.code}\n{' '.join(arguments)}"
                ) from None
        finally:
            gc.collect()
            _empty_gpu_cache()
        self.seconds[name] = round(time.perf_counter() - begin, 1)


def run_folder(run: Path | str) -> str:
    return f"paths.run={quoted(str(run))}"


def _empty_gpu_cache() -> None:
    """What is compiled stays: the next job has the same layers and lengths."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _scores(folder: Path) -> dict[str, Any]:
    from iterpref.eval.scores import rate_by_task, read_scores

    _, scores, rows = read_scores(folder, "paths.run")
    part = list(scores["parts"])[-1]
    return {
        **{key: scores[key] for key in ("benchmark", "n_samples", "samples_a_task", "n_tasks_run", "not_run", "verdicts", "errors")},
        "seconds": {"generate": scores["seconds_generate"], "score": scores["seconds"]}, "tokens": scores["tokens"]["tokens"],
        "rates": scores["parts"][part],
        "tasks": {task: round(rate, 4) for task, rate in rate_by_task(rows, part).items()},
    }  # fmt: skip


def _preferences(folder: Path) -> dict[str, Any]:
    """Of the start model and of the trained one."""
    return {when: json.loads((folder / f"{when}.json").read_text())["preference"] for when in ("before", "after")}


def _curve(path: Path) -> list[Mapping[str, float]]:
    """Rows of the log that hold a validation."""
    with path.open(newline="", encoding="utf-8") as handle:
        rows = [
            {k: round(float(v), 5) for k, v in row.items() if v and (k == "step" or k.startswith("val/"))}
            for row in csv.DictReader(handle)
        ]
    return [row for row in rows if len(row) > 1]
