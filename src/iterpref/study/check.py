"""Before the first of many hours: can every command of a study be composed, and is every benchmark and every pair file here?

Somebody's pairs become the artifact that the trainings read, so that nothing is read twice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.study.jobs import run_folder
from iterpref.study.plan import Job


def check_commands(jobs: Iterable[Job]) -> None:
    """Raises `UserError` at the first command that would be refused; it has printed why. Rates and seeds are taken to be right."""
    from hydra.core.global_hydra import GlobalHydra

    from iterpref.cli import run_command

    known = set[tuple[str, ...]]()
    with tempfile.TemporaryDirectory() as folder:
        for job in jobs:
            for command, task, overrides in _commands(job):
                words = (command, *(o for o in overrides if not o.startswith(("optim.lr=", "seed="))))
                if words in known:
                    continue
                known.add(words)
                GlobalHydra.instance().clear()
                try:
                    run_command(command, task, [*overrides, run_folder(folder)])
                except SystemExit:
                    raise UserError(
                        f"nothing has run yet: {job.name} has a command that cannot run: {command} {' '.join(overrides)}"
                    ) from None


def _commands(job: Job) -> Iterable[tuple[str, Callable[[Config], Any], tuple[str, ...]]]:
    trained: list[Config] = []
    if job.train:
        yield "train", partial(_read_pairs, trained), job.train
    for overrides in job.held_out.values():
        yield "evaluate", partial(_read_held_out, trained), overrides
    for overrides in job.evaluations.values():
        yield "evaluate", _read_benchmark, overrides


def _read_pairs(trained: list[Config], config: Config) -> None:
    """Notes the config, whose pairs can be read; those that CodeFlow is to make are not made here."""
    from iterpref.data.datamodule import no_training_pair
    from iterpref.data.stages import prepare_pairs

    trained.append(config)
    if config.pairs.source == "external":
        counts = prepare_pairs(config)[1].manifest["counts"]
        if not counts["splits"].get("train"):
            raise no_training_pair(config, counts["pairs"])


def _read_held_out(trained: list[Config], config: Config) -> None:
    from iterpref.data.stages import prepare_pairs
    from iterpref.eval.held_out import with_pairs

    if trained and config.evaluate.pairs is not None:
        prepare_pairs(with_pairs(trained[0], config.evaluate.pairs))


def _read_benchmark(config: Config) -> None:
    from iterpref.eval.tasks import load_benchmark

    load_benchmark(config.benchmark)
