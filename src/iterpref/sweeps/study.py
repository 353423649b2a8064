"""A study: Optuna draws the jobs, one after the other or `sweep.parallel` at a time, and learns from their results.

SWEEP/study.db holds every trial, so that the same command goes on where it was: a trial that was running goes on under its
own number from its last checkpoint, one that failed is drawn again, and `sweep.trials` counts those of earlier starts.

Not hydra-optuna-sweeper, which needs optuna < 3, keeps no trial that was running, and numbers its jobs anew at each start.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from iterpref.cli import quoted
from iterpref.config import schema_keys
from iterpref.config.sweep import SweepConfig, direction
from iterpref.errors import UserError, nearest
from iterpref.overrides import parse, swept_texts
from iterpref.sweeps.folders import swept_keys
from iterpref.sweeps.jobs import Job, Sweep

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

STUDY = "sweep"  # its name in the file
_TAGS = ("log", "int")  # of an interval
_MOST_FAILURES = 3  # of one start: what fails three times is no bad luck


def _results() -> tuple[Any, ...]:
    """States of trials that have a result."""
    from optuna.trial import TrialState

    return (TrialState.COMPLETE, TrialState.PRUNED)


def run_study(sweep: Sweep, arguments: Sequence[str]) -> list[Any]:
    """Runs trials until `sweep.trials` of them have a result; returns the metric of each, in the order of their numbers."""
    study = open_study(sweep.folder / "study.db", sweep.options.metric)
    space, fixed = search_space(sweep, arguments)
    _check_same_space(study, space)
    _take_up(sweep, study, fixed)
    failures = 0
    while failures < _MOST_FAILURES and (jobs := _next_jobs(sweep, study, space, fixed)):
        sweep.run(jobs, sweep.check(jobs))
        failures += sum(not _tell(study, sweep, job) for job in jobs)
    results = study.get_trials(states=_results())
    log.info(
        "%d of %d trials have a result; the study is %s", len(results), sweep.options.trials, sweep.folder / "study.db"
    )
    return sweep.finish()


def open_study(path: Path, metric: str) -> optuna.Study:
    """The study in the file, made if need be; raises `UserError` without Optuna, or for one that optimises the other way."""
    try:
        import optuna
    except ImportError:
        raise UserError("sweep=optuna needs Optuna: pip install 'iterpref[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=STUDY, storage=f"sqlite:///{path}", load_if_exists=True, direction=direction(metric)
    )
    if (known := study.user_attrs.get("metric", metric)) != metric:
        raise UserError(
            f"{path} is a study by {known}, not by sweep.metric={metric}: choose another hydra.sweep.dir=DIR"
        )
    study.set_user_attr("metric", metric)
    return study


def search_space(sweep: Sweep, arguments: Sequence[str]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """The distribution of each swept key, and the overrides that all trials share."""
    overrides = {o.key_or_group: o for o in parse(arguments, sweep.loader)}
    swept = swept_keys(list(overrides.values()), sweep.params)
    space = {key: distribution(o) for key, o in overrides.items() if key in swept and o.is_sweep_override()}
    if not space:
        raise UserError(
            "sweep=optuna needs something to search: give a key an interval or values, such as "
            "'optim.lr=tag(log,interval(1e-6,1e-4))' or loss.beta=0.1,0.3"
        )
    fixed = [
        f"{o.get_key_element()}={o.get_value_element_as_str()}" for key, o in overrides.items() if key not in space
    ]
    return space, fixed


def distribution(override: Override) -> BaseDistribution:
    """Hydra's sweep syntax as Optuna has it: `interval(a,b)` a number (whole where the option is), `tag(log,interval(a,b))` by its
    logarithm, `range(a,b,step)` the numbers below b, `a,b,c` or `choice(...)` a choice."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        if unknown := sorted(value.tags - set(_TAGS)):
            raise UserError(
                f"'{override.input_line}': the tag {unknown[0]} has no effect: an interval may have {' or '.join(_TAGS)}"
                + nearest(unknown[0], _TAGS)
            )
        logarithmic = "log" in value.tags
        low, high = float(value.start or 0), float(value.end or 0)
        if not low <= high:
            raise UserError(
                f"'{override.input_line}': interval(a,b) goes from a to b, and {low:g} is not below {high:g}"
            )
        if logarithmic and low <= 0:
            raise UserError(f"'{override.input_line}': a logarithm needs bounds above 0")
        types = {key: item.type for key, item in schema_keys()}
        if "int" in value.tags or str(types.get(override.key_or_group)).startswith("int"):
            return IntDistribution(round(low), round(high), log=logarithmic)
        return FloatDistribution(low, high, log=logarithmic)
    texts = swept_texts(override)
    if isinstance(value, RangeSweep) and not value.tags and len(texts) > 1:
        numbers = [parse([f"x={text}"])[0].value() for text in texts]
        if all(isinstance(n, int) for n in numbers):
            return IntDistribution(numbers[0], numbers[-1], step=numbers[1] - numbers[0])  # type: ignore[arg-type,operator]
    return CategoricalDistribution(texts)


