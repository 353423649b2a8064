"""Arguments that the benches share: a wrong number, or a file that cannot be written, ends before anything is measured."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from iterpref.config import BenchmarkConfig, Config, load, to_dict

N = TypeVar("N", int, float)


def at_least(low: N) -> Callable[[str], N]:
    """For `type=`: a number from `low` on, a whole one if `low` is."""

    def read(text: str) -> N:
        try:
            value = type(low)(text)
        except ValueError:
            raise ArgumentTypeError(
                f"expected a {'whole ' if isinstance(low, int) else ''}number, got {text!r}"
            ) from None
        if not low <= value < float("inf"):
            raise ArgumentTypeError(f"expected at least {low}, got {value}")
        return value

    return read


def benchmark_options(**said: Any) -> BenchmarkConfig:
    """What the options `benchmark.*` of a command would be; raises `UserError` for what these refuse."""
    from omegaconf import OmegaConf

    config = Config()
    config.benchmark = BenchmarkConfig(**said)
    return load(OmegaConf.create(to_dict(config))).benchmark


def output_file(text: str) -> Path:
    """For `type=`: a file to write, whose folder is made here."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{path} is a folder: name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"the folder of {path} cannot be made ({error.strerror}): choose another") from None
    return path
