"""Our pairs as a folder that `datasets.load_dataset` and TRL's trainers open as it is: Parquet by split, and a card.

FOLDER/README.md, FOLDER/data/{train,validation,test}.parquet, FOLDER/.iterpref.json (what we wrote, with its hashes)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iterpref.artifacts import Artifact, arrow_schema, file_sha256
from iterpref.codeflow.card import Statistics, card
from iterpref.errors import UserError
from iterpref.schema import SPLITS, Message

MARKER = ".iterpref.json"
_TURNS = pa.list_(pa.struct(arrow_schema(Message)))


def export_pairs(
    pairs: Artifact, trajectories: Artifact | None, folder: Path, form: str, hub: str | None = None
) -> Path:
    """Writes the pairs to `folder`, renamed into place when complete; raises `UserError` rather than touch what is not ours.

    `form` is `plain` (prompt, chosen, rejected are texts), `conversational` (lists of role and content), or `auto`: plain
    unless a prompt has several turns, which no text can say. `hub` is where the card says that it can be found.
    """
    check_folder(folder)
    folder = folder.resolve()  # behind a link: the link stays, and what it leads to is written
    several = _has_turns(pairs)
    if form == "plain" and several:
        raise UserError(
            "export.form=plain: some prompts have several turns, which a text cannot say; use export.form=conversational"
        )
    conversational = form == "conversational" or several
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)
    statistics = _write_splits(pairs, partial / "data", conversational)
    text = card(folder.name, pairs.manifest, trajectories, statistics, conversational, hub)
    (partial / "README.md").write_text(text, encoding="utf-8")
    files = {str(p.relative_to(partial)): file_sha256(p) for p in sorted(partial.rglob("*")) if p.is_file()}
    (partial / MARKER).write_text(json.dumps({"pairs": pairs.fingerprint, "files": files}, indent=1) + "\n")
    old = folder.parent / f".{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def check_folder(folder: Path) -> None:
    """Raises `UserError` unless the folder is new, empty, or holds an export of ours that nobody changed."""
    here = Path.cwd()
    if folder.resolve() in (here, *here.parents):
        raise UserError(
            f"export.path={folder}: you stand in this folder, and an export is put in its place as a whole: give a new folder"
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"export.path={folder} is a file: give a folder")
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
    try:
        files = json.loads((folder / MARKER).read_text())["files"]
    except (OSError, ValueError, KeyError):
        files = None
    if not present:
        return
    if not isinstance(files, dict):
        raise UserError(f"export.path={folder} holds files that are no export of ours ({', '.join(sorted(present)[:3])}): give a new folder")  # fmt: skip
    foreign = sorted(present - {*files, MARKER})
    changed = sorted(name for name in files if name in present and file_sha256(folder / name) != files[name])
    if foreign or changed:
        raise UserError(
            f"export.path={folder}: {', '.join((foreign + changed)[:3])} came or changed after the last export: "
            "give a new folder, or take them away"
        )


def _write_splits(pairs: Artifact, folder: Path, conversational: bool) -> Statistics:
    statistics = Statistics()
    writers: dict[str, pq.ParquetWriter] = {}
    try:
        for batch in pairs.batches("pairs", 1024):
            table = pa.Table.from_batches([batch])
            statistics.add(table)
            for split in SPLITS:
                rows = _as_exported(table.filter(pa.compute.equal(table["split"], split)), conversational)
                if rows.num_rows:
                    if split not in writers:
                        writers[split] = pq.ParquetWriter(folder / f"{split}.parquet", rows.schema)
                    writers[split].write_table(rows)
    finally:
        for writer in writers.values():
            writer.close()
    return statistics


def _as_exported(table: pa.Table, conversational: bool) -> pa.Table:
    """Without `turns`, which TRL's format says by its prompt; `prompt`, `chosen` and `rejected` first."""
    first = ("prompt", "chosen", "rejected")
    rest = [c for c in table.column_names if c not in (*first, "turns")]
    if not conversational:
        return table.select([*first, *rest])
    prompts = [
        turns or [{"role": "user", "content": prompt}]
        for turns, prompt in zip(table["turns"].to_pylist(), table["prompt"].to_pylist(), strict=True)
    ]
    columns: dict[str, Any] = {"prompt": pa.array(prompts, _TURNS)}
    for side in ("chosen", "rejected"):
        columns[side] = pa.array([[{"role": "assistant", "content": text}] for text in table[side].to_pylist()], _TURNS)
    return pa.table({**columns, **{name: table[name] for name in rest}})


def _has_turns(pairs: Artifact) -> bool:
    turns = pairs.load("pairs", ["turns"])["turns"]
    return bool(pa.compute.any(pa.compute.greater(pa.compute.list_value_length(turns), 0)).as_py())
