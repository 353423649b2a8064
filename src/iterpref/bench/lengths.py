"""What does a length of rows cost that a training run has not met before?

    python -m iterpref.bench.lengths --tokenizer DIR [--pairs-file FILE] [--shape 1.5B] [--pairs 32] [--ways none layers] [--out FILE]

Passes (forward, loss, backward) over single rows of five lengths, by each `trainer.compile`; `apart` is `layers` as FSDP2 has
them, FlexAttention outside. Each length comes six times: `first` and `second` are seconds of these, `again` milliseconds, the
median of the others. Each way runs in a process that finds no compiled code (`cold`), and in one that finds what the first
has left on the disk (`warm`), as a later run of the same shapes on the same machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iterpref.batch import Batch
from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.code_pairs import code_pairs, read_pairs, tokenised
from iterpref.bench.facts import machine_facts, package_version
from iterpref.bench.step_ours import SHAPES, bench_config
from iterpref.cli import run_task
from iterpref.data.collate import PARTS, collate
from iterpref.losses import combine, loss_terms, pair_sums
from iterpref.models.graphs import StepGraphs
from iterpref.models.policy import compile_layers, load_tokenizer, score_rows
from iterpref.models.shared_prefix import attend_apart, register_flex

WAYS = ("none", "layers", "apart", "graphs", "replay")
_SHARES = (1.0, 0.75, 0.6, 0.85, 1.25)  # of --pairs, in a row: five lengths, not in their order
_TIMES = 6
_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def measure(way: str, a: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each length, in this process."""
    config, counts = bench_config(a.pairs), [max(1, round(share * a.pairs)) for share in _SHARES]
    wanted = sum(counts)
    pairs = read_pairs(a.pairs_file, wanted) if a.pairs_file else code_pairs(wanted)
    examples = iter(tokenised(pairs, load_tokenizer(a.tokenizer), config))
    model = SHAPES[a.shape].model(register_flex()).train()
    if way not in ("none", "replay"):
        compile_layers(model)
    if way == "apart":
        attend_apart(model)
    terms = loss_terms(config.loss)
    layout = partial(collate, packing="shared", pad_id=0, terms=terms, one_row=True, parts=PARTS)

    def whole_pass(batch: Batch) -> tuple[Tensor, ...]:
        # The reference is zeros: what the loss is does not matter here.
        loss = combine(pair_sums(score_rows(model, batch, None, "auto"), batch), config.loss, batch.step_pairs).loss
        loss.backward()
        return (loss.detach(),)

    graphs = StepGraphs(whole_pass, model.parameters(), adds_up=False)
    run: Any = partial(graphs, begins=True) if way in ("graphs", "replay") else graphs.run
    for count in counts:
        batch = layout([next(examples) for _ in range(count)]).to("cuda")
        seconds = []
        for _ in range(_TIMES):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            run(batch)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
        compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        yield {
            "way": way, "positions": batch.input_ids_ST.shape[1], "first_s": seconds[0], "second_s": seconds[1],
            "again_ms": 1e3 * statistics.median(seconds[2:]), "compilations": compiled,
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        }  # fmt: skip


def elsewhere(way: str, a: argparse.Namespace, caches: Path) -> list[dict[str, Any]]:
    """The rows of a process of its own, whose compiled code is kept in `caches`."""
    command = [sys.executable, "-m", "iterpref.bench.lengths", "--tokenizer", str(a.tokenizer), "--shape", a.shape]
    command += ["--pairs", str(a.pairs), "--ways", way, "--here"]
    command += ["--pairs-file", str(a.pairs_file)] if a.pairs_file else []
    done = subprocess.run(command, env=with_caches(caches), capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        rows.append({"way": way, "error": (done.stderr or done.stdout).strip().splitlines()[-1:]})
    return rows


def with_caches(folder: Path) -> dict[str, str]:
    """The environment of a process that keeps its compiled code below `folder`."""
    return {**os.environ, **{name: str(folder / name.lower()) for name in _CACHES}}


def show(row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{row['way']:7} {row['cache']}  {row['error']}", flush=True)
        return
    print(
        f"{row['way']:7} {row['cache']}  {row['positions']:6} positions  first {row['first_s']:6.2f} s  second {row['second_s']:6.2f} s  "
        f"again {row['again_ms']:7.1f} ms  {row['compilations']} compilations so far  {row['peak_gib']:.1f} GiB",
        flush=True,
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a tokenizer")
    parser.add_argument("--pairs-file", type=Path, help="JSON list of prompt, chosen, rejected (default: `code_pairs`)")
    parser.add_argument("--shape", choices=SHAPES, default="1.5B")
    parser.add_argument("--pairs", type=at_least(2), default=32, help="pairs in the first row")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--here", action="store_true", help="in this process and with its caches; a line of JSON each")
    parser.add_argument("--out", type=output_file, help="file for the rows, as JSON")
    a = parser.parse_args(argv)
    if not torch.cuda.is_available():
        parser.error("it measures a GPU, and torch sees none here")
    if a.here:
        for way in a.ways:
            for row in measure(way, a):
                print(json.dumps(row), flush=True)
        return
    versions = {name: package_version(name) for name in ("torch", "triton", "transformers")}
    facts = {**machine_facts(), "card": torch.cuda.get_device_name(), "versions": versions}
    report: dict[str, Any] = {"facts": facts, "shape": a.shape, "pairs": a.pairs, "rows": []}
    for way in a.ways:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("cold", "warm"):
                for row in elsewhere(way, a, Path(folder)):
                    report["rows"].append({**row, "cache": cache})
                    show(report["rows"][-1])
        if a.out:
            a.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
