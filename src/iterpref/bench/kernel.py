"""How fast are the log-ratio from logits and the fused head, against their peers and against what the card can do?

    python -m iterpref.bench.kernel [--out FILE.json] [--rounds N] [--level logits|hidden]

Writes every figure to FILE.json and a picture of the fused head to FILE.png. Two levels, `kernel_logits.py` and
`kernel_hidden.py`, say what is measured and what its floor is; `kernel_peers.py` says what the peers are. For each shape
and density of loss rows the contenders take turns, on the same data; medians over many rounds. The floors come from a
copy and from a matrix product, both measured in the same run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from iterpref.bench import kernel_hidden, kernel_logits
from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import package_version
from iterpref.bench.kernel_hidden import HiddenResult, measure_hidden
from iterpref.bench.kernel_logits import LogitsResult, measure_logits
from iterpref.bench.timing import copy_bandwidth, product_rate
from iterpref.cli import run_task
from iterpref.errors import UserError

LEVELS = ("logits", "hidden")
_PACKAGES = ("torch", "triton", "liger-kernel", "cut-cross-entropy", "trl")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m iterpref.bench.kernel", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--out", type=output_file, help="write the figures to this JSON file, the picture to a PNG beside it"
    )
    parser.add_argument("--rounds", type=at_least(1), default=50, help="timed rounds of each contender (default 50)")
    parser.add_argument("--level", choices=LEVELS, help="only this level")
    options = parser.parse_args(arguments)
    run(options.out, options.rounds, (options.level,) if options.level else LEVELS)


def run(out: Path | None, rounds: int, levels: tuple[str, ...] = LEVELS) -> dict[str, Any]:
    """Measures every shape and density, prints tables, writes `out`. Raises `UserError` without a GPU."""
    if not torch.cuda.is_available():
        raise UserError("the kernel benchmark needs a CUDA GPU, and torch sees none here: run it on a machine with one")
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: expected at least 1")
    bandwidth, rate = copy_bandwidth(rounds), product_rate(rounds)
    record: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: package_version(name) for name in _PACKAGES},
        "dtype": str(kernel_logits.DTYPE),
        "rounds": rounds,
        "copy_bandwidth_bytes_per_s": bandwidth,
        "product_flops_per_s": rate,
        "logits": [],
        "hidden": [],
        "absent": {},
    }
    title = (
        f"{record['device']}, copy {bandwidth / 1e9:,.0f} GB/s, product {rate / 1e12:,.0f} TFLOP/s, median of {rounds}"
    )
    if "logits" in levels:
        for logits_shape in kernel_logits.SHAPES:
            for density in kernel_logits.DENSITIES:
                rows = measure_logits(*logits_shape, density, bandwidth, rounds)
                record["logits"] += [asdict(r) for r in rows]
                _show(f"from logits; {title}", _logits_table(rows))
                _write(out, record)
    if "hidden" in levels:
        for shape in kernel_hidden.SHAPES:
            for density in kernel_hidden.DENSITIES:
                results, absent = measure_hidden(*shape, density, bandwidth, rate, rounds)
                record["hidden"] += [asdict(r) for r in results]
                record["absent"] |= absent
                _show(f"from hidden states; {title}", _hidden_table(results))
                _write(out, record)
        for name, reason in record["absent"].items():
            Console().print(f"{name} is missing: {reason}", markup=False)
    if out is not None and record["hidden"]:
        from iterpref.bench.kernel_plot import draw

        draw(record, out.with_suffix(".png"))
    return record


def _write(out: Path | None, record: dict[str, Any]) -> None:
    """After every shape, so that a run cut short has left what it measured."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")


def _logits_table(results: list[LogitsResult]) -> list[dict[str, str]]:
    return [
        {
            "R x V": f"{r.rows} x {r.vocabulary:,}",
            "density": f"{r.density:g}",
            "contender": r.contender,
            "forward ms": f"{r.forward_ms:.3f}",
            "floor": f"{r.forward_floor_ms:.3f}",
            "with backward ms": f"{r.both_ms:.3f}",
            "floor ": f"{r.both_floor_ms:.3f}",
            "extra GiB": f"{r.extra_gib:.3f}",
            "max error": f"{r.max_error:.1e}",
        }
        for r in results
    ]


def _hidden_table(results: list[HiddenResult]) -> list[dict[str, str]]:
    return [
        {
            "T x H": f"{r.positions} x {r.hidden}",
            "density": f"{r.density:g}",
            "contender": r.contender,
            "both ms": f"{r.both_ms:.2f}",
            "floor": f"{r.floor_ms:.2f}",
            "extra GiB": f"{r.extra_gib:.2f}",
            "logp error": f"{r.logp_error:.1e}",
            "d hidden": f"{r.hidden_gradient_error:.1e}",
            "d weight": "-" if r.weight_gradient_error is None else f"{r.weight_gradient_error:.1e}",
        }
        for r in results
    ]


def _show(title: str, rows: list[dict[str, str]]) -> None:
    table = Table(title=title)
    for heading in rows[0]:
        table.add_column(heading.strip())
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
