"""A study's figures out of its records alone, as plain data.

A benchmark's interval is over tasks: each task's share of passing answers, averaged over the seeds, is redrawn; Wilson's
where each is 0 or 1. Beside it stands the standard deviation between seeds. Arms are compared with the baseline, variants
with their arm, and either with what the study says `against`, task by task (`eval.compare`), over the seeds that both have.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import fsum
from statistics import mean, stdev
from typing import Any

from iterpref.eval.compare import RESAMPLES, paired
from iterpref.eval.passk import bootstrap_mean, wilson
from iterpref.study.choose import tuned
from iterpref.study.plan import BY_LR, START, Study

Records = Sequence[dict[str, Any]]
LIKELIHOOD = ("chosen_logps", "rejected_logps", "focal_chosen_logratio", "focal_rejected_logratio")
PREFERENCE = ("accuracy", "focal_accuracy", "chosen_logratio", "rejected_logratio", "focal_chosen_logratio", "focal_rejected_logratio")  # fmt: skip


def summary(study: Study, found: Records) -> dict[str, Any]:
    """All figures of the tables."""
    by_arm = runs_by_arm(study, found)
    arms: dict[str, Any] = {}
    for arm, runs in by_arm.items():
        bases = [base for base in study.bases(arm) if base in by_arm] if arm != START else []
        arms[arm] = {
            "seeds": [r["seed"] for r in runs] if arm != START else [], "lr": runs[0]["lr"], "benchmarks": _rates(study, runs),
            "against": {base: told for base in bases if (told := _against(study, by_arm[base], runs))},
            "held_out": _held_out(study, runs), "likelihood": _likelihood(runs), "errors": _errors(study, runs),
        }  # fmt: skip
    return {
        "tuned": tuned(found, study.tune.by, study.tune.lrs), "arms": arms, "jobs": len(found),
        "by_lr": {"tune": {study.tune.by: _by_lr(study, found, "tune", study.tune.by)},
                  "rates": {name: _by_lr(study, found, "rates", name) for name in study.tune.also}},
        "at_one_rate": {name: _at_one_rate(study, found, name) for name in study.tune.also},
        # The sum to the last bit, which depends on the version of Python otherwise.
        "job_seconds": fsum(s for r in found for s in r["seconds"].values()), "machine_seconds": machine_seconds(found),
        "gpus": sorted({name for r in found for name in r["gpus"]}),
    }  # fmt: skip


def runs_by_arm(study: Study, found: Records) -> dict[str, list[dict[str, Any]]]:
    """Records of the start model, the arms and the variants that have any, in the study's order, by seed; none of `by_lr`."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in sorted((r for r in found if r["phase"] not in BY_LR), key=lambda r: r["seed"]):
        runs[record["arm"]].append(record)
    return {arm: runs[arm] for arm in (START, *study.arms, *study.variants) if arm in runs}


def task_means(runs: Records, benchmark: str) -> dict[str, float]:
    """Each task's rate, averaged over the runs; tasks that every run has."""
    tables = [r["benchmarks"][benchmark]["tasks"] for r in runs if benchmark in r["benchmarks"]]
    common = set.intersection(*(set(t) for t in tables)) if tables else set()
    return {task: mean(t[task] for t in tables) for task in sorted(common)}


def _by_lr(study: Study, found: Records, phase: str, benchmark: str) -> dict[str, dict[float, dict[str, float]]]:
    """`{arm: {learning rate: mean and 95 % interval over tasks}}` of the phase's runs, in the study's order."""
    by_arm: dict[str, dict[float, dict[str, float]]] = {arm: {} for arm in study.arms}
    for run in sorted((r for r in found if r["phase"] == phase), key=lambda r: r["lr"]):
        if tasks := task_means([run], benchmark):
            by_arm[run["arm"]][run["lr"]] = _over_tasks(list(tasks.values()))
    return {arm: rates for arm, rates in by_arm.items() if rates}


def _at_one_rate(study: Study, found: Records, benchmark: str) -> dict[str, dict[str, dict[float, Any]]]:
    """`{arm: {base: {learning rate: difference}}}` of phase `rates`, task by task, where both have a run at that rate."""
    runs = {(r["arm"], r["lr"]): task_means([r], benchmark) for r in found if r["phase"] == "rates"}
    compared: dict[str, dict[str, dict[float, Any]]] = defaultdict(dict)
    for arm in study.arms:
        for base in study.bases(arm):
            sides = {lr: (runs.get((base, lr)), runs.get((arm, lr))) for lr in study.tune.all_lrs}
            if told := {lr: paired(first, second) for lr, (first, second) in sides.items() if first and second}:
                compared[arm][base] = told
    return dict(compared)


