"""A whole study, or what of it fits into a slot of time, and its tables out of the stored records.

    python -m iterpref.study run   STUDY.yaml --out DIR [--file NAME=PATH ...] [--parallel N] [--minutes N] [--arms A,B] [--phase P,Q] [-- OVERRIDE ...]
    python -m iterpref.study table STUDY.yaml --out DIR [--records FILE.jsonl.xz]
    python -m iterpref.study pack  STUDY.yaml FILE.jsonl.xz --out DIR

`run` again goes on: jobs that have a record are not repeated, and one that was cut off continues. With `--minutes` no job
begins that would not end in time, by the longest of its kind so far. What stands behind `--` goes to every training run.
`table` writes the tables and figures of the records in DIR, or of those that `pack` put into one small file, failures included.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from iterpref.cli import run_task
from iterpref.errors import UserError, nearest, nearest_file
from iterpref.study.pack import stored_records, write_pack
from iterpref.study.plan import PHASES, Study
from iterpref.study.read import read_study


def main(argv: list[str] | None = None) -> None:
    """Ends with 2 after a mistake of the user's, and with 1 if a job failed."""
    run_task(partial(_act, list(sys.argv[1:] if argv is None else argv)), "--out DIR")


def _act(arguments: list[str]) -> None:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    a = _parser().parse_args(arguments[:at])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if a.call(a, tuple(arguments[at + 1 :])):
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iterpref.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)

    def action(
        name: str, call: Callable[[argparse.Namespace, tuple[str, ...]], bool], told: str
    ) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=told, description=told)
        sub.add_argument("study", type=Path, help="YAML file, such as configs/study/main.yaml")
        sub.set_defaults(call=call)
        return sub

    run = action("run", _run, "run the jobs that have no record")
    run.add_argument("--out", type=Path, required=True, help="folder of records")
    run.add_argument(
        "--file", action="append", default=[], metavar="NAME=PATH", help="what {NAME} stands for in the study"
    )
    run.add_argument("--minutes", type=float, help="begin nothing that would take longer than this in all")
    run.add_argument("--parallel", type=int, default=1, metavar="N", help="jobs side by side on this machine")
    run.add_argument("--arms", help="only these arms and variants, with commas between")
    run.add_argument("--phase", help=f"only these of {', '.join(PHASES)}, with commas between")
    table = action("table", _table, "write the tables and figures of the records")
    table.add_argument("--out", type=Path, required=True, help="folder of tables, and of the records without --records")
    table.add_argument("--records", type=Path, metavar="FILE", help="packed records")
    pack = action("pack", _pack, "put all records and failures into one file")
    pack.add_argument("file", type=Path, metavar="FILE.jsonl.xz")
    pack.add_argument("--out", type=Path, required=True, help="folder of records")
    return parser


def _run(a: argparse.Namespace, extra: tuple[str, ...]) -> bool:
    """Whether a job failed."""
    from iterpref.study.schedule import log, run

    study = read_study(a.study, _files(a.file), extra)
    for name in dict.fromkeys(line.partition("=")[0] for line in a.file):
        if name not in study.asked:
            raise UserError(
                f"--file {name}=PATH has no effect: {a.study} names no {{{name}}}{nearest(name, study.asked)}; it names "
                + (", ".join(sorted(study.asked)) or "no file")
            )
    if a.parallel < 1:
        raise UserError(f"--parallel {a.parallel}: at least one job at a time")
    if a.minutes is not None and not 0 < a.minutes < math.inf:
        raise UserError(
            f"--minutes {a.minutes:g}: expected a time above 0, in which jobs may begin; all begin without it"
        )
    for name, file in study.left_out.items():
        log.info("%s is left out: there is no --file %s=PATH", name, file)
    phases, names = _phases(a.phase, study), study.chosen(a.arms)
    return bool(run(study, a.out, a.minutes, names, phases, a.parallel))


def _phases(said: str | None, study: Study) -> tuple[str, ...]:
    phases = PHASES if said is None else tuple(said.split(","))
    if unknown := sorted(set(phases) - set(PHASES)):
        raise UserError(f"--phase {unknown[0]}: a study has {', '.join(PHASES)}{nearest(unknown[0], PHASES)}")
    if said is not None and "rates" in phases and not study.tune.also:
        raise UserError("--phase rates: the study names no evaluation for it: add tune.also to its YAML file")
    return phases


def _table(a: argparse.Namespace, extra: tuple[str, ...]) -> bool:
    from iterpref.study.tables import write_tables

    _no_overrides(a.action, extra)
    print(write_tables(read_study(a.study, None), a.out, a.records))
    return False


def _pack(a: argparse.Namespace, extra: tuple[str, ...]) -> bool:
    _no_overrides(a.action, extra)
    stored = stored_records(read_study(a.study, None), a.out)
    write_pack(stored, a.file)
    print(
        f"{len(stored.records)} records and {len(stored.failures)} failures in {a.file}, {a.file.stat().st_size / 1000:.0f} kB"
    )
    return False


def _no_overrides(action: str, extra: tuple[str, ...]) -> None:
    if extra:
        raise UserError(
            f"-- {' '.join(extra)}: overrides are for run's trainings, and {action} trains nothing: leave them out"
        )


def _files(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, equals, path = line.partition("=")
        if not equals or not name or not path:
            raise UserError(f"--file {line}: expected NAME=PATH, such as --file mbpp=mbpp.jsonl")
        if not Path(path).exists():
            raise UserError(f"--file {line}: {path} is not there{nearest_file(Path(path))}")
        if name in found:
            raise UserError(f"--file {line}: {name} is {found[name]} already: give one path")
        found[name] = str(Path(path).absolute())
    return found


if __name__ == "__main__":
    main()
