"""A study's tables and curves, out of its records alone: `OUT/study.md`, `OUT/study.json`, `OUT/likelihood.png`.

A rate's interval is over tasks: each task's share of passing answers, averaged over the seeds, is redrawn (10,000 times).
Beside it stands the standard deviation between seeds. Arms are compared with the baseline task by task (`eval.compare`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from iterpref.callbacks.run_record import write_whole
from iterpref.errors import UserError
from iterpref.eval.compare import paired
from iterpref.eval.passk import bootstrap_mean
from iterpref.eval.tables import Sheet
from iterpref.study.choose import tuned
from iterpref.study.jobs import records
from iterpref.study.plan import START, Study

Records = Sequence[dict[str, Any]]
LIKELIHOOD = ("chosen_logps", "rejected_logps", "focal_chosen_logratio", "focal_rejected_logratio")
PREFERENCE = (
    "accuracy",
    "focal_accuracy",
    "chosen_logratio",
    "rejected_logratio",
    "focal_chosen_logratio",
    "focal_rejected_logratio",
)


def write_tables(study: Study, out: Path) -> str:
    """Writes the three files; returns the Markdown. Raises `UserError` without a record to show."""
    found = records(out)
    if not found:
        raise UserError(f"{out}: no record of a job yet: python -m iterpref.study run comes first")
    result = summary(study, found)
    text = markdown(study, result)
    write_whole(out / "study.json", json.dumps(result, indent=1) + "\n")
    write_whole(out / "study.md", text)
    _draw(study, found, out / "likelihood.png")
    return text


def summary(study: Study, found: Records) -> dict[str, Any]:
    """All figures of the tables, as plain data."""
    main = _by_arm(found)
    start = next((r for r in found if r["phase"] == START), None)
    result: dict[str, Any] = {
        "tuned": tuned(found, study.tune.by, study.tune.lrs),
        "seconds": {r["name"]: sum(r["seconds"].values()) for r in found},
        "arms": {},
    }
    if start:
        result["arms"][START] = {"seeds": [], "benchmarks": _rates(study, [start]), "against": {}, "held_out": None}
    for arm, runs in main.items():
        base = main.get(study.baseline, [])
        result["arms"][arm] = {
            "seeds": [r["seed"] for r in runs],
            "lr": runs[0]["lr"],
            "benchmarks": _rates(study, runs),
            "against": _against(study, base, runs) if arm != study.baseline and base else {},
            "held_out": _held_out(runs),
        }
    return result


def _by_arm(found: Records) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in sorted((r for r in found if r["phase"] == "main"), key=lambda r: r["seed"]):
        runs[record["arm"]].append(record)
    return dict(runs)


def task_means(runs: Records, benchmark: str) -> dict[str, float]:
    """Each task's rate, averaged over the runs; tasks that every run has."""
    tables = [r["benchmarks"][benchmark]["tasks"] for r in runs if benchmark in r["benchmarks"]]
    common = set.intersection(*(set(t) for t in tables)) if tables else set()
    return {task: mean(t[task] for t in tables) for task in sorted(common)}


def _rates(study: Study, runs: Records) -> dict[str, Any]:
    rates = {}
    for name in study.compared:
        tasks = task_means(runs, name)
        if not tasks:
            continue
        each = [r["benchmarks"][name]["rates"] for r in runs]
        seeds = [rate["pass@1"]["mean"] for rate in each]
        rates[name] = {
            **bootstrap_mean(list(tasks.values()), resamples=10_000), "between_seeds": stdev(seeds) if len(seeds) > 1 else None,
            "pass@10": mean(rate["pass@10"]["mean"] for rate in each) if all("pass@10" in rate for rate in each) else None,
        }  # fmt: skip
    return rates


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


def _held_out(runs: Records) -> dict[str, float]:
    """Means over the seeds of the held-out pairs' metrics."""
    after = [r["held_out"]["after"] for r in runs]
    return {name: mean(one[name]["mean"] for one in after) for name in PREFERENCE}


