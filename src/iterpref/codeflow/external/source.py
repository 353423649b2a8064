"""Where anyone's pairs stand: a file, a folder or a hub id -> tables of rows, one for each split of the data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iterpref.artifacts import known_sha256
from iterpref.codeflow.external.files import Rows, file_format, parquet_columns, read_rows
from iterpref.codeflow.external.records import records_of
from iterpref.config import PairsConfig
from iterpref.config.pairs import HUB_ID
from iterpref.errors import UserError, nearest, nearest_file

_DATA_FILES = (".parquet", ".jsonl", ".ndjson", ".json", ".jsonl.gz", ".json.gz", ".arrow", ".csv")
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
SPLIT_OF = {usual: ours for ours, names in SPLIT_NAMES.items() for usual in names}


@dataclass(frozen=True)
class Table:
    """Rows of one split (None: the data set has no splits). `name` begins the ids of its rows, `place` its messages."""

    name: str
    place: str
    split: str | None
    columns: tuple[str, ...] | None  # None: a row tells its own
    total: int | None
    rows: Callable[[Sequence[str] | None], Rows]


@dataclass(frozen=True)
class Source:
    """`key` changes with the content; `ignored` are splits that nobody asked for, `unread` files that `datasets` passed over."""

    name: str
    key: str
    tables: tuple[Table, ...]
    ignored: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def open_source(config: PairsConfig, cache: Path) -> Source:
    """The tables behind `pairs.path`; `cache` is where `datasets` may keep what it converts."""
    path = Path(str(config.path)).expanduser()
    if not path.name.isascii() and path.exists():
        _check_name(path)
    if path.is_file():
        return _one_file(path, config)
    if path.is_dir():
        return _folder(path, config, cache)
    if path.exists() or path.is_symlink():
        raise UserError(
            f"pairs.path={config.path}: a file or a folder was expected, and a pipe or a link that leads nowhere came"
        )
    if HUB_ID.fullmatch(str(config.path)):
        return _hub(str(config.path), config)
    raise UserError(
        f"pairs.path={config.path}: there is no such file or folder{nearest_file(path)}; "
        "a data set on the hub is named OWNER/NAME"
    )


def _check_name(path: Path) -> None:
    """Raises `UserError` for a name in another encoding: it is part of each pair's id, and no table holds it."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise UserError(f"pairs.path={path}: the name is not UTF-8: rename the file or folder") from None


def _refuse(config: PairsConfig, options: Sequence[str], what: str) -> None:
    """Raises `UserError` for a value of one of `options`, which this kind of source does not ask for."""
    for option in options:
        section, _, split = option.partition(".")
        value = getattr(config, section)
        if (getattr(value, split) if split else value) is not None:
            use = (
                "data sets that have splits"
                if split
                else "hub ids"
                if option == "revision"
                else "data sets of several configurations"
            )
            raise UserError(f"pairs.{option} has no effect on {what}: it is for {use}; leave it out")


def _one_file(path: Path, config: PairsConfig) -> Source:
    _refuse(config, ("subset", "revision", "splits.train", "splits.validation", "splits.test"), "a file")
    kind = file_format(path)
    columns = tuple(parquet_columns(path)) if kind == "parquet" else None
    total = None
    if kind == "parquet":
        import pyarrow.parquet as pq

        total = pq.read_metadata(path).num_rows
    table = Table(path.name, str(path), None, columns, total, lambda wanted: read_rows(path, kind, wanted))
    return Source(path.name, known_sha256(path), (table,))


def _folder(path: Path, config: PairsConfig, cache: Path) -> Source:
    if (path / "manifest.json").is_file() and (path / "pairs.parquet").is_file():
        return _one_file(path / "pairs.parquet", config)  # a finished stage of ours
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.relative_to(path).parts[0].startswith("."))
    if not any(p.name.lower().endswith(_DATA_FILES) for p in files):
        holds = ", ".join(p.name for p in files[:3]) or "nothing"
        raise UserError(
            f"pairs.path={path}: the folder has no data set: Parquet or JSON files, or what datasets.save_to_disk writes, "
            f"were expected, and it holds {holds}"
        )
    key = hashlib.sha256()
    for file in files:
        key.update(f"{file.relative_to(path)}\0{known_sha256(file)}\0".encode("utf-8", "surrogateescape"))
    saved = is_saved(path)
    _refuse(config, ("revision", "subset") if saved else ("revision",), "a folder")
    name, place, unread = path.name or str(path), f"pairs.path={path}", []
    if saved:
        from datasets import load_from_disk

        loaded = load_quietly(place, lambda: load_from_disk(str(path)))
    else:
        loaded, taken = load_quietly(place, lambda: _load_folder(path, config.subset, cache))
        rest = [f for f in files if f.name.lower().endswith(_DATA_FILES) and f.resolve() not in taken]
        # A configuration that was named has its own files, and others theirs.
        unread = [] if config.subset else [str(f.relative_to(path)) for f in rest if f.name != "dataset_infos.json"]
    return replace(_of_datasets(name, str(path), key.hexdigest(), loaded, config), unread=tuple(unread))


