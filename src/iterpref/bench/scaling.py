"""Several devices against one: the same gradients, how much faster, how much memory; and a 7B model on one device, beside TRL's trainer.

    python -m iterpref.bench.scaling equality [--devices 2] [--out FILE]             same step on one device and by every strategy
    python -m iterpref.bench.scaling devices --tokenizer DIR [--devices 1 2 4 ...]   1.5B and 7B shapes on one device and on several
    python -m iterpref.bench.scaling one --tokenizer DIR [...]                       7B on one device: all parameters, adapters, TRL

`equality` is fp32 on a small model: the gradient of the first step, and all weights after three steps, one with an uneven batch;
it runs on a CPU too (`--cpu`), where DeepSpeed's part is left out unless it is installed. `devices` and `one` are what
`bench.step` times, by Qwen2.5's shapes with random weights. `devices`: the same global batches whatever the number of devices, cut
into passes of equal cost as in training; also what share of a step goes into the exchange and into waiting for the slowest rank
(`bench.exchange`). Parts of a large machine may measure side by side: `CUDA_VISIBLE_DEVICES`, and `--against` the file that has
the row of one device. `one`: so many pairs a step, in one pass.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.exchange import Spans, shares
from iterpref.bench.facts import machine_facts, package_version
from iterpref.bench.step_ours import SHAPES
from iterpref.cli import run_task
from iterpref.config import Config
from iterpref.config.training import ZERO
from iterpref.errors import UserError
from iterpref.launch import launch
from iterpref.pace import PAPER_EPOCHS, PAPER_PAIRS

STRATEGIES = ("ddp", "fsdp2", *ZERO)
# `trainer.compile` of each in `devices`: as it is fastest. DeepSpeed's hooks stand inside of what would be compiled.
COMPILED = {"auto": "graphs", "ddp": "graphs", "fsdp2": "layers", **dict.fromkeys(ZERO, "none")}
# Ways that `equality` compares: a strategy and `trainer.compile`.
WAYS = {
    "ddp": ("ddp", "none"),
    "ddp, replay": ("ddp", "replay"),
    "fsdp2": ("fsdp2", "none"),
    **{name: (name, "none") for name in ZERO},
}
# Of the 7B shape on one device. TRL needs all activations of padded rows: a row that does not fit says so.
TRL = {
    "TRL, precomputed + liger": ["--precompute", "--liger"],
    "TRL, precomputed + liger + checkpointing": ["--precompute", "--liger", "--checkpointing"],
    "TRL, LoRA + liger": ["--lora", "16", "--liger"],
}
ONE: dict[str, dict[str, Any]] = {
    "ours": {"compiled": "layers"},
    "ours, stochastic rounding": {"compiled": "layers", "rounding": "stochastic"},
    "ours, LoRA": {"compiled": "layers", "lora": 16},
    "ours, LoRA, graphs": {"compiled": "graphs", "lora": 16},
}


def run_cells(cells: Sequence[dict[str, Any]], devices: int) -> list[list[dict[str, Any]]]:
    """What each rank says of each cell. A group of `devices` processes runs one after the other; where one fails, another group
    goes on with the next."""
    found: list[list[dict[str, Any]]] = []
    while len(found) < len(cells):
        found += _run_group(cells[len(found) :], devices)
    return found


def _run_group(cells: Sequence[dict[str, Any]], devices: int) -> list[list[dict[str, Any]]]:
    """Of the cells up to the first that ended the group; one at least."""
    config = Config()
    config.trainer.devices = devices
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"cells": cells}))
        try:
            launch(config, Path(folder) / "launch", ("-m", "iterpref.bench.scaling_rank", str(job)))
        except (UserError, SystemExit) as error:
            print(f"{devices} device(s): {error}", flush=True)
        found = []
        for number in range(len(cells)):
            files = [Path(folder) / f"{number}-{r}.json" for r in range(devices)]
            found.append([json.loads(f.read_text()) if f.is_file() else {"error": "did not end"} for f in files])
            if not all(f.is_file() for f in files) or (devices > 1 and any("error" in r for r in found[-1])):
                break  # nothing after it was begun
        return found


def equality(devices: int, cpu: bool) -> dict[str, Any]:
    """Of each strategy: how far its first gradient is from that of one device, and its weights after three steps, as a share of
    the gradient and of the way that they went (2-norms); whether the ranks' weights are equal to the bit."""
    ways = {name: way for name, way in WAYS.items() if way[0] in _installed()}
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder)
        cells = [
            {"what": "equality", "cpu": cpu, "keep": str(keep / name), "strategy": strategy, "compiled": compiled, "devices": n}
            for name, n, (strategy, compiled) in [("one", 1, ("auto", "none")), *((k, devices, way) for k, way in ways.items())]
        ]  # fmt: skip
        rows = [*run_cells(cells[:1], 1), *run_cells(cells[1:], devices)]
        found = {name: _against_one(keep, name, row) for name, row in zip(["one", *ways], rows, strict=True)}
    return {"devices": devices, "precision": "32-true", "strategies": found}


