"""Anyone's preference pairs become ours: rows -> prompt, chosen, rejected -> D-, D+ and filters, each drop counted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from iterpref.codeflow.code import of_text
from iterpref.codeflow.external.preferences import IMAGES, NoPair, Preference, Unsuited, check_text, read_preference
from iterpref.codeflow.external.source import Source, Table
from iterpref.codeflow.pairs import localised
from iterpref.codeflow.tally import Drop, Tally
from iterpref.config import PairsConfig
from iterpref.config.pairs import PairColumnsConfig
from iterpref.errors import UserError, nearest
from iterpref.json_lines import BadRow
from iterpref.progress import track
from iterpref.schema import SPLITS, PreferencePair

_SHOWN = 20  # columns that a message names
# What a model was told beside the prompt, where somebody's data have it in a column of its own.
_BESIDE_PROMPT = ("system", "system_prompt", "tools", "history", "input", "context")
_LOOKED_AT = 100  # first rows, of which some may lack what others say beside the prompt
# What a model thought, where turns have it beside their content.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# Which of two answers is better, where it is no column's name that says it.
_WINNERS = (
    "label", "labels", "winner", "preference", "preferred", "better_response_id", "overall_preference", "scores", "ranks",
)  # fmt: skip
log = logging.getLogger(__name__)
# Columns of our own exports, which keep what the three columns of TRL's format cannot say.
_OURS = ("pair_id", "task_id", "category", "note", "tests_sha256", "chosen_iter", "rejected_iter")


def read_pairs(source: Source, config: PairsConfig, tally: Tally) -> Iterator[PreferencePair]:
    """The pairs of all tables, in order; what is dropped goes to `tally`. Raises `UserError` as `pairs.bad_rows` says."""
    ids: set[str] = set()
    sound = repeating = 0
    given = {table.split for table in source.tables}
    for table in source.tables:
        wanted = _wanted(table, config)
        for number, row in track(table.rows(wanted), table.total, f"pairs of {table.name}"):
            tally.read += 1
            place = f"{table.place}:{number}"
            try:
                if isinstance(row, BadRow):
                    raise NoPair(row.reason)
                ours = _ours(row)
                if ours and row.get("turns") and config.columns.prompt is not None:
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
    found = {n: row[n] for n in _OURS if type(row.get(n)) is (int if n.endswith("_iter") else str)}
    for name, value in found.items():
        if isinstance(value, str):
            check_text(name, value)
        elif not -1 <= value < 2**31:
            raise NoPair(f"'{name}' is {value!r:.20}: the number of a version was expected")
    return found


def _pair(
    preference: Preference, ours: dict[str, Any], own_split: Any, row_id: str, table: Table, given: set[str | None],
    ids: set[str], source: Source, config: PairsConfig,
) -> PreferencePair | Drop:  # fmt: skip
    own_id = ours.get("pair_id", row_id)
    pair_id = own_id if own_id not in ids else row_id
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
    if own in SPLITS and table in (None, own):
        return str(own)
    if table in ("validation", "test"):
        return table
    place = int.from_bytes(hashlib.sha256(prompt_key(prompt).encode()).digest()[:8], "big") / 2**64
    test = 0.0 if "test" in given else config.test_share
    validation = 0.0 if "validation" in given else config.validation_share
    return "test" if place < test else "validation" if place < test + validation else "train"


def prompt_key(prompt: str) -> str:
    """The prompt with white space made even: what must not stand in two splits."""
    return " ".join(prompt.split())


def _wanted(table: Table, config: PairsConfig) -> list[str] | None:
    """The columns to read, where the table has columns; the first row is looked at whole, and tells whether all are there."""
    first = next((row for _, row in table.rows(None) if not isinstance(row, BadRow)), None)
    if first is not None:
        _check_columns(first, config.columns, table.place)
        _warn_of_unread([row for _, row in islice(table.rows(None), _LOOKED_AT) if not isinstance(row, BadRow)], config)
    if table.columns is None:
        return None
    c = config.columns
    return [
        n for n in table.columns if n in (c.prompt, c.chosen, c.rejected, c.system, "split", "turns", *IMAGES, *_OURS)
    ]


def _warn_of_unread(rows: list[dict[str, Any]], config: PairsConfig) -> None:
    """Says what these rows tell beside the columns that are read."""
    c = config.columns
    beside = [n for n in _BESIDE_PROMPT if n not in (c.prompt, c.system) and any(row.get(n) for row in rows)]
    if beside:
        remedy = next((f": pairs.columns.system={n} reads it" for n in beside if n.startswith("system")), "")
        log.warning("pairs.path=%s: %s is not read: what it says to the model belongs into the turns of the prompt%s",
                    config.path, " and ".join(f"'{n}'" for n in beside), remedy)  # fmt: skip
    sides = [row.get(name) for row in rows for name in (c.chosen, c.rejected)]
    turns = [turn for side in sides for turn in (side if isinstance(side, list) else [side]) if isinstance(turn, dict)]
    if thoughts := [n for n in _THOUGHTS if any(turn.get(n) for turn in turns)]:
        log.warning("pairs.path=%s: %s of the turns is not read: an answer is its content; what shall be learnt belongs there",
                    config.path, " and ".join(f"'{n}'" for n in thoughts))  # fmt: skip


def _check_columns(row: dict[str, Any], columns: PairColumnsConfig, place: str) -> None:
    """Raises `UserError` for a column that is not there, naming those that are, the nearest and the override."""
    there = ", ".join(list(row)[:_SHOWN]) + (f" and {len(row) - _SHOWN} more" if len(row) > _SHOWN else "") or "none"
    if columns.chosen not in row and columns.rejected not in row and {"completion", "label"} <= row.keys():
        raise UserError(
            f"{place} has {there}: one completion and its label a row. Such unpaired preferences are no pairs: "
            f"two answers to one prompt were expected, in '{columns.chosen}' and '{columns.rejected}'"
        )
    for name in ("chosen", "rejected"):
        column = getattr(columns, name)
        if column not in row:
            inside = [n for n, v in row.items() if isinstance(v, list) and v and isinstance(v[0], dict)]
            hint = f" (the rows seem to stand inside '{inside[0]}': they must be the top level)" if len(row) == 1 and inside else ""  # fmt: skip
            if winner := next((n for n in _WINNERS if n in row), None):
                hint += f" ('{winner}' seems to tell which answer is better: then write that one into a column of its own first)"  # fmt: skip
            raise UserError(
                f"{place} has no column '{column}'{nearest(column, row)}; it has {there}{hint}. "
                f"Say which one it is: pairs.columns.{name}=NAME"
            )
    if columns.system is not None and columns.system not in row:
        raise UserError(
            f"{place} has no column '{columns.system}'{nearest(columns.system, row)}; it has {there}. Say which one it is: "
            "pairs.columns.system=NAME, or null"
        )
    if columns.prompt is not None and columns.prompt not in row:
        # Turns tell where the prompt ends; of two texts that begin alike nothing does, and some other column may be it.
        turns = isinstance(row[columns.chosen], list) and len(row[columns.chosen]) > 1
        others = [n for n, v in row.items() if n not in (columns.chosen, columns.rejected, *_OURS) and isinstance(v, (str, list))]  # fmt: skip
        if columns.prompt != "prompt" or (others and not turns):
            raise UserError(
                f"{place} has no column '{columns.prompt}'{nearest(columns.prompt, row)}; it has {there}. Say which one "
                "it is: pairs.columns.prompt=NAME, or null where chosen and rejected begin with it"
            )
