"""A study's tables and curves, out of its records alone: `OUT/study.md`, `study.json`, `likelihood.png`, `rates.png`, `learning_rates.png`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iterpref.eval.tables import Sheet
from iterpref.run_record import write_whole
from iterpref.study.choose import best
from iterpref.study.figures import draw_learning_rates, draw_likelihood, draw_rates
from iterpref.study.pack import stored_records
from iterpref.study.plan import Study
from iterpref.study.summary import LIKELIHOOD, PREFERENCE, summary

KINDS = 10  # of errors that have a column


def write_tables(study: Study, out: Path, pack: Path | None = None) -> str:
    """Writes the five files; returns the Markdown. `pack`: the records, if not those of `out`.

    Raises `UserError` without a record to show, for one of another study, and where there are records in both places.
    """
    stored = stored_records(study, out, pack)
    result = {**summary(study, stored.records), "failures": stored.failures}
    text = markdown(study, result)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "study.json", json.dumps(result, indent=1) + "\n")
    write_whole(out / "study.md", text)
    draw_likelihood(study, stored.records, out / "likelihood.png")
    draw_rates(study, result["arms"], out / "rates.png")
    draw_learning_rates(study, result, out / "learning_rates.png")
    return text


def sheets(study: Study, result: Mapping[str, Any]) -> list[Sheet]:
    """The tables; a figure that is not there is a dash."""
    arms: dict[str, Any] = result["arms"]
    names = [n for n in study.compared if any(n in arm["benchmarks"] for arm in arms.values())]
    drawn = [n for n in names if any(arm["benchmarks"].get(n, {}).get("pass@10") for arm in arms.values())]
    first = study.compared[0]
    kinds = [k for k, _ in sorted(_totals(arms).items(), key=lambda kind: -kind[1])][:KINDS]

    def rows(cells: Callable[[dict[str, Any]], Sequence[str]], of: str | None = None) -> tuple[tuple[str, ...], ...]:
        return tuple((arm, *cells(f)) for arm, f in arms.items() if of is None or f[of])

    return [
        Sheet("pass@1, %; [95 % interval over tasks]; ± standard deviation between seeds", ("arm", "seeds", "lr", *names),
              rows(lambda f: [str(len(f["seeds"]) or "-"), f"{f['lr']:g}" if f["lr"] else "-", *(_rate(f["benchmarks"].get(n)) for n in names)])),
        Sheet("pass@10, %; [95 % interval over tasks]", ("arm", *drawn),
              rows(lambda f: [_percents(f["benchmarks"].get(n, {}).get("pass@10")) for n in drawn])),
        Sheet("pass@1 less that of another arm, points; [95 % interval], task by task over the seeds of both", ("arm", "less", *names),
              tuple((arm, base, *(_difference(told.get(n)) for n in names)) for arm, f in arms.items() for base, told in f["against"].items())),
        *(Sheet(f"held-out pairs, {name}: shares in %, nats a completion; [95 % interval over pairs], means over seeds", ("arm", "pairs", *PREFERENCE),
                tuple((arm, *_preference(f["held_out"][name])) for arm, f in arms.items() if name in f["held_out"])) for name in study.held_out),
        Sheet("validation pairs, nats a completion: before and after training", ("arm", *(m.replace("_", " ") for m in LIKELIHOOD)),
              rows(lambda f: [_from_to(f["likelihood"].get(m)) for m in LIKELIHOOD], "likelihood")),
        Sheet(f"answers to {first} by what became of them, %; an answer may meet several errors", ("arm", *kinds),
              rows(lambda f: [f"{100 * f['errors'].get(k, 0):.1f}" for k in kinds], "errors")),
        *_by_lr(study, result),
        Sheet("jobs that failed", ("job", "when", "why"),
              tuple((f["name"], f["when"], f["why"].partition("\n")[0]) for f in result.get("failures", ()))),
    ]  # fmt: skip


def _by_lr(study: Study, result: Mapping[str, Any]) -> list[Sheet]:
    """What tuning chose by; and each rate on other tasks, where its choice can be judged and nothing is chosen any more."""

    def sheet(title: str, lrs: Sequence[float], rates: Mapping[str, Any], best_too: bool) -> Sheet:
        heads = [f"{lr:g}" if lr in study.tune.lrs else f"{lr:g} (not tuned)" for lr in lrs]
        rows = []
        for arm, of in rates.items():
            tuned = f"{result['tuned'][arm]:g}" if arm in result["tuned"] else "-"
            highest = f"{best({lr: found['mean'] for lr, found in of.items()}):g}"
            rows.append((arm, *(_percents(of.get(lr)) for lr in lrs), *([highest] if best_too else []), tuned))
        return Sheet(title, ("arm", *heads, *(["highest"] if best_too else []), "chosen by tuning"), tuple(rows))

    told = f"by learning rate; [95 % interval over tasks]; seed {study.tune.seed}"
    by, lrs = study.tune.by, study.tune.all_lrs
    found = [sheet(f"pass@1 on {by}, %, {told}", sorted(study.tune.lrs), result["by_lr"]["tune"][by], False)]
    for name, rates in result["by_lr"]["rates"].items():
        found.append(sheet(f"pass@1 on {name}, %, {told}; after the fact: it chooses nothing", lrs, rates, True))
        rows = tuple(
            (arm, base, *(_difference(of.get(lr)) for lr in lrs))
            for arm, bases in result["at_one_rate"][name].items()
            for base, of in bases.items()
        )
        title = f"pass@1 on {name} less another arm's at the same rate, points, task by task, {told}; after the fact"
        found.append(Sheet(title, ("arm", "less", *(f"{lr:g}" for lr in lrs)), rows))
    return found


def markdown(study: Study, result: Mapping[str, Any]) -> str:
    """The tables that have a row, and what the jobs took."""
    parts = [sheet.markdown() for sheet in sheets(study, result) if sheet.rows and len(sheet.columns) > 1]
    cost = (
        f"{result['jobs']} jobs, {result['job_seconds'] / 60:.1f} minutes one after the other, in {result['machine_seconds'] / 60:.1f} "
        f"minutes of {' and '.join(result['gpus']) or 'a machine without a GPU'}."
    )
    return "\n".join([*parts, cost, ""])


def _totals(arms: Mapping[str, Any]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for arm in arms.values():
        for kind, share in arm["errors"].items():
            totals[kind] = totals.get(kind, 0.0) + share
    return totals


def _percents(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found['mean']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _rate(found: Mapping[str, Any] | None) -> str:
    spread = f" ± {100 * found['between_seeds']:.1f}" if found and found["between_seeds"] is not None else ""
    return f"{_percents(found)}{spread}"


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, middle, high = (f"{100 * found[name]:+.1f}" for name in ("low", "difference", "high"))
    p = f"p {found['p_bootstrap']:.3f}" if found["p_bootstrap"] >= 0.001 else "p < 0.001"
    return f"{middle} [{low}, {high}], {p}"


def _preference(found: Mapping[str, Any]) -> list[str]:
    shown = [
        _percents(found[name])
        if name.endswith("accuracy")
        else "{mean:+.1f} [{low:+.1f}, {high:+.1f}]".format(**found[name])
        for name in PREFERENCE
    ]
    return [str(found["n_pairs"]), *shown]


def _from_to(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"
