"""One field of the schema."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    choices: Collection[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """A field with its sentence and its range: `low <= value <= high`, `above < value`, or one of `choices`,
    which may be a registry that grows."""
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "above": above}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def section(help: str) -> dict[str, Any]:
    """Metadata of a section within a section: its sentence, and no range."""
    return {"help": help, "choices": None, "low": None, "high": None, "above": None}
