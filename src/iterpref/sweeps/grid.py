"""A grid: one job for each combination of the swept values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from hydra.core.override_parser.types import Override

from iterpref.errors import UserError
from iterpref.overrides import parse, swept_texts
from iterpref.sweeps.folders import swept_keys
from iterpref.sweeps.jobs import Job, Sweep


def run_grid(sweep: Sweep, arguments: Sequence[str]) -> list[Any]:
    """Runs the jobs that are not finished; returns the metric of each, in the order of the grid."""
    jobs = grid_jobs(sweep, arguments)
    sweep.run(jobs, sweep.check(jobs))
    return sweep.finish()


def grid_jobs(sweep: Sweep, arguments: Sequence[str]) -> list[Job]:
    """All combinations; the first key varies slowest, and values that are equal make one job."""
    # Of two with one key the later counts, in the first one's place.
    overrides = {o.key_or_group: o for o in parse(arguments, sweep.loader)}
    swept = swept_keys(list(overrides.values()), sweep.params)
    choices = [_choices(override) for override in overrides.values()]
    jobs: dict[str, Job] = {}
    for combination in product(*choices):
        values = {key: value for key, (_, value) in zip(overrides, combination, strict=True) if key in swept}
        job = sweep.job(len(jobs), values, [text for text, _ in combination])
        jobs.setdefault(job.folder, job)
    return list(jobs.values())


def _choices(override: Override) -> list[tuple[str, Any]]:
    """The override once for each of its values, with the value."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [(f"{key}={override.get_value_element_as_str()}", override.value())]
    if not override.is_discrete_sweep():
        raise UserError(
            f"'{override.input_line}': a grid needs values, {key}=0.1,0.3 or {key}=range(1,4); intervals are for sweep=optuna"
        )
    texts = [f"{key}={text}" for text in swept_texts(override)]
    return [(text, parse([text])[0].value()) for text in texts]