def _rates(study: Study, runs: Records) -> dict[str, Any]:
    rates = {}
    for name in study.compared:
        tasks = task_means(runs, name)
        if not tasks:
            continue
        each = [r["benchmarks"][name]["rates"] for r in runs]
        seeds = [rate["pass@1"]["mean"] for rate in each]
        rates[name] = {
            **_over_tasks(list(tasks.values())), "between_seeds": stdev(seeds) if len(seeds) > 1 else None,
            "pass@10": mean_interval([r.get("pass@10") for r in each]),
        }  # fmt: skip
    return rates


def _over_tasks(rates: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval; Wilson's where each task has 0 or 1, as there the bootstrap knows no doubt about all or none."""
    if all(rate in (0.0, 1.0) for rate in rates):
        low, high = wilson(int(sum(rates)), len(rates))
        return {"mean": mean(rates), "low": low, "high": high}
    return bootstrap_mean(rates, resamples=RESAMPLES)


def mean_interval(each: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    """Mean over runs of a mean and its bounds; None where a run lacks it. The bounds are those of one run, and so a little wide."""
    whole = [one for one in each if one is not None]
    if not whole or len(whole) < len(each):
        return None
    return {key: mean(one[key] for one in whole) for key in ("mean", "low", "high")}


def _against(study: Study, base: Records, runs: Records) -> dict[str, Any]:
    """Over the seeds that both have: one seed of an arm is not compared with three of the other."""
    seeds = {r["seed"] for r in base} & {r["seed"] for r in runs}
    sides = [[r for r in side if r["seed"] in seeds] for side in (base, runs)]
    compared = {}
    for name in study.compared:
        first, second = (task_means(side, name) for side in sides)
        if first and second:
            compared[name] = {"seeds": sorted(seeds), **paired(first, second)}
    return compared


def _held_out(study: Study, runs: Records) -> dict[str, dict[str, Any]]:
    """Of each set of pairs that all runs were scored on, the number of pairs, and each metric's mean over the seeds."""
    sets = {}
    for name in study.held_out:
        after = [r["held_out"][name]["after"] for r in runs if name in r["held_out"]]
        if after and len(after) == len(runs) and all(after):
            figures = {metric: mean_interval([one[metric] for one in after]) for metric in PREFERENCE}
            sets[name] = {"n_pairs": after[0]["n_pairs"], **figures}
    return sets


def curve(runs: Records, metric: str) -> dict[float, float]:
    """{optimizer step: mean over the runs of a validation metric}; step 0 is the reference."""
    values: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        rows = [row for row in run.get("curve", ()) if f"val/{metric}" in row]
        if rows:
            values[0].append(_start_of(rows[0], metric))
        for row in rows:
            values[row["step"] + 1].append(row[f"val/{metric}"])
    return {step: mean(values[step]) for step in sorted(values)}


def _start_of(row: Mapping[str, float], metric: str) -> float:
    """A log-prob less its log-ratio is the reference's; its log-ratio to itself is 0."""
    if not metric.endswith("_logps"):
        return 0.0
    return row[f"val/{metric}"] - row[f"val/{metric.replace('_logps', '_logratio')}"]


def _likelihood(runs: Records) -> dict[str, list[float]]:
    """First and last value of each curve."""
    curves = {metric: list(curve(runs, metric).values()) for metric in LIKELIHOOD}
    return {metric: [values[0], values[-1]] for metric, values in curves.items() if values}


def _errors(study: Study, runs: Records) -> dict[str, float]:
    """Share of the answers to the first compared benchmark that met each kind of error, all runs together; PASS among them."""
    name = study.compared[0]
    told = [r["benchmarks"][name] for r in runs if name in r["benchmarks"]]
    counts: Counter[str] = Counter()
    for one in told:
        counts.update(one["errors"])
        # The kinds of FAIL and ERROR are the errors.
        counts.update({v: n for v, n in one["verdicts"].items() if v not in ("FAIL", "ERROR")})
    total = sum(one["n_samples"] for one in told)
    return {kind: n / total for kind, n in counts.most_common()}


def machine_seconds(found: Records) -> float:
    """Seconds in which at least one job was running: what the machine was taken for, starts and lost work left out."""
    seconds: Callable[[str], float] = lambda text: datetime.fromisoformat(text).timestamp()  # noqa: E731
    spans = sorted((seconds(r["began"]), seconds(r["ended"])) for r in found)
    total, until = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
