"""Tasks out of a data set that `datasets.load_dataset` reads: of the hub, of a local folder, or one file of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from iterpref.codeflow.external.source import SPLIT_NAMES, is_saved, load_quietly, reader
from iterpref.codeflow.problems import Row, read_rows
from iterpref.config.codeflow import ProblemsConfig
from iterpref.config.pairs import HUB_ID
from iterpref.errors import UserError, nearest, nearest_file
from iterpref.json_lines import BadRow
from iterpref.schema import Problem

_LOADERS = {".jsonl": "json", ".json": "json", ".ndjson": "json", ".parquet": "parquet", ".csv": "csv"}


def read_hub(config: ProblemsConfig, cache: Path) -> list[Problem]:
    """The tasks of all splits, or of `problems.hub_split`: rows with the columns of problems=jsonl, or mapped by `problems.mapping.*`.

    Where the mapping names no split, a task is of the split that the data set has it in (`dev`, `valid`, ... are validation), and
    of train otherwise. `cache` is where `datasets` keeps what it converts of local files.

    Raises:
        UserError: for a data set that cannot be had, a split that it lacks, and a row that is no task, with its place.
    """
    name = str(config.path)
    loaded = _load(config, cache)
    splits: dict[str, Any] = loaded if isinstance(loaded, dict) else {"train": loaded}
    if config.hub_split is not None:
        if config.hub_split not in splits:
            raise UserError(
                f"problems.hub_split={config.hub_split}: {name} has the splits {', '.join(splits)}"
                f"{nearest(config.hub_split, splits)}"
            )
        splits = {config.hub_split: splits[config.hub_split]}
    rows = (
        row
        for split, table in splits.items()
        for row in _rows(table, name, split, native=config.mapping.prompt is None)
    )
    return [replace(problem, source=name) for problem in read_rows(rows, config.mapping)]


def _load(config: ProblemsConfig, cache: Path) -> Any:
    from datasets import load_dataset, load_from_disk

    place = f"problems.path={config.path}"
    path = Path(str(config.path)).expanduser()
    if path.exists() and config.revision is not None:
        raise UserError(f"problems.revision has no effect on {path}, which is here: it is for hub ids; leave it out")
    keep = str(cache.resolve() / "datasets")
    if path.is_file():
        loader = _LOADERS.get(path.suffix.lower())
        if loader is None or config.subset is not None:
            reason = (
                "problems.subset is for hub ids and folders"
                if loader
                else f"a file ending in {', '.join(_LOADERS)} was expected"
            )
            raise UserError(f"{place}: {reason}")
        return load_quietly(place, lambda: load_dataset(loader, data_files=str(path), cache_dir=keep))
    if path.is_dir():
        if is_saved(path):
            if config.subset is not None:
                raise UserError(
                    f"problems.subset has no effect on {path}, which is saved as one data set: leave it out"
                )
            return load_quietly(place, lambda: load_from_disk(str(path)))
        return load_quietly(place, lambda: load_dataset(str(path), config.subset, cache_dir=keep))
    if not HUB_ID.fullmatch(str(config.path)):
        raise UserError(
            f"{place}: there is no such file or folder{nearest_file(path)}; a data set on the hub is named OWNER/NAME"
        )
    return load_quietly(place, lambda: load_dataset(str(config.path), config.subset, revision=config.revision))


def _rows(table: Any, name: str, split: str, native: bool) -> Iterator[Row]:
    ours = next((ours for ours, usual in SPLIT_NAMES.items() if split in usual), "train")
    for number, values in reader(table)(None):
        if isinstance(values, BadRow):
            raise UserError(f"{name}:{split}/{number}: {values.reason}; mend or remove this row")
        # A table has every column in every row, and every key of its structs: null is how it says "not there".
        yield Row(f"{name}:{split}/{number}", _said(values) if native else values, ours)


def _said(value: Any) -> Any:
    return {k: _said(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value
