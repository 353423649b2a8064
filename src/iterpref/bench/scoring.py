"""How fast are samples scored, and does a busy machine change a verdict?

    python -m iterpref.bench.scoring rate --path mbpp.jsonl [--n 10000] [--workers N] [--json FILE]
    python -m iterpref.bench.scoring steady BENCHMARK --path FILE --samples FILE [--split all] [--limit N] [--busy N] [--keep DIR] [--json FILE]

`rate` scores N programs of MBPP, references and stubs in turn, each of them different, as `evaluate samples=` does; beside it
stand what the sandbox launches of a program that does nothing, and a bare `python -I -S -c pass`, before and after.

`steady` scores somebody's samples twice: as the machine is, and beside `--busy` processes that never wait (two a core).
Exit status 1 for a verdict that differs. Expected values are kept in `--keep`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from iterpref.bench.arguments import at_least, benchmark_options, output_file
from iterpref.bench.benchmarks import busy_cores
from iterpref.bench.facts import machine_facts
from iterpref.bench.rates import BARE, Contender, bare_python, calls
from iterpref.bench.workloads import function
from iterpref.cli import run_task
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.eval.samples import Sample, read_samples
from iterpref.eval.scores import summarise
from iterpref.eval.scoring import Judged, judge_samples
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.task import Benchmark
from iterpref.registry import BENCHMARKS

LAUNCH_S = 4.0  # of each launch rate, before and after
NOTHING = "def f(n):\n    return 45\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.bench.scoring", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("rate", help="samples a second")
    one.add_argument("--n", type=at_least(1), default=10_000, help="samples (default 10000)")
    two = commands.add_parser("steady", help="verdicts on a busy machine")
    two.add_argument("name", choices=[name for name in BENCHMARKS if name != "none"])
    two.add_argument("--samples", type=Path, required=True, help="file of samples")
    two.add_argument("--split", help="of mbpp")
    two.add_argument("--limit", type=at_least(1), help="only the first tasks")
    two.add_argument(
        "--busy", type=at_least(0), default=2 * usable_cores(), help="busy processes (default: two a core)"
    )
    two.add_argument("--keep", type=Path, help="folder of expected values")
    for command, run in ((one, rate), (two, steady)):
        command.add_argument("--path", required=True, help="file of the benchmark's tasks")
        command.add_argument("--workers", type=at_least(1), help="runs at once (default: one a core)")
        command.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    figures = options.run(options)
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine_facts(), **figures}, indent=2) + "\n")
    sys.exit(1 if figures.get("differ") else 0)


def rate(options: argparse.Namespace) -> dict[str, Any]:
    benchmark = load_benchmark(benchmark_options(name="mbpp", path=options.path, split="all"))
    samples = _programs(benchmark, options.n)
    sandbox = PooledSandbox(options.workers)
    bare = Contender(BARE, sandbox.workers, bare_python, bare=True)
    launch = Contender("launch", sandbox.workers, calls(sandbox, (function(NOTHING),)), bare=False)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for contender in (bare, launch):
                contender.round(LAUNCH_S)
            seconds, judged = _timed(benchmark, samples, sandbox, Path(scratch))
            for contender in (launch, bare):
                contender.round(LAUNCH_S)
        finally:
            sandbox.close()
    wrong = sum(row.passed(0) == bool(i % 2) for i, row in enumerate(judged))
    figures = {
        "samples": len(samples), "workers": sandbox.workers, "tier": sandbox.tier, "seconds": round(seconds, 2),
        "samples_per_s": round(len(samples) / seconds, 1), "launches_per_s": round(launch.rate(False).per_s, 1),
        "bare_python_per_s": round(bare.rate(False).per_s, 1), "wrong_verdicts": wrong, "differ": wrong,
    }  # fmt: skip
    Console().print(
        f"{len(samples)} samples in {seconds:.1f} s with {sandbox.workers} workers: {figures['samples_per_s']} a second, "
        f"beside {figures['launches_per_s']} launches of a program that does nothing and {figures['bare_python_per_s']} of "
        f"{BARE}; {wrong} wrong verdicts"
    )
    return figures


def _programs(benchmark: Benchmark[Any], n: int) -> list[Sample]:
    """References and stubs in turn, task after task; each ends in a line of its own, as equal programs are run once."""
    tasks = list(benchmark.tasks.values())
    pairs = ((tasks[i // 2 % len(tasks)], i) for i in range(n))
    return [Sample(task.task_id, f"{benchmark.stub(task) if i % 2 else task.reference}\n# {i}\n") for task, i in pairs]


def _timed(
    benchmark: Benchmark[Any], samples: Sequence[Sample], sandbox: PooledSandbox, folder: Path
) -> tuple[float, list[Judged]]:
    started = time.perf_counter()
    judged = judge_samples(benchmark, samples, sandbox, folder, folder)
    summarise(benchmark, samples, judged)
    return time.perf_counter() - started, judged


def steady(options: argparse.Namespace) -> dict[str, Any]:
    benchmark = load_benchmark(benchmark_options(name=options.name, path=options.path, split=options.split))
    chosen = set(list(benchmark.tasks)[: options.limit])
    samples = [s for s in read_samples(options.samples, benchmark, partial=True) if s.task_id in chosen]
    sandbox = PooledSandbox(options.workers)
    seconds, verdicts = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.keep or Path(scratch)
        try:
            benchmark.get_ready([benchmark.tasks[s.task_id] for s in samples], sandbox, cache)
            for label, busy in (("quiet", 0), ("busy", options.busy)):
                with busy_cores(busy):
                    started = time.perf_counter()
                    judged = judge_samples(benchmark, samples, sandbox, Path(scratch) / label, cache)
                    seconds[label] = round(time.perf_counter() - started, 1)
                verdicts[label] = [tuple((part.verdict, part.errors) for part in row.parts) for row in judged]
        finally:
            sandbox.close()
    pairs = zip(samples, verdicts["quiet"], verdicts["busy"], strict=True)
    differ = [{"task": s.task_id, "quiet": str(a), "busy": str(b)} for s, a, b in pairs if a != b]
    found = Counter(parts[-1][0] for parts in verdicts["quiet"])
    Console().print(
        f"{len(samples)} samples ({', '.join(f'{n} {name}' for name, n in found.most_common())}): {len(differ)} verdicts differ "
        f"beside {options.busy} busy processes on {usable_cores()} cores; {seconds['quiet']} s and {seconds['busy']} s"
    )
    for row in differ:
        Console().print(f"  {row['task']}: {row['quiet']}, busy {row['busy']}", markup=False)
    return {
        "samples": len(samples),
        "busy": options.busy,
        "seconds": seconds,
        "verdicts": dict(found),
        "differ": differ,
    }


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
