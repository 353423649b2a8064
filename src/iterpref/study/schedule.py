"""A study's jobs one after the other, or several at once, until none is left that fits into the time."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.run_folder import alone
from iterpref.run_record import now
from iterpref.study.check import check_commands
from iterpref.study.choose import tuned
from iterpref.study.plan import PHASES, Job, Study
from iterpref.study.records import failures_file, is_done, records
from iterpref.study.workers import Ended, Here, Workers

log = logging.getLogger("iterpref.study")


def run(
    study: Study, out: Path, minutes: float | None, names: tuple[str, ...], phases: tuple[str, ...], parallel: int = 1
) -> list[str]:
    """Runs what has no record yet; returns the names of jobs that failed, whose folders stay and which stop no other."""
    # What has a record ran; a slot of time is not spent on composing it again.
    ran, some_rate = {record["arm"] for record in records(out)}, dict.fromkeys(study.arms, study.tune.lrs[0])
    begin, jobs = time.monotonic(), list(study.jobs(names, phases, some_rate))
    if not jobs:
        raise UserError(
            f"--phase {','.join(phases)} has no job of --arms {','.join(names)}: name other phases or arms, or none"
        )
    check_commands(job for job in jobs if job.arm not in ran)
    with alone(out, "runs a study", "--out DIR"):
        return _run(study, out, minutes, names, phases, parallel, begin)


def _run(
    study: Study, out: Path, minutes: float | None, names: tuple[str, ...], phases: tuple[str, ...], parallel: int, begin: float
) -> list[str]:  # fmt: skip
    failed, told = list[str](), False
    began: dict[str, float] = {}
    longest = dict.fromkeys(PHASES, 0.0)
    for record in records(out):
        longest[record["phase"]] = max(longest[record["phase"]], sum(record["seconds"].values()))
    workers = Workers(out, parallel) if parallel > 1 else Here(out)
    try:
        while True:
            spent = time.monotonic() - begin
            for job in _waiting(study, out, names, phases, [*failed, *(job.name for job in workers.busy)]):
                if not workers.free:
                    break
                takes = longest[job.phase] or max(longest.values())
                if minutes is not None and spent + takes > 60 * minutes:
                    if not told:
                        log.info("%s may take %.1f minutes, and %.1f of %g are spent: it waits for the next time",
                                 job.name, takes / 60, spent / 60, minutes)  # fmt: skip
                    told = True
                    break
                began[job.name] = time.monotonic()
                workers.start(job)
            ended = workers.wait()
            if not ended:
                break
            for one in ended:
                longest[one.job.phase] = max(longest[one.job.phase], time.monotonic() - began[one.job.name])
                if one.record is None:
                    failed.append(one.job.name)
                    _note_failure(out, one)
                else:
                    log.info("%s done: %s; seconds %s", one.job.name, _said(one.record), one.record["seconds"])
    finally:
        workers.close()
    if {"main", "variants"} & set(phases) and (
        untuned := sorted(set(names) & set(study.arms) - set(_tuned(study, out)))
    ):
        log.info("not tuned at every rate yet, so not trained: %s", ", ".join(untuned))
    return failed


def _tuned(study: Study, out: Path) -> dict[str, float]:
    return tuned(records(out), study.tune.by, study.tune.lrs)


def _waiting(
    study: Study, out: Path, names: tuple[str, ...], phases: tuple[str, ...], taken: Collection[str]
) -> Iterator[Job]:
    """Jobs without a record that nobody has taken, in order; an arm's main jobs appear when its last rate is tried."""
    for job in study.jobs(names, phases, _tuned(study, out)):
        if job.name not in taken and not is_done(job, out):
            yield job


def _note_failure(out: Path, ended: Ended) -> None:
    """On the terminal, and in the file that the tables tell it from."""
    log.error("%s", ended.failure)
    with failures_file(out).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"name": ended.job.name, "when": now(), "why": ended.failure}) + "\n")


def _said(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {100 * b['rates']['pass@1']['mean']:.1f} %" for name, b in record["benchmarks"].items())
