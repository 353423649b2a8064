"""Before the first of many hours: can every command of a study be composed, and is every benchmark here?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
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
    if job.train:
        yield "train", lambda config: None, job.train
    for overrides in job.held_out.values():
        yield "evaluate", lambda config: None, overrides
    for overrides in job.evaluations.values():
        yield "evaluate", _read_benchmark, overrides


def _read_benchmark(config: Config) -> None:
    from iterpref.eval.tasks import load_benchmark

    load_benchmark(config.benchmark)
