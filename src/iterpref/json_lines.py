"""JSON lines as a stream: the object of each line, or why the line holds none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from iterpref import strict_json


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why; who reads decides whether that stops the reading."""

    reason: str


Row = dict[str, Any] | BadRow


def json_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Row]]:
    """Number, from 1, and object of each line that is not blank. A byte order mark may stand in front of the first."""
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield number, BadRow(f"not UTF-8 ({error.reason} at byte {error.start} of the line)")
            continue
        if line.strip():
            yield number, _row(line)


def _row(line: str) -> Row:
    try:
        return as_object(strict_json.loads(line))
    except ValueError as error:
        hint = "; rows over several lines must stand in a list [...]" if line.strip() == "{" else ""
        return BadRow(f"not a JSON object ({error}){hint}")
    except RecursionError:
        return BadRow("nested too deep")


def as_object(value: Any) -> Row:
    """The value, if it is an object."""
    return value if isinstance(value, dict) else BadRow(f"a JSON object was expected, {type(value).__name__} came")
