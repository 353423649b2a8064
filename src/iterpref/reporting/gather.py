"""What a run folder and its data folder hold. A piece that is absent or broken is named, with the command for it."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import yaml

from iterpref.artifacts import Artifact, find
from iterpref.errors import UserError
from iterpref.run_record import likelier_run
from iterpref.schema import Statistic, Trajectory

T = TypeVar("T")
_TRAJECTORIES = 2000
Series = list[tuple[float, float]]  # (optimizer step, value), in the order logged


@dataclass(frozen=True)
class Missing:
    """A piece of the page that is not there, and how to get it."""

    what: str
    command: str


@dataclass
class Run:
    """Everything the page is made of; an absent piece is None or empty, and stands in `missing`."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    record: dict[str, Any] = field(default_factory=dict)  # run.json
    metrics: dict[str, Series] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    pairs: list[dict[str, Any]] = field(default_factory=list)
    benchmarks: list[dict[str, Any]] = field(default_factory=list)  # evaluation/benchmark-*.json
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)  # by stage: trajectories, pairs, tokens
    trajectories: list[Trajectory] = field(default_factory=list)  # the first few thousand
    statistics: list[Statistic] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def option(self, key: str, default: Any = None) -> Any:
        """The run's own value of a dotted config key."""
        node: Any = self.config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return default if node is None else node

    def counts(self, stage: str) -> dict[str, Any]:
        """What the stage's manifest has counted."""
        return self.manifests.get(stage, {}).get("counts") or {}


_PIECES = ("config.yaml", "run.json", "metrics.csv", "evaluation")


def gather(folder: Path, data: Path) -> Run:
    """Reads `folder`, and its stages from the data folder that `run.json` names, or else from `data`.

    Raises `UserError` when there is no such folder or it holds none of a run's pieces.
    """
    present = [name for name in _PIECES if (folder / name).exists()]
    if not present:
        state = "holds none of them" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"the run folder {folder} {state}: {', '.join(_PIECES)} were looked for{likelier_run(folder)}. Name the folder of a run, as in "
            "'python -m iterpref.report RUN', or make one: "
            f"python -m iterpref.train paths.run={shlex.quote(str(folder))}"
        )
    run = Run(folder)
    train = f"python -m iterpref.train paths.run={shlex.quote(str(folder))}"
    evaluate = f"python -m iterpref.evaluate paths.run={shlex.quote(str(folder))}"
    run.config_text = _piece(run, "config.yaml", train, Path.read_text, "")
    run.config = _parsed_config(run, train)
    run.record = _piece(run, "run.json", train, _read_record, {})
    run.metrics = _piece(run, "metrics.csv", train, read_metrics, {})
    run.before = _piece(run, "evaluation/before.json", evaluate, _read_object, None)
    run.after = _piece(run, "evaluation/after.json", evaluate, _read_object, None)
    run.pairs = _piece(run, "evaluation/pairs.jsonl", evaluate, _read_lines, [])
    for path in sorted((folder / "evaluation").glob("benchmark-*.json")):
        if found := _piece(run, f"evaluation/{path.name}", f"{evaluate} benchmark=NAME", _read_object, None):
            run.benchmarks.append(found)
    if run.record and not run.record.get("finished"):
        run.missing.append(Missing("the end of the training: it is under way, or was stopped", train))
    _gather_stages(run, data, train)
    return run


def _piece(run: Run, name: str, command: str, read: Callable[[Path], T], absent: T) -> T:
    path = run.folder / name
    if not path.is_file():
        run.missing.append(Missing(name, command))
        return absent
    try:
        return read(path)
    except (ValueError, csv.Error) as error:  # JSON and UTF-8 errors are ValueErrors
        run.missing.append(Missing(f"{name}: the file is there but cannot be read ({error})", command))
        return absent


def _parsed_config(run: Run, command: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(run.config_text)
    except yaml.YAMLError as error:
        run.missing.append(Missing(f"config.yaml: the file is there but is not YAML ({error})", command))
        return {}
    return config if isinstance(config, dict) else {}


def _read_object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, it holds a {type(value).__name__}")
    return value


# Of run.json; null, or not there, where there was nothing.
_SECTIONS = ("git", "versions", "hardware", "data", "stage_seconds")


def _read_record(path: Path) -> dict[str, Any]:
    record = _read_object(path)
    if wrong := [name for name in _SECTIONS if not isinstance(record.get(name) or {}, dict)]:
        raise ValueError(f"{', '.join(wrong)} should be JSON objects")
    return record


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def read_metrics(path: Path) -> dict[str, Series]:
    """The numeric columns of the logger's CSV but `step` and `epoch`; cells that are empty or no number are skipped."""
    metrics: dict[str, Series] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = _number(row.pop("step", None))
            row.pop("epoch", None)
            if step is None:
                continue
            for name, cell in row.items():
                value = _number(cell)
                if name and value is not None:
                    metrics.setdefault(name, []).append((step, value))
    return metrics


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):  # the last row of a killed run, or a column that is no number
        return None


def _gather_stages(run: Run, data: Path, command: str) -> None:
    keys = run.record.get("data") or {}
    # The fallback serves a run that was moved, or a report that is made from another working directory.
    folders = list(dict.fromkeys([Path(keys.get("folder") or data), data]))
    for stage in ("trajectories", "pairs", "tokens"):
        artifact = next((a for a in (_stage(folder, stage, keys.get(stage)) for folder in folders) if a), None)
        if artifact is None:
            if stage == "trajectories" and run.option("pairs.source") == "external":
                continue  # the pairs are somebody else's: no history was ever there
            what = f"{stage}: run.json names none"
            if keys.get(stage):
                what = f"{stage} {keys[stage]} under {folders[0]} (if that folder was moved, give paths.data=DIR)"
            run.missing.append(Missing(what, command))
            continue
        run.manifests[stage] = artifact.manifest
        if stage == "trajectories":
            # A handful is shown: a data set of any size makes a report.
            run.trajectories = list(islice(artifact.iterate("trajectories", Trajectory), _TRAJECTORIES))
            if artifact.table("statistics").is_file():
                run.statistics = artifact.read("statistics", Statistic)


def _stage(folder: Path, stage: str, key: str | None) -> Artifact | None:
    return find(folder / stage, key) if key else None
