"""Does a run that is killed ten times, and goes on each time, end as one that nobody disturbed?

    python -m iterpref.bench.kills [--kills 10] [--seed 0] [--out FILE] [OVERRIDE ...]

`iterpref.train` on the tiny model, 60 steps with a checkpoint each six, once as it is, and once killed with signal 9, all its
processes at once, at random moments: a random step, and up to a second later. Compared are the logged losses, norms and learning
rates, digit by digit, and the exported weights, byte by byte. OVERRIDE goes to both runs, `trainer.devices=2 trainer.strategy=ddp`
say; with such, sums over ranks may be in another order, and the largest difference counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts
from iterpref.cli import run_task
from iterpref.errors import UserError

_STEPS = 60
_RUN = [
    "experiment=smoke", "problems.limit=24", "data.global_batch=4", "data.micro_batch=2", "data.max_train_pairs=22", "model.hidden=32",
    "trainer.epochs=10", "trainer.validations_per_epoch=1", "data.max_validation_pairs=4", "logger=csv",
]  # fmt: skip
_COLUMNS = ("step", "train/loss", "train/grad_norm", "train/lr")


def begin(folder: Path, run: str, overrides: list[str]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "iterpref.train",
        *_RUN,
        f"paths.data={folder / 'data'}",
        f"paths.run={folder / run}",
        *overrides,
    ]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        command, cwd=folder, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet
    )


def curve(run: Path) -> list[tuple[str, ...]]:
    """The lines of training so far, as written."""
    try:
        with (run / "metrics.csv").open(newline="") as handle:
            return [tuple(row[c] for c in _COLUMNS) for row in csv.DictReader(handle) if row.get("train/lr")]
    except FileNotFoundError:
        return []


def kill_at(process: subprocess.Popen[bytes], run: Path, step: int, wait_s: float) -> dict[str, Any]:
    """Kills all processes of the run `wait_s` after it has logged the step."""
    while process.poll() is None and not any(int(line[0]) >= step for line in curve(run)):
        time.sleep(0.02)
    time.sleep(wait_s)
    if process.poll() is not None:
        return {"step": step, "ended": process.returncode}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    files = sorted(path.name for path in (run / "checkpoints").glob("*"))
    return {"step": step, "logged": len(curve(run)), "checkpoints": files}


def compare(plain: Path, killed: Path) -> dict[str, Any]:
    first, second = curve(plain), curve(killed)
    pairs = [
        (float(a), float(b)) for one, other in zip(first, second, strict=False) for a, b in zip(one, other, strict=True)
    ]
    weights = [(run / "export" / "model.safetensors").read_bytes() for run in (plain, killed)]
    return {
        "steps": [len(first), len(second)],
        "curves_equal": first == second,
        "largest_relative": max((abs(a - b) / abs(a) for a, b in pairs if a), default=0.0),
        "weights_equal": weights[0] == weights[1],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=at_least(1), default=10, help=f"each at a step of its own, of {_STEPS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=output_file, default=Path("kills.json"))
    parser.add_argument("overrides", nargs="*")
    a = parser.parse_args(argv)
    if a.kills >= _STEPS:
        parser.error(f"--kills: expected fewer than the run's {_STEPS} steps, got {a.kills}")
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        codes = [begin(folder, "plain", a.overrides).wait()]
        if codes[0]:
            raise UserError(
                f"the run that nobody disturbs ended with {codes[0]}: python -m iterpref.train {' '.join([*_RUN, *a.overrides])} says why"
            )
        kills = []
        for step in sorted(rng.sample(range(_STEPS - 1), a.kills)):
            kills.append(kill_at(begin(folder, "killed", a.overrides), folder / "killed", step, rng.random()))
            print(json.dumps(kills[-1]), flush=True)
        codes.append(begin(folder, "killed", a.overrides).wait())
        found = compare(folder / "plain", folder / "killed")
    report = {"facts": machine_facts(), "overrides": a.overrides, "exit_codes": codes, "kills": kills, **found}
    print(json.dumps({k: report[k] for k in ("exit_codes", *found)}))
    a.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
