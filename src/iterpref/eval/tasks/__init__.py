"""Benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        at = origin.source

        def noted() -> Iterator[tuple[str, dict[str, Any]]]:
            nonlocal at
            for where, row in rows:
                at = where
                yield where, row

        try:
            benchmark = builders[config.name](config, origin, noted())
        except (TypeError, ValueError, SyntaxError, KeyError, AttributeError) as error:
            raise UserError(
                f"{at}: not a task as benchmark={config.name} has them ({type(error).__name__}: {error}); mend the row, or "
                "give another version of the file"
            ) from error
    else:
        raise UserError(f"no benchmark is chosen: give benchmark=NAME, one of bank, {', '.join(builders)}")
    if config.limit is not None:
        asked = dict(list(benchmark.tasks.items())[: config.limit])
        benchmark.left_out |= benchmark.tasks.keys() - asked.keys()
        benchmark.tasks = asked
    return benchmark
