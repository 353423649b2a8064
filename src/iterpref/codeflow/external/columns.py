"""Which columns of somebody's table are read: the first rows tell whether they are there, and what stands beside them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from typing import Any

from iterpref.codeflow.external.preferences import IMAGES, NoPair
from iterpref.codeflow.external.source import SPLIT_OF, Table
from iterpref.config import PairsConfig
from iterpref.config.pairs import PairColumnsConfig
from iterpref.errors import UserError, nearest
from iterpref.json_lines import BadRow

_SHOWN = 20  # columns that a message names
_LOOKED_AT = 100  # first rows, of which some may lack what others have
# What a model was told beside the prompt, where somebody's data have it in a column of its own.
_BESIDE_PROMPT = ("system", "system_prompt", "tools", "history", "input", "context")
# What a model thought, where turns have it beside their content.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# Which of two answers is better, where it is no column's name that says it.
_WINNERS = (
    "label", "labels", "winner", "preference", "preferred", "better_response_id", "overall_preference", "scores", "ranks",
)  # fmt: skip
# Columns of our own exports, which keep what the three columns of TRL's format cannot say.
OURS = ("pair_id", "task_id", "category", "note", "tests_sha256", "chosen_iter", "rejected_iter")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Columns:
    """`wanted` are those to read (None: a row tells its own); with `prompted` some of the first rows have a prompt of its own."""

    names: PairColumnsConfig
    wanted: list[str] | None
    prompted: bool

    def check(self, row: dict[str, Any]) -> None:
        """Raises `NoPair` for a row of two texts without the prompt that others have: what the texts share is not it."""
        lacks = self.prompted and self.names.prompt not in row
        if lacks and isinstance(row.get(self.names.chosen), str):
            raise NoPair(f"there is no '{self.names.prompt}', which other rows have, only {', '.join(sorted(row))}")


def columns_of(table: Table, config: PairsConfig) -> Columns:
    """The columns to read; raises `UserError` where none of the first rows has one of them."""
    c = config.columns
    rows = [row for _, row in islice(table.rows(None), _LOOKED_AT) if not isinstance(row, BadRow)]
    if not rows:  # all of the first are bad: the first good one speaks alone
        rows = list(islice((row for _, row in table.rows(None) if not isinstance(row, BadRow)), 1))
    if rows:
        _check_columns(_as_one(rows), c, table.place)
        if table.columns is None and len(rows) == 1:
            _refuse_whole_columns(rows[0], c, table.place)
        _warn_of_unread(rows, config)
    wanted = None
    if table.columns is not None:
        read = (c.prompt, c.chosen, c.rejected, c.system, "split", "turns", *IMAGES, *OURS)
        wanted = [name for name in table.columns if name in read]
    return Columns(c, wanted, any(c.prompt in row for row in rows))


def _as_one(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Every column of the rows with its first value that says something: one row may lack what the others have."""
    found: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if not found.get(name):
                found[name] = value
    return found


def _warn_of_unread(rows: list[dict[str, Any]], config: PairsConfig) -> None:
    """Says what these rows tell that is not read, or not understood."""
    c = config.columns
    beside = [n for n in _BESIDE_PROMPT if n not in (c.prompt, c.system) and any(row.get(n) for row in rows)]
    if beside:
        remedy = next((f": pairs.columns.system={n} reads it" for n in beside if n.startswith("system")), "")
        log.warning("pairs.path=%s: %s is not read: what it says to the model belongs into the turns of the prompt%s",
                    config.path, " and ".join(f"'{n}'" for n in beside), remedy)  # fmt: skip
    if others := sorted({f"{s!r:.40}" for row in rows if (s := row.get("split")) and s not in tuple(SPLIT_OF)}):
        log.warning("pairs.path=%s: the column 'split' holds %s, and %s are known: such rows are split by their prompts",
                    config.path, ", ".join(others[:_SHOWN]), ", ".join(SPLIT_OF))  # fmt: skip
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
        others = [n for n, v in row.items() if n not in (columns.chosen, columns.rejected, *OURS) and isinstance(v, (str, list))]  # fmt: skip
        if columns.prompt != "prompt" or (others and not turns):
            raise UserError(
                f"{place} has no column '{columns.prompt}'{nearest(columns.prompt, row)}; it has {there}. Say which one "
                "it is: pairs.columns.prompt=NAME, or null where chosen and rejected begin with it"
            )


def _refuse_whole_columns(row: dict[str, Any], columns: PairColumnsConfig, place: str) -> None:
    """Raises `UserError` where the only row has the texts of all rows in each of its columns."""
    if all(_is_column(row[n]) for n in (columns.prompt, columns.chosen, columns.rejected) if n in row):
        raise UserError(
            f'{place} holds whole columns, and an object for each row was expected: python -c "import pandas; pandas.read_json('
            f"'{place}', dtype=False).to_json('pairs.jsonl', orient='records', lines=True)\""
        )


def _is_column(value: Any) -> bool:
    """All rows' texts in the place of one: a list, or an object by the rows' numbers, as pandas writes it."""
    texts = list(value.values()) if isinstance(value, dict) and "0" in value else value
    return isinstance(texts, list) and bool(texts) and all(isinstance(text, str) for text in texts)
