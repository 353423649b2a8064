"""JSON without a silent loss: of other people (`loads`), what has no single meaning is named; of ours (`read_object`), what was damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iterpref.errors import UserError


class Decoder(json.JSONDecoder):
    """`json.JSONDecoder`, whose `doubled` is the first name that an object of the last text holds twice, or empty.

    Of the two values none is known to be the one that was meant. An integer of more digits than Python reads becomes a float.
    """

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=self._object, parse_int=_integer)
        self.doubled = ""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        self.doubled = ""
        return super().raw_decode(s, idx)

    def _object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members) and not self.doubled:
            names = [name for name, _ in members]
            self.doubled = next(name for name in names if names.count(name) > 1)
        return found


def loads(text: str) -> Any:
    """`json.loads(text)`, whose `ValueError` also names what stands twice; `RecursionError` for nesting without end."""
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark (BOM) stands in front of it")
    decoder = Decoder()
    value = decoder.decode(text)
    if decoder.doubled:
        raise ValueError(twice(decoder.doubled))
    return value


def twice(name: str) -> str:
    return f"'{name}' stands twice in one object"


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a file that we wrote; where it was damaged since, a `UserError` that ends in `remedy`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of UTF-8 as well
        raise UserError(f"{path} is not valid JSON ({error}), it was damaged: {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__} and no object, it was damaged: {remedy}")
    return value
