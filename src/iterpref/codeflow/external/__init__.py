"""Anyone's preference pairs become ours: rows -> prompt, chosen, rejected -> D-, D+ and filters, each drop counted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from itertools import chain, count
from typing import Any

from iterpref.codeflow.code import of_text
from iterpref.codeflow.external.columns import OURS, columns_of
from iterpref.codeflow.external.preferences import NoPair, Preference, Unsuited, check_text, read_preference
from iterpref.codeflow.external.source import SPLIT_OF, Source, Table
from iterpref.codeflow.pairs import localised
from iterpref.codeflow.tally import Drop, Tally
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.json_lines import BadRow
from iterpref.progress import track
from iterpref.schema import PreferencePair

VERSION = 2  # grows with every change of what pairs the same rows become
log = logging.getLogger(__name__)


def read_pairs(source: Source, config: PairsConfig, tally: Tally) -> Iterator[PreferencePair]:
    """The pairs of all tables, in order; what is dropped goes to `tally`. Raises `UserError` as `pairs.bad_rows` says."""
    ids: set[str] = set()
    sound = repeating = 0
    given = {table.split for table in source.tables}
    for table in source.tables:
        columns = columns_of(table, config)
        for number, row in track(table.rows(columns.wanted), table.total, f"pairs of {table.name}"):
            tally.read += 1
            place = f"{table.place}:{number}"
            try:
                if isinstance(row, BadRow):
                    raise NoPair(row.reason)
                columns.check(row)
                ours = _ours(row)
                if ours and _are_turns(row.get("turns")) and config.columns.prompt is not None:
                    row = {**row, config.columns.prompt: row["turns"]}  # of which the prompt is the text
                preference = read_preference(row, config.columns)
            except NoPair as fault:
                if config.bad_rows == "stop":
                    raise UserError(f"{place}: {fault}. Mend the row, or drop and count all such rows with pairs.bad_rows=drop") from None  # fmt: skip
                tally.drop(place, Drop("bad_row", str(fault)))
                continue
            except Unsuited as reason:
                tally.drop(place, Drop(str(reason)))
                continue
            sound += 1
            repeating += all(text.startswith(preference.prompt) for text in (preference.chosen, preference.rejected))
            pair = _pair(
                preference, ours, row.get("split"), f"{table.name}:{number}", table, given, ids, source, config
            )
            if isinstance(pair, Drop):
                tally.drop(place, pair)
            else:
                yield pair
    if repeating > sound / 2:
        log.warning("pairs.path=%s: in %d of %d rows both answers begin with the whole prompt, which the model is taught to repeat: "
                    "cut it off the answers, unless that is meant", config.path, repeating, sound)  # fmt: skip


def _ours(row: dict[str, Any]) -> dict[str, Any]:
    """What the columns of our own exports say; empty for rows of others. Raises `NoPair` for what no table can hold."""
    own_id = row.get("pair_id")
    if not (isinstance(own_id, str) and own_id):
        return {}
    found = {n: row[n] for n in OURS if type(row.get(n)) is (int if n.endswith("_iter") else str)}
    for name, value in found.items():
        if isinstance(value, str):
            check_text(name, value)
        elif not -1 <= value < 2**31:
            raise NoPair(f"'{name}' is {value!r:.20}: the number of a version was expected")
    return found


def _are_turns(value: Any) -> bool:
    """Whether this is what our own column of that name holds, and not somebody's count of turns."""
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)


def _pair(
    preference: Preference, ours: dict[str, Any], own_split: Any, row_id: str, table: Table, given: set[str | None],
    ids: set[str], source: Source, config: PairsConfig,
) -> PreferencePair | Drop:  # fmt: skip
    # Its own id, else its place; a place may be a name as well, of a row that came out of an export of that file.
    names = chain((ours.get("pair_id", row_id), row_id), (f"{row_id}+{n}" for n in count(2)))
    pair_id = next(name for name in names if name not in ids)
    ids.add(pair_id)
    unknown = {
        "task_id": row_id,
        "chosen_iter": -1,
        "rejected_iter": -1,
        "tests_sha256": "",
        "category": "",
        "note": "",
    }
    known = {
        "pair_id": pair_id,
        "split": _split(table.split, own_split, given, preference.prompt, config),
        "prompt": preference.prompt,
        "turns": preference.messages,
        "source": source.name,
    }
    return localised(of_text(preference.rejected), of_text(preference.chosen), config, **{**unknown, **ours, **known})


def _split(table: str | None, own: Any, given: set[str | None], prompt: str, config: PairsConfig) -> str:
    """The data set's own split, else one by a hash of the prompt: equal prompts, and the same prompts next year, go together."""
    told = SPLIT_OF.get(own) if isinstance(own, str) else None
    if told is not None and table in (None, told):
        return told
    if table in ("validation", "test"):
        return table
    place = int.from_bytes(hashlib.sha256(prompt_key(prompt).encode()).digest()[:8], "big") / 2**64
    test = 0.0 if "test" in given else config.test_share
    validation = 0.0 if "validation" in given else config.validation_share
    return "test" if place < test else "validation" if place < test + validation else "train"


def prompt_key(prompt: str) -> str:
    """The prompt with white space made even: what must not stand in two splits."""
    return " ".join(prompt.split())
