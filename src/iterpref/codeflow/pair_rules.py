"""The rules that look at more than one pair: no prompt in two splits, no evaluation task, no near-duplicate.

They read the columns that they need from a spool, and decide by index: the pairs themselves are never in memory.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from iterpref.artifacts import ROWS_PER_GROUP
from iterpref.codeflow.contamination import Contamination, EvaluationTask
from iterpref.codeflow.external import prompt_key
from iterpref.codeflow.neardup import near_duplicates
from iterpref.codeflow.spool import Spool
from iterpref.codeflow.tally import Drop, Tally
from iterpref.config import PairsConfig
from iterpref.progress import track
from iterpref.schema import SPLITS, PreferencePair

log = logging.getLogger(__name__)

Note = Callable[[int], str]  # what a rule has seen on a pair, by the pair's index


class Sieve:
    """Which pairs of a spool are kept so far, and the notes of the rules that they passed."""

    def __init__(self, pairs: Spool[PreferencePair], tally: Tally) -> None:
        self.pairs, self._tally = pairs, tally
        self.kept = np.ones(len(pairs), bool)
        self.notes: list[tuple[str, Note]] = []

    def rows(self, *columns: str) -> Iterator[tuple[int, tuple[object, ...]]]:
        """`(index, values)` of the pairs that are kept when they are read."""
        for i, values in enumerate(self.pairs.rows(*columns)):
            if self.kept[i]:
                yield i, values

    def drop(self, drops: Mapping[int, Drop]) -> None:
        if drops:
            for i, (pair_id,) in self.rows("pair_id"):
                if i in drops:
                    self._tally.drop(str(pair_id), drops[i])
            self.kept[list(drops)] = False

    def tables(self) -> Iterator[pa.Table]:
        """The kept pairs with the notes among their filters, `ROWS_PER_GROUP` at a time."""
        waiting: list[pa.Table] = []
        start = 0
        for table in self.pairs.tables():
            kept = np.flatnonzero(self.kept[start : start + table.num_rows])
            if len(kept):
                waiting.append(self._noted(table.take(pa.array(kept)), (start + kept).tolist()))
            start += table.num_rows
            while sum(t.num_rows for t in waiting) >= ROWS_PER_GROUP:
                whole = pa.concat_tables(waiting).combine_chunks()
                yield whole.slice(0, ROWS_PER_GROUP)
                waiting = [whole.slice(ROWS_PER_GROUP)]
        if any(t.num_rows for t in waiting):
            yield pa.concat_tables(waiting).combine_chunks()

    def _noted(self, table: pa.Table, indices: Sequence[int]) -> pa.Table:
        for name, note in self.notes:
            table = with_note(table, name, [note(i) for i in indices])
        return table


def with_note(table: pa.Table, name: str, details: Sequence[str]) -> pa.Table:
    """The pairs, each having passed the rule `name`."""
    at = table.schema.get_field_index("filters")
    filters = [
        [*old, {"name": name, "passed": True, "detail": detail}]
        for old, detail in zip(table["filters"].to_pylist(), details, strict=True)
    ]
    field = table.schema.field(at)
    return table.set_column(at, field, pa.array(filters, field.type))


def rules_between(
    pairs: Spool[PreferencePair], config: PairsConfig, tasks: Sequence[EvaluationTask], tally: Tally, folder: Path
) -> Sieve:
    """The pairs that pass, in a sieve; those that do not go to `tally`. `folder` is for what does not fit into memory."""
    sieve = Sieve(pairs, tally)
    sieve.drop(_held_out_elsewhere(sieve))
    if tasks:
        _keep_out(sieve, Contamination(tasks, config.contamination_ngram), config.contamination_share)
    if config.near_duplicate is not None:
        sieve.drop(_near_duplicates(sieve, config.near_duplicate, config.near_duplicate_by, folder))
        sieve.notes.append(("near_duplicate", lambda i: ""))
    return sieve


def _held_out_elsewhere(sieve: Sieve) -> dict[int, Drop]:
    """Pairs whose prompt stands in a split that is further from training. 33 bytes of memory a pair."""
    digests, splits = bytearray(), bytearray()
    for _, (prompt, split) in sieve.rows("prompt", "split"):
        digests += hashlib.blake2b(prompt_key(str(prompt)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        splits.append(SPLITS.index(str(split)))
    own = np.frombuffer(bytes(splits), np.uint8)
    _, of = np.unique(np.frombuffer(bytes(digests), "S16"), return_inverse=True)
    furthest = np.zeros(len(own), np.uint8)
    np.maximum.at(furthest, of, own)
    home = furthest[of]
    return {
        i: Drop("prompt_in_held_out_split", f"{SPLITS[own[i]]} pair, prompt of {SPLITS[home[i]]}")
        for i in np.flatnonzero(home != own).tolist()
    }


def _keep_out(sieve: Sieve, index: Contamination, least: float) -> None:
    """Drops what holds an evaluation task; the others say how near they come. 16 bytes of memory a pair."""
    if index.too_short:
        log.warning(
            "%d texts of evaluation tasks are shorter than pairs.contamination_ngram=%d tokens: pairs that hold them are not found",
            index.too_short, index.n,
        )  # fmt: skip
    shares = np.zeros(len(sieve.kept))
    nearest = np.full(len(sieve.kept), -1)
    total = int(sieve.kept.sum())
    names: dict[str, int] = {}
    drops = {}
    for i, (prompt, chosen, split) in track(sieve.rows("prompt", "chosen", "split"), total, "contamination"):
        if (found := index.measure((str(prompt), str(chosen)), str(split))) is None:
            continue
        shares[i], nearest[i] = found.share, names.setdefault(found.task, len(names))
        if found.share >= least:
            drops[i] = Drop("filter_contamination", f"{found.share:.0%} of {found.task}")
    sieve.drop(drops)
    tasks = list(names)
    sieve.notes.append(
        ("contamination", lambda i: f"at most {shares[i]:.0%} of {tasks[nearest[i]]}" if nearest[i] >= 0 else "")
    )


def _near_duplicates(sieve: Sieve, threshold: float, by: str, folder: Path) -> dict[int, Drop]:
    kept = np.flatnonzero(sieve.kept)
    columns = (values for _, values in sieve.rows("task_id", "prompt", "chosen"))
    rows = ((str(task), str(prompt), str(chosen)) for task, prompt, chosen in track(columns, len(kept), "shingles"))
    found = near_duplicates(rows, threshold, by, folder)
    others = {int(kept[similar.other]) for similar in found.values()}
    names = {i: pair_id for i, (pair_id,) in sieve.rows("pair_id") if i in others}
    return {
        int(kept[n]): Drop("filter_near_duplicate", f"{s.similarity:.2f} like {names[int(kept[s.other])]} by {s.by}")
        for n, s in found.items()
    }