def sampler(options: SweepConfig, seed: int, number: int) -> Any:
    """Draws trial `number`: a matter of seed, number and the results so far alone, so that where a study was stopped does not show."""
    import optuna

    drawn = (seed * 1_000_003 + number) % 2**32
    if options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=drawn)
    return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=options.startup, constant_liar=options.parallel > 1)


def _check_same_space(study: optuna.Study, space: dict[str, BaseDistribution]) -> None:
    for trial in study.trials:
        for key, known in trial.distributions.items():
            if key not in space or type(space[key]) is not type(known):
                raise UserError(
                    f"trial {trial.number} of this study drew {key} from {known}, which this command does not: "
                    "repeat it, or choose another hydra.sweep.dir=DIR"
                )


def _take_up(sweep: Sweep, study: optuna.Study, fixed: list[str]) -> None:
    """What earlier starts left: results go into the record, and trials that failed are drawn again, under new numbers."""
    from optuna.trial import TrialState

    retried = {trial.user_attrs.get("again") for trial in study.trials}
    for trial in study.trials:
        if trial.state in _results():
            job = _job(sweep, trial, fixed)
            sweep.record.add(job.number, job.folder, job.swept)
            sweep.record.settle(job.folder)
        elif trial.state == TrialState.FAIL and trial.number not in retried:
            study.enqueue_trial(trial.params, user_attrs={"again": trial.number})


def _next_jobs(sweep: Sweep, study: optuna.Study, space: dict[str, BaseDistribution], fixed: list[str]) -> list[Job]:
    """Trials that were running when the study was killed; else as many new ones as are wanted at once."""
    from optuna.trial import TrialState

    if running := study.get_trials(states=(TrialState.RUNNING,)):
        return [_job(sweep, trial, fixed) for trial in running[: sweep.options.parallel]]
    jobs = []
    for _ in range(min(sweep.options.parallel, sweep.options.trials - len(study.get_trials(states=_results())))):
        study.sampler = sampler(sweep.options, int(sweep.master.seed), len(study.trials))
        jobs.append(_job(sweep, study.ask(space), fixed))
    return jobs


def _job(sweep: Sweep, trial: Any, fixed: list[str]) -> Job:
    """The job of a trial, in the folder of its values."""
    texts = {key: value if isinstance(value, str) else repr(value) for key, value in trial.params.items()}
    values = {key: parse([f"x={text}"])[0].value() for key, text in texts.items()}
    place = [f"sweep.study={quoted(str(sweep.folder / 'study.db'))}", f"sweep.trial={trial.number}"]
    return sweep.job(trial.number, values, [*fixed, *(f"{key}={text}" for key, text in texts.items()), *place])


def _tell(study: optuna.Study, sweep: Sweep, job: Job) -> bool:
    """Hands the result of a job to the study; False when it has none."""
    from optuna.trial import TrialState

    row = sweep.record.rows[job.folder]
    value = sweep.record.value(row)
    if row.state == "finished" and value is None:
        row.state, row.reason = "failed", f"there is no {sweep.options.metric}: a study needs validation pairs"
    if row.state == "failed":
        study.tell(job.number, state=TrialState.FAIL)
    elif row.state == "pruned":
        study.tell(job.number, state=TrialState.PRUNED)
    else:
        study.tell(job.number, value)
    return row.state != "failed"