def _installed() -> list[str]:
    return [s for s in STRATEGIES if s not in ZERO or find_spec("deepspeed") is not None]


def _against_one(kept: Path, name: str, ranks: list[dict[str, Any]]) -> dict[str, Any]:
    if errors := [r["error"] for r in ranks if "error" in r]:
        return {"error": errors[0]}
    one, own = (torch.load(kept / n, weights_only=True) for n in ("one", name))
    zero = {name: torch.zeros_like(g) for name, g in one["gradients"].items()}
    return {
        "gradient": _distance(own["gradients"], one["gradients"]) / _distance(one["gradients"], zero),
        "weights": _distance(own["weights"], one["weights"]) / _distance(one["weights"], one["before"]),
        "losses": ranks[0]["losses"],
        "norms": ranks[0]["norms"],
        "ranks_agree": len({r["digest"] for r in ranks}) == 1,
    }


def _distance(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    return sum(float((left[name] - tensor).double().square().sum()) for name, tensor in right.items()) ** 0.5


def scaling(
    counts: Sequence[int],
    shapes: Sequence[str],
    strategies: Sequence[str],
    said: dict[str, Any],
    before: Sequence[dict[str, Any]] = (),
    compiled: dict[str, str] = COMPILED,
) -> Iterator[dict[str, Any]]:
    """Rows of each number of devices; efficiency: pairs a second over `devices` times those of one device, of `before` if not of these."""
    alone: dict[str, float] = {}
    for row in before:
        _note_alone(alone, row)
    for devices in sorted(counts):
        cells = [
            {**said, "what": "step", "shape": shape, "strategy": s, "devices": devices, "compiled": compiled[s]}
            for shape in shapes
            for s in (strategies if devices > 1 else ("auto",))
        ]  # fmt: skip
        for cell, ranks in zip(cells, run_cells(cells, devices), strict=True):
            row = _row(cell, ranks)
            _note_alone(alone, row)
            if devices > 1 and "free_pairs_per_s" in row and (one := alone.get(cell["shape"])):
                row["efficiency"] = row["free_pairs_per_s"] / (devices * one)
            yield row


def _note_alone(alone: dict[str, float], row: dict[str, Any]) -> None:
    if row["devices"] == 1 and "free_pairs_per_s" in row:
        alone[row["shape"]] = row["free_pairs_per_s"]


def _row(cell: dict[str, Any], ranks: list[dict[str, Any]]) -> dict[str, Any]:
    named: dict[str, Any] = {
        k: cell[k] for k in ("shape", "strategy", "devices", "compiled", "lora", "rounding") if k in cell
    }
    if errors := [r["error"] for r in ranks if "error" in r]:
        return {**named, "error": errors[0]}
    row = {
        **named,
        **ranks[0],
        "peak_gib": max(r["peak_gib"] for r in ranks),
        "peak_gib_of_ranks": [r["peak_gib"] for r in ranks],
    }
    if row.pop("spans", None):
        row |= shares([[Spans(**s) for s in r["spans"]] for r in ranks])
        row["paper_hours"] = PAPER_EPOCHS * PAPER_PAIRS / row["free_pairs_per_s"] / 3600
    return row


def one_device(shape: str, said: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ours and TRL's rows of one shape, all pairs alike, in turns of a process each."""
    from iterpref.bench.scaling_rank import examples_of
    from iterpref.bench.step import peer, peer_pairs

    with tempfile.TemporaryDirectory() as folder:
        file = peer_pairs(Path(folder) / "pairs.json", *examples_of(said))
        for title, options in ONE.items():
            cell = {**said, "what": "step", "shape": shape, "strategy": "auto", "devices": 1, **options}
            yield title, _row(cell, run_cells([cell], 1)[0])
        for title, flags in TRL.items():
            yield title, peer(flags, shape, file, Path(said["tokenizer"]), said["steps"], said["pairs"])


def show(title: str, row: dict[str, Any]) -> None:
    """One line."""
    if "error" in row:
        print(f"{title:42s} {row['error']}", flush=True)
        return
    told = [
        f"{k} {row[k]:.2f}"
        for k in (
            "free_pairs_per_s", "pairs_per_s", "peak_gib", "reserved_gib", "floor_share", "efficiency", "computing", "exchange",
            "waiting", "idle", "paper_hours",
        )
        if row.get(k)
    ]  # fmt: skip
    print(f"{title:42s} " + "  ".join(told), flush=True)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Each part knows its own options; `before`: the rows of the files that `--against` names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    written, timed = argparse.ArgumentParser(add_help=False), argparse.ArgumentParser(add_help=False)
    written.add_argument("--out", type=output_file, default=Path("scaling.json"))
    timed.add_argument("--tokenizer", required=True, help="folder of a tokenizer")
    timed.add_argument("--pairs", type=at_least(1), default=8, help="pairs on each device in a pass")
    timed.add_argument("--pairs-file", help="JSON list of prompt, chosen, rejected (default: `code_pairs`)")
    timed.add_argument(
        "--steps",
        type=at_least(1),
        default=8,
        help="steps of each epoch: two to warm up, one timed by step, one as a whole",
    )
    parts = parser.add_subparsers(dest="part", required=True)
    equality = parts.add_parser("equality", parents=[written])
    equality.add_argument("--devices", type=at_least(2), nargs="+", default=[2], help="which are held against one")
    equality.add_argument("--cpu", action="store_true", help="on the CPU, by gloo")
    devices = parts.add_parser("devices", parents=[written, timed])
    devices.add_argument("--devices", type=at_least(1), nargs="+", default=[1, 2])
    devices.add_argument("--shapes", nargs="+", choices=SHAPES, default=["1.5B", "7B"], help="of which models")
    devices.add_argument(
        "--against", type=Path, nargs="+", default=[], help="files of this bench that have rows of one device"
    )
    devices.add_argument("--global-batch", type=at_least(1), default=128, help="pairs a step, on all together")
    devices.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=_installed(), help="of several devices")
    devices.add_argument(
        "--compile",
        choices=("layers", "graphs", "replay"),
        help="of one device and of ddp (default: graphs, which takes most memory)",
    )
    one = parts.add_parser("one", parents=[written, timed])
    one.add_argument("--shapes", nargs="+", choices=SHAPES, default=["7B"], help="of which models")
    a = parser.parse_args(argv)
    if a.part == "devices":
        try:
            a.before = [row for file in a.against for row in json.loads(file.read_text())["rows"] if row["devices"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            devices.error(f"--against: expected files that `devices --out` has written ({error})")
    return a


def main(argv: list[str] | None = None) -> None:
    a = arguments(argv)
    report: dict[str, Any] = {"facts": {**machine_facts(), "versions": versions()}, "part": a.part}

    def keep() -> None:  # after each row, for a run takes minutes and may be stopped
        a.out.write_text(json.dumps(report, indent=1) + "\n")

    if a.part == "equality":
        report["equality"] = []
        for devices in a.devices:
            report["equality"].append(equality(devices, a.cpu))
            for name, row in report["equality"][-1]["strategies"].items():
                print(f"{name:12s} {json.dumps(row)}", flush=True)
            keep()
        return
    said = {"tokenizer": a.tokenizer, "pairs_file": a.pairs_file, "pairs": a.pairs, "steps": a.steps}
    said["global_batch"] = a.global_batch if a.part == "devices" else None
    report.update(said)
    if a.part == "devices":
        report["rows"] = []
        compiled = COMPILED | (dict.fromkeys(("auto", "ddp"), a.compile) if a.compile else {})
        for row in scaling(a.devices, a.shapes, a.strategies, said, a.before, compiled):
            report["rows"].append(row)
            show(f"{row['shape']}, {row['strategy']} x {row['devices']}, {row['compiled']}", row)
            keep()
    else:
        report["rows"] = {}
        for shape in a.shapes:
            for title, row in one_device(shape, said):
                report["rows"][f"{shape}, {title}"] = row
                show(title, row)
                keep()


def versions() -> dict[str, str | None]:
    packages = ("torch", "transformers", "lightning", "triton", "deepspeed", "peft", "trl", "liger-kernel")
    return {name: package_version(name) for name in packages}


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
