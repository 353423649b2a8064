"""Reads the file that wandb writes offline: a log of protobuf records, in blocks as LevelDB has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32768
_HEADER = 7  # of the file: its mark, and of each piece: checksum, length, kind


def records(path: Path) -> Iterator[Any]:
    """The protobuf records, in their order; what a killed process left half written at the end is passed over."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data.startswith(b":W&B"), path
    at, parts = _HEADER, []
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK  # no header fits: the rest of the block is filled with zeros
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts.append(data[at + _HEADER : at + _HEADER + length])
        at += _HEADER + length
        if kind in (1, 4) and at <= len(data):  # whole, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            yield record
            parts = []


class OfflineRun:
    """What an offline run's file says: id, group, tags, config, defined metrics, history rows, summary, artifacts, exit code."""

    def __init__(self, path: Path) -> None:
        self.path, self.id, self.group = path, "", ""
        self.file_id = path.stem.removeprefix("run-")
        self.config: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.artifacts: list[Any] = []
        self.exit_code: int | None = None  # None: the run was killed
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.id, self.group, self.tags = record.run.run_id, record.run.run_group, list(record.run.tags)
                self.job_type = record.run.job_type
                self.config |= _items(record.run.config.update)
            elif kind == "config":
                self.config |= _items(record.config.update)
            elif kind == "metric":
                self.metrics[record.metric.name or record.metric.glob_name] = record.metric
            elif kind == "history":
                self.history.append(_items(record.history.item))
            elif kind == "summary":
                self.summary |= _items(record.summary.update)  # of a nested value the last record has all
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "exit":
                self.exit_code = record.exit.exit_code


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        *path, last = [item.key] if item.key else item.nested_key
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = json.loads(item.value_json)
    return found


def offline_runs(folder: Path) -> list[OfflineRun]:
    """Every offline run below `folder`, in the order of its files' names."""
    return [OfflineRun(path) for path in sorted(folder.rglob("run-*.wandb"))]
