"""How many pairs a second does a whole training step take in, beside TRL's DPOTrainer, and where does its time go?

    python -m iterpref.bench.step --tokenizer DIR [--shapes 1.5B,0.5B,7B] [--pairs 8] [--steps 20] [--pairs-file FILE] [--unlike] [--out docs/bench/step.json]

Models of Qwen2.5's shapes with random weights in bf16, fused AdamW, gradients clipped at 1, Target-DPO (beta 0.1) on
`bench.code_pairs`; on our side `FocalDPOModule` under Lightning's Trainer, with the project's loader, collate and
optimizer. TRL runs in processes of its own between two runs of ours. A step is timed from its begin to its end with the
device idle at both, the same on either side, in a later epoch over the same batches, and the median counts. In a first epoch,
where every shape is new, TRL is much slower (its row says that too, the first five steps left out), and ours compiles:
`first_epoch_s` is the whole of it, on either side. TRL's rows:

    live          reference model in memory            precomputed    its log-probs computed before
    + liger       Liger's layers and loss as well       + mask         rejected tokens outside D- carry no loss, as ours

The floor is 6 (N T + N_head R) floating-point operations over the rate of a large matrix product, measured here: T
tokens through N parameters, R loss rows through the head. The reference cache and the layout of rows are charged apart.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.code_pairs import code_pairs, read_pairs, tokenised
from iterpref.bench.facts import machine_facts, package_version
from iterpref.bench.step_ours import SHAPES, Shape, bench_config, run
from iterpref.bench.step_plot import draw
from iterpref.bench.timing import product_rate
from iterpref.cli import run_task
from iterpref.models.policy import load_tokenizer
from iterpref.schema import Example, PreferencePair

PEERS = {
    "TRL, live": [],
    "TRL, precomputed": ["--precompute"],
    "TRL, precomputed + liger": ["--precompute", "--liger"],
    "TRL, precomputed + mask": ["--precompute", "--mask"],
}
_FLOPS_PER_PARAMETER = 6  # forward and backward of one token


def peer(flags: list[str], shape: str, pairs_file: Path, tokenizer: Path, steps: int, batch: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "iterpref.bench.step_trl", str(pairs_file), shape, "--tokenizer", str(tokenizer)]
    command += ["--steps", str(steps), "--batch", str(batch), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"error": (done.stderr or done.stdout).strip().splitlines()[-1:]}
    return json.loads(lines[-1])


def peer_pairs(file: Path, pairs: list[PreferencePair], examples: list[Example]) -> Path:
    """The pairs as `step_trl` reads them, with the rejected tokens that carry loss."""
    file.write_text(json.dumps([
        {"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected, "rejected_ids": list(map(int, e.rejected_ids)),
         "rejected_mask": list(map(float, e.rejected_mask))}
        for p, e in zip(pairs, examples, strict=True)
    ]))  # fmt: skip
    return file


def ours(shape: Shape, examples: list[Example], batch: int, **options: Any) -> dict[str, Any]:
    """A run of ours; the device is empty again when it returns."""
    parts = options.pop("parts", False)
    result = run(shape, examples, bench_config(batch, **options), parts=parts)
    gc.collect()
    torch.cuda.empty_cache()
    return result


def floor_s(shape: Shape, result: dict[str, Any], rate: float) -> float:
    flops = shape.body_parameters * result["tokens"] + shape.head_parameters * result["loss_rows"]
    return _FLOPS_PER_PARAMETER * flops / rate


def bench_shape(
    run: dict[str, Any],
    pairs: list[PreferencePair],
    tokenizer: Path,
    batch: int,
    rate: float,
    peers: list[str],
    keep: Any,
) -> None:
    """All rows of one shape into `run`, ours first and last; `keep()` is called after each."""
    shape, steps, rows = SHAPES[run["shape"]], len(pairs) // batch, run["rows"]
    examples = tokenised(pairs, load_tokenizer(tokenizer), bench_config(batch))

    def add(title: str, row: dict[str, Any]) -> None:
        if "loss_rows" in row:
            row["floor_share"] = floor_s(shape, row, rate) / row["step_s"]
        rows[title] = row
        keep()

    add("ours", ours(shape, examples, batch, parts=True))
    with tempfile.TemporaryDirectory() as folder:
        file = peer_pairs(Path(folder) / "pairs.json", pairs, examples)
        for title in peers:
            add(title, peer(PEERS[title], run["shape"], file, tokenizer, steps, batch))
    if peers:
        add("ours, again", ours(shape, examples, batch))
    measured = [r for title, r in rows.items() if title in peers and "pairs_per_s" in r]
    if measured:
        best = max(measured, key=lambda r: r["pairs_per_s"])
        for row in (rows["ours"], rows["ours, again"]):
            row["speedup"], row["memory"] = row["pairs_per_s"] / best["pairs_per_s"], row["peak_gib"] / best["peak_gib"]
            row["speedup_over_first_epoch"] = row["pairs_per_s"] / best["first_epoch_pairs_per_s"]
        keep()


def facts(rate: float) -> dict[str, Any]:
    """Machine and versions."""
    packages = ("torch", "transformers", "trl", "liger-kernel", "triton", "lightning")
    card = torch.cuda.get_device_name()
    return {
        **machine_facts(),
        "card": card,
        "gemm_tflops": rate / 1e12,
        "versions": {name: package_version(name) for name in packages},
        "host": platform.machine(),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a tokenizer")
    parser.add_argument("--shapes", default="1.5B,0.5B,7B", help="with commas between (default 1.5B,0.5B,7B)")
    parser.add_argument("--pairs", type=at_least(1), default=8, help="pairs a step")
    parser.add_argument("--steps", type=at_least(1), default=20, help="timed steps")
    parser.add_argument("--pairs-file", type=Path, help="JSON list of prompt, chosen, rejected (default: `code_pairs`)")
    parser.add_argument(
        "--unlike", action="store_true", help="the first shape also with pairs that share the prompt alone"
    )
    parser.add_argument("--peers", choices=("all", "best", "none"), default="all")
    parser.add_argument("--out", type=output_file, default=Path("step.json"))
    a = parser.parse_args(argv)
    if unknown := [name for name in a.shapes.split(",") if name not in SHAPES]:
        parser.error(f"--shapes: {unknown[0]!r} is none of {', '.join(SHAPES)}")
    if not torch.cuda.is_available():
        parser.error("it measures a GPU, and torch sees none here")
    torch.cuda.init()
    rate = product_rate(20)
    report: dict[str, Any] = {"facts": facts(rate), "runs": []}
    best = ["TRL, precomputed + liger"]
    for i, name in enumerate(a.shapes.split(",")):
        peers = [] if a.peers == "none" else best if a.peers == "best" or i else list(PEERS)
        for alike in (True, False) if a.unlike and i == 0 else (True,):
            if alike and a.pairs_file:
                pairs = read_pairs(a.pairs_file, a.pairs * a.steps)
            else:
                pairs = code_pairs(a.pairs * a.steps, alike=alike)
            chosen = peers if alike else peers and best
            run: dict[str, Any] = {
                "shape": name,
                "pairs": a.pairs,
                "steps": a.steps,
                "alike": alike,
                "rows": {},
            }
            report["runs"].append(run)
            bench_shape(run, pairs, a.tokenizer, a.pairs, rate, chosen, lambda: save(report, a.out))
            draw(report, a.out.with_suffix(".png"))
            show(run)


def save(report: dict[str, Any], out: Path) -> None:
    """After each row, for a run takes minutes and may be stopped."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")


def show(run: dict[str, Any]) -> None:
    """One line a row."""
    print(f"{run['shape']}, {run['pairs']} pairs a step, {'alike' if run['alike'] else 'nothing in common'}")
    for title, row in run["rows"].items():
        if "error" in row:
            print(f"  {title:28s} {row['error']}")
            continue
        extra = "".join(
            f"  {k} {row[k]:.2f}"
            for k in (
                "free_pairs_per_s",
                "first_epoch_pairs_per_s",
                "first_epoch_s",
                "reserved_gib",
                "speedup",
                "speedup_over_first_epoch",
                "memory",
                "floor_share",
            )
            if row.get(k)
        )
        print(
            f"  {title:28s} {1e3 * row['step_s']:7.1f} ms  {row['pairs_per_s']:6.1f} pairs/s  {row['peak_gib']:5.1f} GiB{extra}"
        )
        if row.get("parts_ms"):
            print("    " + ", ".join(f"{k} {v:.1f}" for k, v in row["parts_ms"].items()))


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
