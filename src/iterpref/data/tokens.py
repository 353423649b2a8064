"""The stage from text to token masks, at scale: pairs.parquet -> tokens.parquet, and never all of either in memory.

    1. a row group of pairs -> a shard: its examples, and what was dropped     worker processes, when there are many pairs
    2. shards in their order -> tokens.parquet                                 one process: the same bytes whatever made the shards

A shard is renamed into place when it is whole, so a killed run goes on with the missing ones.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from iterpref.artifacts import Artifact, building, find, fingerprint, publish, records
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.config import Config
from iterpref.data.examples import EXAMPLE_SCHEMA, to_table
from iterpref.data.masking import Drops, describe_drops, full_pairs, tokenise_pairs
from iterpref.errors import UserError
from iterpref.models.source import tokenizer_key
from iterpref.processes import end_with_parent
from iterpref.progress import track
from iterpref.registry import MASKS, added_sources, import_plugins
from iterpref.schema import PreferencePair

log = logging.getLogger(__name__)

# Below so many pairs a second process costs more to start than it saves: seconds of imports, against 2 ms a pair.
_MANY_PAIRS = 4096
_NOTE = b"iterpref"  # key of a shard's note in its schema


@dataclass(frozen=True)
class Work:
    """What makes a shard out of a row group; sent to worker processes as it is."""

    pairs: Artifact
    shards: Path
    model: Path
    config: Config

    def shard(self, index: int) -> Path:
        return self.shards / f"{index:05d}.arrow"


def tokens_stage(data: Path, pairs: Artifact, model: Path, config: Config, workers: int | None = None) -> Artifact:
    """Token ids and masks of every pair that `tokenise_pairs` does not drop; raises `UserError` when none is left.

    Args:
        workers: processes; None: one a core for many pairs, else this process alone. The result is the same to the byte.
    """
    key, described = _identity(pairs, model, config)
    folder = data / "tokens"
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        groups = pairs.row_groups("pairs")
        total = sum(groups)
        work = Work(pairs, folder / f".{key}.shards", model, config)
        work.shards.mkdir(exist_ok=True)
        _make_shards(work, len(groups), workers or (usable_cores() if total >= _MANY_PAIRS else 1))
        notes = [_note(work.shard(i)) for i in range(len(groups))]
        drops: Drops = {}
        for note in notes:
            for reason, ids in note["drops"].items():
                drops.setdefault(reason, []).extend(ids)
        left = sum(note["examples"] for note in notes)
        if drops:
            log.warning("pairs dropped: %s; limits on length: data.max_prompt_tokens, data.max_completion_tokens",
                        describe_drops(drops))  # fmt: skip
        if not left:
            raise UserError(
                f"all {total} pairs are dropped ({describe_drops(drops)}): "
                "raise data.max_prompt_tokens or data.max_completion_tokens"
            )
        counts: dict[str, Any] = {"pairs": total, "examples": left, "dropped": {k: len(v) for k, v in drops.items()}}
        # `_assembled` counts tokens while publish writes the table; the manifest comes after it.
        manifest = {"stage": "tokens", "pairs": pairs.fingerprint, **described, "counts": counts}
        tables = _assembled(work, notes, counts)
        artifact = publish(folder, key, {"tokens": (EXAMPLE_SCHEMA, tables)}, manifest)
        shutil.rmtree(work.shards)
        return artifact


def _identity(pairs: Artifact, model: Path, config: Config) -> tuple[str, dict[str, Any]]:
    """The stage's key, and what of it the manifest tells. The seed counts only where something is drawn."""
    limits = {name: getattr(config.data, name) for name in ("max_prompt_tokens", "max_completion_tokens", "overlong")}
    mask = asdict(config.mask)
    drawn = config.mask.full_share > 0 or "diff_aug" in (config.mask.chosen, config.mask.rejected)
    tokenizer, seed = tokenizer_key(model), config.seed if drawn else None
    added = added_sources(chosen=(MASKS, config.mask.chosen), rejected=(MASKS, config.mask.rejected))
    key = fingerprint(
        "tokens",
        pairs.fingerprint,
        mask,
        limits,
        tokenizer,
        config.model.prompt_format,
        seed,
        *([added] if added else []),
    )
    described = {"mask": mask, "prompt_format": config.model.prompt_format, "seed": seed, **limits}
    return key, {"tokenizer": tokenizer, "config": described}


