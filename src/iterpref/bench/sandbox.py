"""How many programs a second does the sandbox run, and is anything left of them?

    python -m iterpref.bench.sandbox [--tier auto] [--seconds 10] [--workers 1 2] [--soak N] [--json FILE]

Four kinds of task, each with one and with two workers, every worker a thread that asks for one run after the other:

    unittest, our bank         the references of our bank on their suites, standard library only
    20 function cases          20 calls of one function, judged outside
    numpy preloaded            one call; numpy is imported before the run starts
    numpy, pandas preloaded    likewise

Beside them, in the same rounds, what this machine takes for a bare `python -I -S -c pass`: where that is slow, so is all.

Everything takes turns in ROUNDS rounds, for the speed of a machine drifts. A rate is the median over the rounds, with the
slowest and the fastest; latency (of one call of `run`, as its caller sees it) is over all runs. CPU ms: what a run costs
in processes of ours (this one, supervisor, zygote), and in the test process, our part of it included. Output: how much
longer a program takes that prints 1 MiB than one that does the same and prints nothing, in pairs.

`--soak N` then runs N programs in a row, good and bad; exit status 1 if a process, a descriptor, a file or memory was
left, or if a program got a verdict that it must not get.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts
from iterpref.bench.rates import ROUNDS, Output, Rate, measure
from iterpref.bench.soak import Soak, soak
from iterpref.cli import run_task
from iterpref.codeflow.sandbox import tiers

WIDTH = 130  # of the tables in a file
TIERS = ("auto", "namespaces", "landlock", "plain", "bwrap")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.bench.sandbox", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--tier", choices=TIERS, default="auto", help="walls (default auto: the strongest that works)")
    parser.add_argument(
        "--seconds", type=at_least(0.0), default=10.0, help="for each figure, over all rounds; 0: none (default 10)"
    )
    parser.add_argument("--workers", type=at_least(1), nargs="+", default=[1, 2], help="runs at once (default 1 2)")
    parser.add_argument(
        "--soak", type=at_least(0), default=0, metavar="N", help="then run N programs in a row, and look what is left"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    raise SystemExit(int(run(options.tier, options.seconds, tuple(options.workers), options.soak, options.json)))


def run(tier: str, seconds: float, workers: tuple[int, ...], n_soak: int, out: Path | None) -> bool:
    """Measures, prints, writes `out`; True if the soak found anything left. Raises `UserError`."""
    tier = tiers.choose(tier, allow_unsafe=tier == "plain")
    record: dict[str, Any] = {"machine": machine_facts(), "tier": tier, "rounds": ROUNDS, "seconds": seconds}
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if seconds:
        rates, output = measure(tier, seconds, workers)
        show_rates(console, record, rates, output)
        record |= {"rates": [rate.to_dict() for rate in rates], "output_1_mib": output.to_dict()}
    result = soak(tier, max(workers), n_soak) if n_soak else None
    if result is not None:
        show_soak(console, result)
        record["soak"] = result.to_dict()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")
    return result is not None and bool(result.left)


def show_rates(console: Console, record: dict[str, Any], rates: list[Rate], output: Output) -> None:
    machine = record["machine"]
    console.print(
        f"tier {record['tier']}; {machine['cores']} cores, {machine['cpu']}, Python {machine['python']}, "
        f"{machine['kernel']}, load {machine['load']}, {machine['date']}; {ROUNDS} rounds",
        highlight=False,
    )
    table = Table()
    table.add_column("task", no_wrap=True)
    table.add_column("workers")
    for heading in ("runs/s", "slowest - fastest", "x python", "p50 ms", "p99 ms", "our CPU ms", "its CPU ms"):
        table.add_column(heading, justify="right")
    bare = {rate.workers: rate.per_s for rate in rates if rate.bare}
    for rate in rates:
        if rate.lacks:
            table.add_row(f"{rate.task}: no {rate.lacks} here", str(rate.workers), "-")
            continue
        table.add_row(
            rate.task,
            str(rate.workers),
            f"{rate.per_s:.1f}",
            f"{rate.slowest_per_s:.1f} - {rate.fastest_per_s:.1f}",
            f"{rate.per_s / bare[rate.workers]:.2f}",
            f"{rate.p50_ms:.2f}",
            f"{rate.p99_ms:.2f}",
            _figure(rate.our_cpu_ms),
            _figure(rate.test_cpu_ms),
            end_section=rate.bare,
        )
    console.print(table)
    console.print(
        f"1 MiB of output: {output.loud_ms:.2f} ms against {output.quiet_ms:.2f} ms; it costs {output.extra_ms:.2f} ms "
        f"(middle half of {output.pairs} pairs: {output.low_ms:.2f} to {output.high_ms:.2f})"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def show_soak(console: Console, result: Soak) -> None:
    table = Table(
        title=f"{result.runs:,} runs: {', '.join(f'{n} {name}' for name, n in sorted(result.verdicts.items()))}"
    )
    table.add_column("what")
    for heading in ("before", "after"):
        table.add_column(heading, justify="right")
    for name, before in vars(result.before).items():
        table.add_row(name, str(before), str(vars(result.after)[name]))
    table.add_row("memory, MiB", _figure(result.warm_rss_mb), _figure(result.end_rss_mb))
    console.print(table)
    for sentence in result.left or ("Nothing was left, and every program got the verdict that it must.",):
        console.print(sentence, style="red" if result.left else "green", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
