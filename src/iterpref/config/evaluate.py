"""Schema of the evaluation: how models are scored, and on which benchmark."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iterpref.config.generate import LOCAL
from iterpref.config.option import option
from iterpref.errors import UserError
from iterpref.registry import BENCHMARKS

if TYPE_CHECKING:
    from iterpref.config.root import Config


@dataclass
class EvaluateConfig:
    split: str = option("test", "whose tasks and pairs are scored", choices=("validation", "test"))
    pairs: str | None = option(
        None, "other preference pairs (file, folder or hub id) to score in place of the run's own; null: the run's own"
    )
    pass_at_1: bool = option(True, "generate an answer for each task and run its tests")
    max_tasks: int | None = option(None, "score only so many tasks", low=1)
    max_new_tokens: int | None = option(
        None, "longest answer, tokens; null: 256 on held-out tasks, else as the benchmark has it", low=1
    )
    batch_size: int | None = option(
        None, "answers generated at once; null: 32 on a CPU, and up to 512 that fit into a GPU's free memory", low=1
    )
    n_samples: int = option(1, "answers to each task of a benchmark", low=1)
    temperature: float = option(0.0, "of those answers; 0: greedy", low=0)
    top_p: float = option(1.0, "mass of the likeliest tokens to draw from", above=0, high=1)
    highlighted_pairs: int = option(12, "pairs kept with per-token log-ratios for the report", low=0)


@dataclass
class BenchmarkConfig:
    name: str = option("none", "tasks that are scored; none: the run's own held-out tasks", choices=BENCHMARKS)
    path: str | None = option(None, "local file of its tasks: JSONL, gzip allowed, or Parquet")
    dataset: str | None = option(None, "name for datasets.load_dataset, of the hub or a local folder; path goes first")
    subset: str | None = option(None, "configuration of that data set")
    hub_split: str | None = option(None, "split of that data set, where its versions are splits; null: all splits")
    files: str | None = option(None, "JSON files in that data set, such as test*.jsonl, where it has no more order")
    revision: str | None = option(None, "revision of that data set")
    split: str | None = option(
        None, "which tasks of mbpp or bank; null: test", choices=("test", "validation", "train", "prompt", "all")
    )
    variant: str | None = option(None, "prompts of bigcodebench; null: complete", choices=("complete", "instruct"))
    rules: str | None = option(
        None, "EvalPlus version whose comparisons hold; null: 0.2 for MBPP+ v0.1.0, else 0.3", choices=("0.2", "0.3")
    )
    after: str | None = option(None, "only livecodebench tasks of this date or later, such as 2024-08-01")
    before: str | None = option(None, "only livecodebench tasks before this date")
    limit: int | None = option(None, "only the first so many tasks", low=1)
    partial: bool = option(False, "score a samples file that lacks tasks, on those that it has")
    time_factor: float = option(1.0, "factor on the benchmark's own time limits, for a slow machine", above=0)


# Option of `benchmark` -> the benchmarks that it means something for.
_ONLY_FOR = {
    "split": ("mbpp", "bank"),
    "variant": ("bigcodebench",),
    "rules": ("humaneval_plus", "mbpp_plus"),
    "after": ("livecodebench",),
    "before": ("livecodebench",),
}


def benchmark_rules(config: Config) -> list[tuple[bool, str]]:
    """(broken, message) of the rules between options of the evaluation."""
    b = config.benchmark
    rules = [
        (getattr(b, name) is not None and b.name not in those,
         f"benchmark.{name}={getattr(b, name)} has no effect with benchmark={b.name}: it is for {' and '.join(those)}")
        for name, those in _ONLY_FOR.items()
    ]  # fmt: skip
    e = config.evaluate
    rules += [
        (e.n_samples > 1 and e.temperature == 0,
         f"evaluate.n_samples={e.n_samples} greedy answers would all be the same: add evaluate.temperature=0.2"),
        (b.name in ("none", "bank") and b.path is not None,
         f"benchmark.path={b.path} has no effect with benchmark={b.name}: name the benchmark that the file is of"),
        (b.path is not None and b.revision is not None,
         "benchmark.revision has no effect with benchmark.path: leave one of them out"),
        (config.samples is not None and b.name == "none",
         f"samples={config.samples}: by which benchmark? add benchmark=NAME, such as benchmark=humaneval"),
        (config.samples is not None and config.against is not None,
         "samples and against: score the samples first, then compare the folders of scores: "
         "python -m iterpref.evaluate FOLDER against=FOLDER"),
    ]  # fmt: skip
    return rules


# Limits of `sandbox` that a benchmark brings itself.
_OWN_LIMITS = ("wall_s", "cpu_s", "memory_mb", "output_kb", "disk_mb")


# Options of `evaluate` that are for the run's own held-out tasks and pairs, and those that are for a benchmark.
_HELD_OUT = ("split", "pairs", "pass_at_1", "max_tasks", "highlighted_pairs")
_SAMPLED = ("n_samples", "temperature", "top_p")
# How CodeFlow asks a model; an evaluation asks by `evaluate.*`, and of a server only needs to know where it is.
_CODEFLOW = ("temperature", "top_p", "max_tokens", "author_prompt", "debugger_prompt", "unreadable_prompt", "packages",
             "answer_retries", "bugs_min", "bugs_max", "wrong_repair", "kinds")  # fmt: skip


def check_evaluation_effects(config: Config, overridden: Collection[str]) -> None:
    """Raises `UserError` for an override that this way of evaluating makes no use of."""
    used: tuple[str, ...]
    idle: tuple[str, ...] = ()
    if config.samples is not None:
        used, what = ("paths", "sandbox", "benchmark", "samples"), f"samples={config.samples}, which runs no model"
    elif config.against is not None:
        used, what = ("paths.run", "against"), f"against={config.against}, which only compares what is scored"
    elif config.benchmark.name != "none":
        used = ("seed", "paths", "sandbox", "model", "generate", "trainer", "evaluate", "benchmark")
        idle = (*(f"evaluate.{name}" for name in _HELD_OUT), *(f"generate.{name}" for name in _CODEFLOW))
        what = f"benchmark={config.benchmark.name}"
        if config.generate.name == "transformers":
            raise UserError(
                f"generate=transformers has no effect with {what}, which runs a local model by transformers itself: leave it "
                "out, and name the model: model=pretrained model.path=DIR"
            )
        if config.generate.name != "mutate":
            idle = (*idle, *(() if config.generate.name in LOCAL else ("model",)), "trainer", "evaluate.batch_size")
    else:
        used, what = ("paths", "sandbox", "trainer", "evaluate", "ops", "benchmark"), "a run's own held-out tasks"
        idle = tuple(f"evaluate.{name}" for name in _SAMPLED)
    for key in sorted(set(overridden) - {"plugins"}):
        if not _below(key, used) or _below(key, idle):
            raise UserError(f"{key} has no effect with {what}: leave it out")
    if config.benchmark.name != "none":
        for key in (f"sandbox.{name}" for name in _OWN_LIMITS):
            if key in overridden:
                raise UserError(
                    f"{key} has no effect with benchmark={config.benchmark.name}, which brings its own limits; "
                    "benchmark.time_factor=N scales them"
                )


def _below(key: str, names: Collection[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)
