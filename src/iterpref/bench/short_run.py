"""A training run from its start to its end, on one device and on several: the paper's recipe for a 1.5B model, on random weights.

    python -m iterpref.bench.short_run --tokenizer DIR --pairs-file FILE [--devices 1 2 8] [--strategies ddp fsdp2] [--out FILE]

`iterpref.train experiment=paper/qwen2.5-coder-1.5b`, one epoch of 128 pairs a step and a validation, each run in a folder of its own
that knows neither tokens nor reference log-probs nor compiled code from before: what a first run takes. `seconds`: by the clock,
`stages_s` of them, with `start` for what comes before the first stage; `steps_s`: of each step, what is new to it and to be compiled
or recorded included; `pairs_per_s`: of the steps of the epoch's second half. Side by side on a large machine: `CUDA_VISIBLE_DEVICES`.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts
from iterpref.bench.lengths import with_caches
from iterpref.bench.scaling import COMPILED, STRATEGIES, versions
from iterpref.bench.step_ours import SHAPES
from iterpref.cli import run_task
from iterpref.models.policy import load_tokenizer

_GLOBAL = 128
# `nearest`: shards have torch's AdamW. The trained weights are of no use, so that no checkpoint is written; the export is.
_RUN = [
    "experiment=paper/qwen2.5-coder-1.5b", "pairs=external", "trainer.epochs=1", "trainer.checkpoints=false", "optim.rounding=nearest",
    "logger=csv", f"data.global_batch={_GLOBAL}",
]  # fmt: skip


def weights(folder: Path, shape: str, tokenizer: Path) -> None:
    """A Hugging Face folder of the shape, at random."""
    SHAPES[shape].model("sdpa").save_pretrained(folder)
    torch.cuda.empty_cache()
    load_tokenizer(tokenizer).save_pretrained(folder)


def measure(folder: Path, devices: int, strategy: str, a: argparse.Namespace) -> dict[str, Any]:
    """One run in `folder`, with the weights beside it."""
    compiled, micro = COMPILED[strategy], min(a.pairs, _GLOBAL // devices)
    row: dict[str, Any] = {"devices": devices, "strategy": strategy, "compiled": compiled, "micro_batch": micro}
    command = [
        sys.executable, "-m", "iterpref.train", *_RUN, f"model.path={a.weights}", f"pairs.path={a.pairs_file.resolve()}",
        f"data.micro_batch={micro}", f"trainer.devices={devices}", f"trainer.strategy={strategy}", f"trainer.compile={compiled}",
        f"paths.data={folder / 'data'}", f"paths.run={folder / 'run'}", *a.overrides,
    ]  # fmt: skip
    begin = time.time()
    done = subprocess.run(command, env=with_caches(folder), capture_output=True, text=True, check=False)
    row |= {"seconds": time.time() - begin, "exit": done.returncode}
    if done.returncode:
        error = (done.stderr or done.stdout).strip().splitlines()[-3:]
        return row | {"error": error} | steps_of(folder / "run" / "metrics.csv")
    record = json.loads((folder / "run" / "run.json").read_text())
    started = datetime.fromisoformat(record["started"]).timestamp() - begin
    row |= {"stages_s": {"start": started, **record["stage_seconds"]}, "pairs": record["pairs"]}
    return row | steps_of(folder / "run" / "metrics.csv")


def steps_of(metrics: Path) -> dict[str, Any]:
    """Of a run's `metrics.csv`: seconds and losses of its whole steps, pairs a second, peak memory of the first rank."""
    try:
        with metrics.open(newline="") as handle:
            rows = [row for row in csv.DictReader(handle) if row.get("train/pairs_per_s")]
    except FileNotFoundError:
        return {}
    rows = rows[:-1]  # the last step of an epoch has fewer pairs
    if not rows:
        return {}
    seconds = [_GLOBAL / float(row["train/pairs_per_s"]) for row in rows]
    return {
        "steps_s": seconds,
        "losses": [float(row["train/loss"]) for row in rows],
        "pairs_per_s": _GLOBAL / statistics.mean(seconds[len(seconds) // 2 :]),
        "epoch_pairs_per_s": _GLOBAL / statistics.mean(seconds),
        "peak_gib": max(float(row["train/peak_gib"]) for row in rows),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a tokenizer")
    parser.add_argument(
        "--pairs-file", type=Path, required=True, help="prompt, chosen, rejected: `bench.code_pairs` writes one"
    )
    parser.add_argument("--shape", choices=SHAPES, default="1.5B")
    parser.add_argument("--devices", type=at_least(1), nargs="+", default=[1])
    parser.add_argument(
        "--strategies", nargs="+", choices=STRATEGIES, default=["ddp", "fsdp2"], help="of several devices"
    )
    parser.add_argument("--pairs", type=at_least(1), default=32, help="of a pass, on each device, at most")
    parser.add_argument("--weights", type=Path, help="a folder of weights, instead of random ones")
    parser.add_argument("--out", type=output_file, default=Path("short_run.json"))
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for each run")
    a = parser.parse_args(argv)
    if a.weights is None and not torch.cuda.is_available():
        parser.error("random weights are made on a GPU, and torch sees none here: give --weights DIR")
    report: dict[str, Any] = {"facts": {**machine_facts(), "versions": versions()}, "shape": a.shape, "rows": []}
    with tempfile.TemporaryDirectory() as place:
        if a.weights is None:
            a.weights = Path(place) / "weights"
            weights(a.weights, a.shape, a.tokenizer)
        for devices in a.devices:
            for strategy in a.strategies if devices > 1 else ("auto",):
                with tempfile.TemporaryDirectory(dir=place) as folder:
                    row = measure(Path(folder), devices, strategy, a)
                report["rows"].append(row)
                a.out.write_text(json.dumps(report, indent=1) + "\n")
                show(row)
    if any(row["exit"] for row in report["rows"]):
        raise SystemExit(1)


def show(row: dict[str, Any]) -> None:
    """One line."""
    line = f"{row['devices']} x {row['strategy']:12} {row['compiled']:7} exit {row['exit']}  {row['seconds']:6.1f} s"
    if "steps_s" in row:
        line += f"  {len(row['steps_s'])} steps, {row['pairs_per_s']:.1f} pairs/s (epoch {row['epoch_pairs_per_s']:.1f})  {row['peak_gib']:.1f} GiB"
    print(line + (f"  {row['stages_s']}" if "stages_s" in row else f"  {row['error']}"), flush=True)


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
