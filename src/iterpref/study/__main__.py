"""A whole study, or what of it fits into a slot of time, and its tables out of the stored records.

    python -m iterpref.study run   STUDY.yaml --out DIR [--file NAME=PATH ...] [--parallel N] [--minutes N] [--arms A,B] [--phase P,Q] [-- OVERRIDE ...]
    python -m iterpref.study table STUDY.yaml --out DIR

The same command again goes on: jobs that have a record are not repeated, and one that was cut off continues. With
`--minutes` no job begins that would not end in time, by the longest of its kind so far. What stands behind `--` goes to
every training run.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.run_record import now
from iterpref.study.check import check_commands
from iterpref.study.choose import tuned
from iterpref.study.jobs import failures_file, is_done, records
from iterpref.study.plan import PHASES, Job, Study, read_study
from iterpref.study.workers import Ended, Here, Workers

log = logging.getLogger("iterpref.study")


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
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="jobs side by side on this machine")
    parser.add_argument("--arms", default=None, help="only these arms and variants, with commas between")
    parser.add_argument("--phase", default=None, help=f"only these of {', '.join(PHASES)}, with commas between")
    a = parser.parse_args(arguments[:at])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if a.action == "table":
            from iterpref.study.tables import write_tables

            print(write_tables(read_study(a.study, None), a.out))
            return
        study = read_study(a.study, _files(a.file), tuple(arguments[at + 1 :]))
        if a.parallel < 1:
            raise UserError(f"--parallel {a.parallel}: at least one job at a time")
        for name, file in study.left_out.items():
            log.info("%s is left out: there is no --file %s=PATH", name, file)
        phases = PHASES if a.phase is None else tuple(a.phase.split(","))
        if unknown := sorted(set(phases) - set(PHASES)):
            raise UserError(f"--phase {unknown[0]}: a study has {', '.join(PHASES)}")
        a.out.mkdir(parents=True, exist_ok=True)
        failed = run(study, a.out, a.minutes, study.chosen(a.arms), phases, a.parallel)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if failed:
        raise SystemExit(1)


def run(
    study: Study, out: Path, minutes: float | None, names: tuple[str, ...], phases: tuple[str, ...], parallel: int = 1
) -> list[str]:
    """Runs what has no record yet; returns the names of jobs that failed, whose folders stay and which stop no other."""
    begin, failed, told = time.monotonic(), list[str](), False
    began: dict[str, float] = {}
    longest = dict.fromkeys(PHASES, 0.0)
    for record in records(out):
        longest[record["phase"]] = max(longest[record["phase"]], sum(record["seconds"].values()))
    workers = Workers(out, parallel) if parallel > 1 else Here(out)
    # What has a record ran; a slot of time is not spent on composing it again.
    ran, some_rate = {record["arm"] for record in records(out)}, dict.fromkeys(study.arms, study.tune.lrs[0])
    check_commands(job for job in study.jobs(names, phases, some_rate) if job.arm not in ran)
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
    if "main" in phases and (untuned := sorted(set(names) & set(study.arms) - set(_tuned(study, out)))):
        log.info("not tuned at every rate yet, so not trained: %s", ", ".join(untuned))
    return failed


def _tuned(study: Study, out: Path) -> dict[str, float]:
    return {arm: found["lr"] for arm, found in tuned(records(out), study.tune.by, study.tune.lrs).items()}


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
