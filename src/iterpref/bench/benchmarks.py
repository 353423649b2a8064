"""Do references pass, do stubs fail, and do published verdicts come out again?

    python -m iterpref.bench.benchmarks mbpp --path mbpp.jsonl [--split all] [--results eval_results.json.gz ...] [--busy] [--json FILE]

Runs each task's reference solution and a stub that returns None; with `--results` also every solution of EvalPlus's or
BigCodeBench's results. Each exception is named, with its reason out of `EXPECTED`. Exit status 1 for one without a reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from iterpref.bench.arguments import at_least, benchmark_options, output_file
from iterpref.bench.expected import EXPECTED
from iterpref.bench.facts import machine_facts
from iterpref.cli import run_task
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Sandbox
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.errors import UserError
from iterpref.eval.packages import environment
from iterpref.eval.references import judged_references
from iterpref.eval.samples import Sample, read_samples
from iterpref.eval.scoring import Judged, judge_samples
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.task import Benchmark
from iterpref.registry import BENCHMARKS


@dataclass
class Outcome:
    """One question to a benchmark: how many answered as they should, and which did not."""

    question: str
    asked: int
    not_run: int
    seconds: float
    odd: list[dict[str, str]] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.bench.benchmarks", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("name", choices=[name for name in BENCHMARKS if name != "none"])
    parser.add_argument("--path", help="file of its tasks")
    parser.add_argument("--split", help="of mbpp and bank")
    parser.add_argument("--limit", type=at_least(1), help="only the first tasks")
    parser.add_argument("--results", type=Path, nargs="+", action="extend", default=[], help="published results")
    parser.add_argument("--rules", help="EvalPlus's version that judged them")
    parser.add_argument("--only-results", action="store_true", help="leave references and stubs out")
    parser.add_argument("--workers", type=at_least(1), help="runs at once (default: one a core)")
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    parser.add_argument("--keep", type=Path, help="folder of verdicts, so that a second run goes on")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    sys.exit(1 if run(options) else 0)


def run(options: argparse.Namespace) -> int:
    """Prints what came out; returns how many exceptions have no reason."""
    config = benchmark_options(
        name=options.name, path=options.path, split=options.split, limit=options.limit, rules=options.rules
    )
    benchmark = load_benchmark(config)
    sandbox = PooledSandbox(options.workers)
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch, busy_cores(usable_cores() if options.busy else 0):
        keep = options.keep or Path(scratch)
        try:
            if not options.only_results:
                outcomes += [references(benchmark, sandbox, keep), stubs(benchmark, sandbox, keep)]
            for path in options.results:
                outcomes += published(benchmark, path, sandbox, keep)
        finally:
            sandbox.close()
    for outcome in outcomes:
        for row in outcome.odd:
            row["reason"] = EXPECTED.get((benchmark.name, outcome.question.partition(",")[0], row["task"]), "")
    _show(benchmark, outcomes)
    if options.json is not None:
        facts = {**machine_facts(), "tier": sandbox.tier, "busy": options.busy}
        figures = {
            "machine": facts,
            "benchmark": benchmark.settings(),
            "environment": environment(benchmark.packages),
            "outcomes": [vars(outcome) for outcome in outcomes],
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return sum(not row["reason"] for outcome in outcomes for row in outcome.odd)


def references(benchmark: Benchmark[Any], sandbox: Sandbox, keep: Path) -> Outcome:
    started = time.monotonic()
    tasks = [task for task in benchmark.tasks.values() if task.reference]
    judged = judged_references(benchmark, tasks, sandbox, keep)
    return _outcome("references pass", judged, [True] * len(tasks), started)


def stubs(benchmark: Benchmark[Any], sandbox: Sandbox, keep: Path) -> Outcome:
    started = time.monotonic()
    samples = [Sample(task.task_id, benchmark.stub(task)) for task in benchmark.tasks.values()]
    judged = judge_samples(benchmark, samples, sandbox, keep / benchmark.name, keep, only_fit=False)
    return _outcome("stubs fail", judged, [False] * len(samples), started)


def published(benchmark: Benchmark[Any], path: Path, sandbox: Sandbox, keep: Path) -> list[Outcome]:
    """Every solution of a file of results, by part."""
    samples = read_samples(path, benchmark, partial=True)
    if bare := next((s for s in samples if not s.published), None):
        raise UserError(
            f"{bare.where}: expected a sample with its verdict, as EvalPlus's and BigCodeBench's results have it"
        )
    started = time.monotonic()
    judged = judge_samples(benchmark, samples, sandbox, keep / benchmark.name, keep)
    return [
        _outcome(
            f"published verdicts, {path.name}, {part}", judged, [s.published[part] for s in samples], started, number
        )
        for number, part in enumerate(benchmark.parts)
    ]


def _outcome(
    question: str, judged: Sequence[Judged], wanted: Sequence[bool], started: float, part: int = -1
) -> Outcome:
    """Of one part; -1: the last."""
    ran = [(row, want) for row, want in zip(judged, wanted, strict=True) if row.ran]
    odd = [_told(row, want) for row, want in ran if row.passed(part) != want]
    return Outcome(question, len(judged), len(judged) - len(ran), time.monotonic() - started, odd)


def _told(row: Judged, want: bool) -> dict[str, str]:
    ours = " then ".join(f"{part.verdict} {part.detail}".strip() for part in row.parts)
    return {"task": row.task_id, "wanted": "pass" if want else "fail", "ours": f"{ours} {list(row.parts[-1].errors)}"}


@contextmanager
def busy_cores(n: int) -> Iterator[None]:
    """So many processes that never wait."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _show(benchmark: Benchmark[Any], outcomes: Sequence[Outcome]) -> None:
    console = Console()
    origin = benchmark.origin
    console.print(f"{benchmark.name}: {len(benchmark.tasks)} tasks, {origin.version}, sha256 {origin.sha256[:12]}; parts {', '.join(benchmark.parts)}")  # fmt: skip
    for outcome in outcomes:
        ran = outcome.asked - outcome.not_run
        unexplained = sum(not row["reason"] for row in outcome.odd)
        console.print(
            f"{outcome.question}: {ran - len(outcome.odd)} of {ran} as wanted, {outcome.not_run} not run, "
            f"{len(outcome.odd)} odd ({unexplained} without a reason), {outcome.seconds:.0f} s"
        )
        for row in outcome.odd:
            console.print(f"  {row['task']}: wanted {row['wanted']}, got {row['ours']}: {row['reason'] or 'NO REASON'}", markup=False)  # fmt: skip


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