def sheets(study: Study, result: Mapping[str, Any]) -> list[Sheet]:
    """The tables; an arm without a figure has a dash."""
    arms: dict[str, Any] = result["arms"]
    names = tuple(n for n in study.compared if any(n in arm["benchmarks"] for arm in arms.values()))
    drawn = tuple(
        n for n in names if any(arm["benchmarks"].get(n, {}).get("pass@10") is not None for arm in arms.values())
    )
    rates = tuple(
        (
            arm,
            str(len(f["seeds"]) or "-"),
            f"{f['lr']:g}" if f.get("lr") else "-",
            *(_rate(f["benchmarks"].get(n)) for n in names),
        )
        for arm, f in arms.items()
    )
    return [
        Sheet("pass@1, %; 95 % interval over tasks; ± between seeds", ("arm", "seeds", "lr", *names), rates),
        Sheet("pass@10, %", ("arm", *drawn),
              tuple((arm, *(_percent(f["benchmarks"].get(n, {}).get("pass@10")) for n in drawn)) for arm, f in arms.items())),
        Sheet(f"pass@1 less that of {study.baseline}, points, task by task over the seeds of both", ("arm", *names),
              tuple((arm, *(_difference(f["against"].get(n)) for n in names)) for arm, f in arms.items() if f["against"])),
        Sheet("held-out pairs: shares, and nats a completion, means over seeds", ("arm", *PREFERENCE),
              tuple((arm, *(f"{f['held_out'][n]:.2f}" for n in PREFERENCE)) for arm, f in arms.items() if f["held_out"])),
        Sheet(f"pass@1 on {study.tune.by}, %, by learning rate", ("arm", *(f"{lr:g}" for lr in study.tune.lrs), "chosen"),
              tuple((arm, *(_percent(f["rates"][lr]) for lr in study.tune.lrs), f"{f['lr']:g}") for arm, f in result["tuned"].items())),
    ]  # fmt: skip


def markdown(study: Study, result: Mapping[str, Any]) -> str:
    """The tables that have a row, and what the jobs took."""
    parts = [sheet.markdown() for sheet in sheets(study, result) if sheet.rows and len(sheet.columns) > 1]
    minutes = sum(result["seconds"].values()) / 60
    return "\n".join([*parts, f"{len(result['seconds'])} jobs, {minutes:.1f} minutes.", ""])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _rate(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    spread = "" if found["between_seeds"] is None else f" ± {_percent(found['between_seeds'])}"
    return f"{_percent(found['mean'])} [{_percent(found['low'])}, {_percent(found['high'])}]{spread}"


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, middle, high = (f"{100 * found[name]:+.1f}" for name in ("low", "difference", "high"))
    return f"{middle} [{low}, {high}], p {found['p_bootstrap']:.3f}"


def _draw(study: Study, found: Records, path: Path) -> None:
    """Log-prob of chosen and rejected, and log-ratio of what differs, over the training of each main arm; means over seeds."""
    from matplotlib.figure import Figure

    arms = {arm: runs for arm, runs in _by_arm(found).items() if arm in study.main}
    figure = Figure(figsize=(4.2 * len(LIKELIHOOD), 3.6))
    axes = figure.subplots(1, len(LIKELIHOOD))
    for axis, name in zip(axes, LIKELIHOOD, strict=True):
        for arm, runs in arms.items():
            values: dict[float, list[float]] = defaultdict(list)
            for run in runs:
                for row in run["curve"]:
                    if f"val/{name}" in row:
                        values[row["step"]].append(row[f"val/{name}"])
            steps = sorted(values)
            axis.plot(steps, [mean(values[step]) for step in steps], marker="o", ms=3, label=arm)
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.set_xlabel("optimizer step")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("nats a completion, validation pairs")
    if arms:
        axes[-1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