def _make_shards(work: Work, groups: int, workers: int) -> None:
    missing = [i for i in range(groups) if not _is_whole(work.shard(i))]
    mask = work.config.mask
    # A rule out of a notebook is known to no other process.
    workers = 1 if MASKS.is_local(mask.chosen) or MASKS.is_local(mask.rejected) else min(workers, len(missing))
    if workers <= 1:
        for i in track(missing, len(missing), "tokens and masks"):
            make_shard(work, i)
        return
    # A fresh interpreter each: a fork of a process with threads (ours has rich's, torch's, the tokenizer's) may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        futures = [pool.submit(make_shard, work, i) for i in missing]
        try:
            for future in track(as_completed(futures), len(futures), "tokens and masks"):
                future.result()
        except BrokenProcessPool:
            raise UserError(
                "a process that makes tokens and masks was killed (out of memory?); what is finished is kept: "
                "run the same command again to go on"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a process a core is parallel enough
    end_with_parent()


def make_shard(work: Work, index: int) -> None:
    """Writes one shard: the examples of the row group, and in its schema what was dropped."""
    import_plugins(work.config.plugins)
    from iterpref.models.policy import render_prompts

    tokenizer, config = _tokenizer(work.model), work.config
    # The pairs of `full_share` are drawn among those that are kept, which no shard knows alone.
    mask = replace(config.mask, full_share=0.0)
    pairs = records(PreferencePair, work.pairs.row_group("pairs", index))
    prompts = render_prompts(tokenizer, [p.conversation for p in pairs], config.model)
    examples, drops = tokenise_pairs(pairs, prompts, tokenizer, mask, config.data, config.seed)
    note = {"drops": drops, "examples": len(examples), "eos": tokenizer.eos_token_id}
    table = to_table(examples).replace_schema_metadata({_NOTE: json.dumps(note)})
    partial = work.shard(index).with_suffix(f".{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    partial.rename(work.shard(index))


@lru_cache(maxsize=1)
def _tokenizer(model: Path) -> Any:
    from iterpref.models.policy import load_tokenizer

    return load_tokenizer(model)


def _is_whole(shard: Path) -> bool:
    if not shard.is_file():
        return False
    try:
        _read(shard)
    except pa.ArrowInvalid:  # a machine that lost power may have kept the name and not the bytes
        return False
    return True


def _read(shard: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(shard))).read_all()


def _note(shard: Path) -> dict[str, Any]:
    return json.loads(pa.ipc.open_file(pa.memory_map(str(shard))).schema.metadata[_NOTE])


def _assembled(work: Work, notes: list[dict[str, Any]], counts: dict[str, Any]) -> Iterator[pa.Table]:
    """The shards in their order, the pairs of `full_share` with full masks; counts on the way."""
    paths, mask = [work.shard(i) for i in range(len(notes))], work.config.mask
    full: frozenset[str] = frozenset()
    if mask.full_share:
        columns = [_read(path).select(["split", "pair_id"]).to_pydict() for path in paths]
        full = full_pairs(((s, i) for c in columns for s, i in zip(c["split"], c["pair_id"], strict=True)), mask.full_share,
                          work.config.seed)  # fmt: skip
    for path, note in zip(paths, notes, strict=True):
        table = _read(path).replace_schema_metadata(None)
        if not table.num_rows:
            continue
        if full:
            is_full = np.array([pair_id in full for pair_id in table.column("pair_id").to_pylist()])
            table = _with_full_masks(table, is_full, None if mask.eos else note["eos"])
        _count(table, counts)
        yield table


def _with_full_masks(table: pa.Table, is_full: Any, uncounted: int | None) -> pa.Table:
    """`masking.with_full_masks` for the marked rows of a table."""
    for side in ("chosen", "rejected"):
        at = table.schema.get_field_index(f"{side}_mask")
        mask, ids = table.column(at).combine_chunks(), table.column(f"{side}_ids").combine_chunks()
        marked = np.repeat(is_full, table.column(f"n_{side}").to_numpy())
        values = np.where(marked, ids.values.to_numpy() != uncounted, mask.values.to_numpy()).astype(np.float32)
        table = table.set_column(at, table.schema.field(at), pa.ListArray.from_arrays(mask.offsets, pa.array(values)))
    return table


def _count(table: pa.Table, counts: dict[str, Any]) -> None:
    for split, n in Counter(table.column("split").to_pylist()).items():
        counts.setdefault("splits", Counter())[split] += n
    lengths = {name: int(table.column(f"n_{name}").to_numpy().sum()) for name in ("prompt", "chosen", "rejected")}
    focal = table.column("rejected_focal").combine_chunks().values.to_numpy()
    for name, n in (
        ("tokens", sum(lengths.values())), ("tokens_rejected", lengths["rejected"]), ("focal_tokens_rejected", int(focal.sum())),
    ):  # fmt: skip
        counts[name] = counts.get(name, 0) + n
