"""Benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval.tasks.task import Benchmark
from iterpref.registry import BENCHMARKS


def load_benchmark(config: BenchmarkConfig) -> Benchmark[Any]:
    """The tasks of `benchmark=...`, at most `benchmark.limit` of them; raises `UserError` for a file of another kind."""
    from iterpref.eval.tasks import bank, bigcodebench, humaneval, livecodebench, mbpp, plus
    from iterpref.eval.tasks.origin import read_rows

    builders: dict[str, Callable[..., Benchmark[Any]]] = {
        "humaneval": humaneval.build,
        "mbpp": mbpp.build,
        "humaneval_plus": plus.build,
        "mbpp_plus": plus.build,
        "bigcodebench": bigcodebench.build,
        "livecodebench": livecodebench.build,
    }
    benchmark: Benchmark[Any]
    if BENCHMARKS.is_added(config.name):
        benchmark = BENCHMARKS.get(config.name)(config)
    elif config.name == "bank":
        benchmark = bank.build(config)
    elif config.name in builders:
        origin, rows = read_rows(config)
        benchmark = builders[config.name](config, origin, rows)
        if len(benchmark.tasks) < len(rows) and config.name not in ("mbpp", "livecodebench"):
            raise UserError(
                f"{origin.source}: {len(rows)} tasks with {len(benchmark.tasks)} different ids; each id must come once"
            )
    else:
        raise UserError(f"no benchmark is chosen: give benchmark=NAME, one of bank, {', '.join(builders)}")
    if config.limit is not None:
        benchmark.tasks = dict(list(benchmark.tasks.items())[: config.limit])
    return benchmark
