"""The error that a user is meant to read, and the hints that end it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user can mend. The message says what was expected, what came, where, and the remedy."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """`"; did you mean 'x'?"`, or an empty string when nothing is near."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def nearest_file(path: Path) -> str:
    """What may have been meant by a path that is not there: its nearest neighbour, or that the folder is missing as well."""
    folder = path.parent
    if not folder.is_dir():
        return f" (nor a folder {folder})"
    return nearest(path.name, [p.name for p in folder.iterdir()])
