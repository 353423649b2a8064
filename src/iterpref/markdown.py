"""Tables for cards, leaderboards and scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown. Anybody's text may stand in a cell: its pipes are escaped, its line ends become spaces."""
    lines = [head, *rows]
    body = ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]
    return "\n".join([body[0], "|" + "---|" * len(head), *body[1:]])


def _cell(value: object) -> str:
    return " ".join(str(value).splitlines()).replace("|", "\\|")
