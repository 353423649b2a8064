"""Do our verdicts agree with published ones?

    python -m iterpref.bench.verdicts --tasks MbppPlus-v0.1.0.jsonl.gz --results eval_results.json.gz [...] [--busy] [--json FILE]

Runs every solution in files of EvalPlus's results again, on the base and the plus inputs, and compares both verdicts. A
difference counts unless `EXPLAINED` has its reason. `--busy` keeps every core busy by other processes meanwhile. Exit
status 1 for a difference without a reason.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from iterpref.bench.facts import machine_facts
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.errors import UserError
from iterpref.eval.evalplus import PARTS, Reference, Task, passed, read_tasks, references, request
from iterpref.progress import track

# (file name, task) -> why our verdict differs. Each was looked at.
_SLOW = "their limit is for each input: 1 s, or four times the reference; ours is for all inputs of a part together"
_ORDER = "the program and the reference make a sequence of a set of strings: equal only under one hash seed, which is fixed here"
_MODELS = {size: f"qwen2.5-coder-{size}-base.mbpp.eval_results.json.gz" for size in ("1.5b", "7b")}
EXPLAINED: dict[tuple[str, str], str] = {
    (_MODELS["1.5b"], "Mbpp/123"): _SLOW,  # looks for divisors by trying every number, up to 9,999
    (_MODELS["1.5b"], "Mbpp/579"): _ORDER,  # the failing input is the one of strings
    (_MODELS["7b"], "Mbpp/579"): _ORDER,  # likewise
    (_MODELS["7b"], "Mbpp/249"): _ORDER,  # strings and None
    (_MODELS["7b"], "Mbpp/160"): _SLOW,  # tries 4,000 times 4,000 pairs
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.bench.verdicts", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--tasks", type=Path, required=True, help="EvalPlus's tasks, JSONL")
    parser.add_argument(
        "--results", type=Path, nargs="+", action="extend", required=True, help="EvalPlus's results, JSON"
    )
    parser.add_argument("--rules", default="0.2", help="EvalPlus's version that judged them (default 0.2)")
    parser.add_argument("--workers", type=int, default=None, help="runs at once (default: one a core)")
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    try:
        unexplained = run(options.tasks, options.results, options.rules, options.workers, options.busy, options.json)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
    sys.exit(1 if unexplained else 0)


def run(tasks: Path, results: list[Path], rules: str, workers: int | None, busy: bool, out: Path | None) -> int:
    """Prints the agreement for each file, and every difference; returns how many have no reason."""
    known = read_tasks(tasks)
    sandbox = PooledSandbox(workers)
    files: list[dict[str, Any]] = []
    try:
        with busy_cores(usable_cores() if busy else 0):
            expected = references(known.values(), sandbox)
            files += [_compare(path, known, expected, rules, sandbox) for path in results]
    finally:
        sandbox.close()
    _show(files, sandbox.tier, busy)
    if out is not None:
        facts = {**machine_facts(), "tier": sandbox.tier, "busy": busy}
        out.write_text(json.dumps({"machine": facts, "files": files}, indent=2) + "\n")
    return sum(not row["reason"] for file in files for row in file["differences"])


def _compare(
    path: Path, tasks: dict[str, Task], expected: dict[tuple[str, str], Reference], rules: str, sandbox: PooledSandbox
) -> dict[str, Any]:
    published = _published(path, tasks)
    requests = [
        request(tasks[task], part, row["solution"], expected[task, part], rules)
        for task, row in published
        for part in PARTS
    ]
    started = time.monotonic()
    ran = list(track(sandbox.run_many(requests), len(requests), path.name))
    differences = []
    agree = dict.fromkeys(PARTS, 0)
    for i, (task, row) in enumerate(published):
        base, plus = ran[2 * i : 2 * i + 2]
        ours = passed(base, plus)
        theirs = row["base_status"] == "pass", row["base_status"] == row["plus_status"] == "pass"
        for part, left, right in zip(PARTS, ours, theirs, strict=True):
            agree[part] += left == right
        if ours != theirs:
            differences.append({
                "task": task, "published": [row["base_status"], row["plus_status"]],
                "ours": [f"{result.verdict} {result.detail}".strip() for result in (base, plus)],
                "reason": EXPLAINED.get((path.name, task), ""),
            })  # fmt: skip
    seconds = time.monotonic() - started
    return {
        "file": path.name,
        "solutions": len(published),
        "agree": agree,
        "seconds": seconds,
        "differences": differences,
    }


def _published(path: Path, tasks: dict[str, Task]) -> list[tuple[str, dict[str, Any]]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            rows = [(task, row) for task, found in json.load(file)["eval"].items() for row in found]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: expected a results file of EvalPlus that can be read ({error!r})") from error
    unknown = [task for task, _ in rows if task not in tasks]
    if unknown:
        raise UserError(
            f"{path}: {unknown[0]} is not among the {len(tasks)} tasks; give the file of tasks that it is of"
        )
    return rows


@contextmanager
def busy_cores(n: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _show(files: list[dict[str, Any]], tier: str, busy: bool) -> None:
    console = Console()
    table = Table(title=f"agreement with published verdicts, tier {tier}{', all cores busy' if busy else ''}")
    for name in ("file", "solutions", *PARTS, "differences", "without a reason", "seconds"):
        table.add_column(name)
    for file in files:
        rows = file["differences"]
        counts = (len(rows), sum(not row["reason"] for row in rows), f"{file['seconds']:.0f}")
        table.add_row(file["file"], *map(str, (file["solutions"], *(file["agree"][part] for part in PARTS), *counts)))
    console.print(table)
    for file in files:
        for row in file["differences"]:
            console.print(f"{file['file']} {row['task']}: published {row['published']}, ours {row['ours']}: {row['reason'] or 'NO REASON'}",
                          markup=False)  # fmt: skip


if __name__ == "__main__":
    main()