def _load_folder(path: Path, subset: str | None, cache: Path) -> tuple[Any, set[Path]]:
    """What `datasets.load_dataset` makes of the folder, and the files that it takes for the data: by their names and format."""
    from datasets import load_dataset_builder

    builder = load_dataset_builder(str(path), subset, cache_dir=str(cache.resolve()))
    builder.download_and_prepare()
    taken = (builder.config.data_files or {}).values()
    return builder.as_dataset(), {Path(file).resolve() for split in taken for file in split}


def is_saved(path: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote the folder."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _hub(name: str, config: PairsConfig) -> Source:
    from datasets import load_dataset

    place = f"pairs.path={name}"
    loaded = load_quietly(place, lambda: load_dataset(name, config.subset, revision=config.revision))
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    prints = sorted((split, len(data), data._fingerprint) for split, data in splits.items())
    key = hashlib.sha256(repr((name, config.subset, config.revision, prints)).encode()).hexdigest()
    return _of_datasets(name, name, key, loaded, config)


def load_quietly(place: str, load: Callable[[], Any]) -> Any:
    """What `datasets` loads. `place` is `SECTION.path=PATH`; any fault is the user's to read, with the usual remedy."""
    from datasets import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    try:
        return load()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        cause = " ".join(str(error.__cause__).split())[:200] if error.__cause__ else ""
        option, _, path = place.partition("=")
        section = option.partition(".")[0]
        if "Config name is missing" in reason or "BuilderConfig" in reason:
            remedy = f"choose one with {section}.subset=NAME"
        elif Path(path).exists():
            remedy = f"give one of its files: {'pairs' if section == 'pairs' else option}=FOLDER/FILE"
        else:
            remedy = (
                f"if it was meant to be a local folder, there is none of that name here; else check the name, {section}.subset, "
                f"{section}.revision, the network and your login (hf auth login)"
            )
        raise UserError(f"{place}: datasets cannot load it ({type(error).__name__}: {reason}{f'; {cause}' if cause else ''}); {remedy}") from None  # fmt: skip
    finally:
        enable_progress_bars()


def _of_datasets(name: str, place: str, key: str, loaded: Any, config: PairsConfig) -> Source:
    wanted = config.splits
    if not isinstance(loaded, dict):
        loaded = {"train": loaded}
    chosen: dict[str, str] = {}
    for split, usual in SPLIT_NAMES.items():
        named = getattr(wanted, split)
        if named is not None and named not in loaded:
            raise UserError(
                f"pairs.splits.{split}={named}: {place} has the splits {', '.join(loaded)}{nearest(named, loaded)}"
            )
        found = named or next((n for n in usual if n in loaded), None)
        if found is not None and found not in chosen:
            chosen[found] = split
    if "train" not in chosen.values():
        raise UserError(
            f"{place} has the splits {', '.join(loaded)}, and none is called train: name one with pairs.splits.train=NAME"
        )
    alone = list(chosen.values()) == ["train"]  # what loaders call rows without splits
    tables = [
        Table(
            f"{name}/{theirs}" if len(loaded) > 1 else name, f"{place} (split {theirs})", None if alone else ours,
            tuple(loaded[theirs].column_names), len(loaded[theirs]), reader(loaded[theirs]),
        )
        for theirs, ours in chosen.items()
    ]  # fmt: skip
    return Source(name, key, tuple(tables), tuple(n for n in loaded if n not in chosen))


def reader(data: Any) -> Callable[[Sequence[str] | None], Rows]:
    """Rows of a table of `datasets`, numbered from 1, with the wanted columns or all."""

    def rows(wanted: Sequence[str] | None) -> Rows:
        table = data.select_columns([c for c in data.column_names if c in wanted]) if wanted else data
        number = 0
        for batch in table.with_format("arrow").iter(batch_size=512):
            for row in records_of(batch):
                number += 1
                yield number, row

    return rows
