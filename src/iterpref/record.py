"""Frozen dataclasses that go to JSON types and back."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self, get_args, get_type_hints


class Record:
    """Round trip between a frozen dataclass and plain JSON types: `T.from_dict(t.to_dict()) == t`."""

    def to_dict(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in _names(type(self))}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Self:
        """Builds the record, nested records included; raises `KeyError` naming a missing field."""
        hints = field_types(cls)  # type: ignore[arg-type]
        known: dict[str, Any] = {}
        for item in fields(cls):  # type: ignore[arg-type]
            if item.name in row:
                known[item.name] = revive(hints[item.name], row[item.name])
        missing = [f.name for f in fields(cls) if f.name not in known and not _has_default(f)]  # type: ignore[arg-type]
        if missing:
            raise KeyError(f"{cls.__name__} needs the field(s) {', '.join(missing)}; the row has {sorted(row)}")
        return cls(**known)


@lru_cache
def _names(record: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(record))


def _plain(value: Any) -> Any:
    """What `dataclasses.asdict` makes of a field, without its deep copies: nothing in a record can be changed."""
    if isinstance(value, Record):
        return value.to_dict()
    return type(value)(map(_plain, value)) if type(value) in (tuple, list) else value


@lru_cache
def field_types(record: type[Any]) -> dict[str, Any]:
    """The type of each field; worked out once, for it costs more than reading a row."""
    return get_type_hints(record)


def _has_default(item: Any) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING


def revive(hint: Any, value: Any) -> Any:
    """A value of plain JSON types as a field of type `hint` has it: tuples for lists, records for dicts."""
    if value is None:
        return None
    arguments = [a for a in get_args(hint) if a not in (type(None), Ellipsis)]
    if isinstance(value, (list, tuple)) and arguments:
        return tuple(revive(arguments[0], v) for v in value)
    inner = arguments[0] if len(arguments) == 1 and not isinstance(value, (list, tuple)) else hint
    if isinstance(inner, type) and is_dataclass(inner) and isinstance(value, dict):
        return inner.from_dict(value)  # type: ignore[attr-defined]
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return inner(value)
    return value
