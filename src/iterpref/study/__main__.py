"""A whole study, or what of it fits into a slot of time, and its tables out of the stored records.

    python -m iterpref.study run   STUDY.yaml --out DIR [--file NAME=PATH ...] [--minutes N] [--arms A,B] [--phase P] [-- OVERRIDE ...]
    python -m iterpref.study table STUDY.yaml --out DIR

The same command again goes on: jobs that have a record are not repeated, and one that was cut off continues. With
`--minutes` no job begins that would not end in time, by the longest of its kind so far. What stands behind `--` goes to
every training run.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.study.choose import tuned
from iterpref.study.jobs import StepFailed, record_file, records, run_job
from iterpref.study.plan import Job, Study, read_study

log = logging.getLogger("iterpref.study")
PHASES = ("start", "tune", "main")


def main(argv: list[str] | None = None) -> None:
    """Ends with 2 after a mistake of the user's, and with 1 if a job failed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="iterpref.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "table"))
    parser.add_argument("study", type=Path, help="YAML file, such as configs/study/main.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of records and tables")
    parser.add_argument(
        "--file", action="append", default=[], metavar="NAME=PATH", help="what {NAME} stands for in the study"
    )
    parser.add_argument(
        "--minutes", type=float, default=None, help="begin nothing that would take longer than this in all"
    )
    parser.add_argument("--arms", default=None, help="only these, with commas between")
    parser.add_argument("--phase", choices=PHASES, default=None, help="only this one")
    a = parser.parse_args(arguments[:at])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if a.action == "table":
            from iterpref.study.tables import write_tables

            print(write_tables(read_study(a.study, None), a.out))
            return
        study = read_study(a.study, _files(a.file), tuple(arguments[at + 1 :]))
        failed = run(study, a.out, a.minutes, study.chosen_arms(a.arms), PHASES if a.phase is None else (a.phase,))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if failed:
        raise SystemExit(1)


def run(study: Study, out: Path, minutes: float | None, arms: tuple[str, ...], phases: tuple[str, ...]) -> list[str]:
    """Runs what has no record yet; returns the names of jobs that failed, whose folders stay and which stop no other."""
    begin, longest, failed = time.monotonic(), dict.fromkeys(PHASES, 0.0), list[str]()
    for job in jobs(study, out, arms, phases):
        if record_file(out, job.name).is_file():
            continue
        spent = (time.monotonic() - begin) / 60
        if minutes is not None and spent + longest[job.phase] / 60 > minutes:
            log.info(
                "%s would take about %.1f minutes, and %.1f of %g are spent: stopped before it",
                job.name,
                longest[job.phase] / 60,
                spent,
                minutes,
            )
            break
        started = time.monotonic()
        try:
            record = run_job(job, out)
        except StepFailed as error:
            log.error("%s", error)
            failed.append(job.name)
            continue
        longest[job.phase] = max(longest[job.phase], time.monotonic() - started)
        log.info("%s done: %s; seconds %s", job.name, _said(record), record["seconds"])
    return failed


def jobs(study: Study, out: Path, arms: tuple[str, ...], phases: tuple[str, ...]) -> Iterator[Job]:
    """In order; the learning rates of the main phase are chosen when it begins."""
    if "start" in phases:
        yield study.start()
    if "tune" in phases:
        yield from study.tuning(arms)
    if "main" in phases:
        lrs = {arm: found["lr"] for arm, found in tuned(records(out), study.tune.by, study.tune.lrs).items()}
        if untuned := [arm for arm in arms if arm not in lrs]:
            log.info("not tuned at every rate yet, so left out of the main phase: %s", ", ".join(untuned))
        yield from study.rounds(arms, lrs)


def _said(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {100 * b['rates']['pass@1']['mean']:.1f} %" for name, b in record["benchmarks"].items())


def _files(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, equals, path = line.partition("=")
        if not equals or not name or not path:
            raise UserError(f"--file {line}: expected NAME=PATH, such as --file mbpp=mbpp.jsonl")
        if not Path(path).exists():
            raise UserError(f"--file {line}: {path} is not there")
        found[name] = str(Path(path).absolute())
    return found


if __name__ == "__main__":
    main()
