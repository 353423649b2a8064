"""`pairs=PATH` on the command line: short for `pairs=external pairs.path=PATH`, written out before Hydra composes.

A word that is a choice of the group stays one; a path or a hub id (OWNER/NAME) is data; anything else is a mistake that is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from iterpref.config.pairs import HUB_ID
from iterpref.errors import UserError, nearest, nearest_file

_DATA_SUFFIX = re.compile(r"\.(json|jsonl|ndjson|parquet|csv|tsv|txt|gz|arrow|zip|zst)$", re.IGNORECASE)


def write_out(arguments: Sequence[str], choices: Sequence[str], quote: Callable[[str], str]) -> list[str]:
    """The arguments with `pairs=PATH` written out. Raises `UserError` for a value that is no choice, path or hub id."""
    written: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name != "pairs" or not equals or value in choices:
            written.append(argument)
            continue
        paths = _paths(value, choices)
        if paths is None:
            written.append(argument)
        else:
            written += ["pairs=external", "pairs.path=" + ",".join(map(quote, paths))]
    return written


def _paths(value: str, choices: Sequence[str]) -> list[str] | None:
    """The paths that the value names (several: a sweep), or None where it is about choices and so Hydra's to read."""
    if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
        value = value[1:-1]
    if _is_data(value) and ("," not in value or Path(value).expanduser().exists()):
        return [_checked(value)]
    words = [word.strip() for word in value.split(",")]
    if all(word in choices for word in words):
        return None
    if all(_is_data(word) for word in words):
        return [_checked(word) for word in words]
    if len(words) > 1 and any(_is_data(word) for word in words):
        raise UserError(
            f"pairs={value}: a sweep over choices ({', '.join(choices)}) and paths at once; sweep one kind, "
            "and paths with pairs=external pairs.path=A,B"
        )
    wrong = next(word for word in words if word not in choices)
    if value in ("", "null"):
        raise UserError(f"pairs={value} is none of {', '.join(choices)}, and no path")
    raise UserError(
        f"pairs={wrong} is none of {', '.join(choices)}{nearest(wrong, choices) or '.'} Nor is there a file or folder '{wrong}' in "
        f"{os.getcwd()}; a data set on the hub is named OWNER/NAME"
    )


def _is_data(word: str) -> bool:
    return bool(word) and (
        "/" in word or os.sep in word or bool(_DATA_SUFFIX.search(word)) or Path(word).expanduser().exists()
    )


def _checked(word: str) -> str:
    if not Path(word).expanduser().exists() and (_DATA_SUFFIX.search(word) or not HUB_ID.fullmatch(word)):
        hint = nearest_file(Path(word).expanduser())
        raise UserError(f"pairs={word}: there is no such file or folder in {os.getcwd()}{hint}")
    return word
