"""Has a namespace or a function changed? Asked of its memory, without touching the objects that it holds.

To ask Python for an object counts a reference: a write, for which a forked child has to copy the object's page. Reading
the table itself costs no page. Layouts: CPython 3.11 to 3.13 on 64 bits, Include/internal/pycore_dict.h and
Include/cpython/{dictobject,funcobject,cellobject}.h; what else there is answers "perhaps".
"""

from __future__ import annotations

import ctypes
import gc
import sys
from array import array
from collections.abc import Iterable, Mapping
from types import CellType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DICT_BYTES, USED, KEYS = 48, (16, 8), (32, 16)  # offset and size: number of items; where keys and values lie
KEYS_HEAD = 16  # counts references, and names a version for the specialised code that reads it
BODY = (16, 56)  # of a function: globals, builtins, names, code, defaults, keyword defaults
CELL = (16, 8)  # of a closure's variable: what it holds
_read = ctypes._string_at  # type: ignore[attr-defined]


class Image:
    """What the memory of namespaces and functions held when this was made. Whoever makes it keeps alive what they hold:
    an address then belongs to one object only."""

    def __init__(
        self,
        namespaces: Iterable[Mapping[str, Any]] = (),
        functions: Iterable[FunctionType] = (),
        cells: Iterable[CellType] = (),
    ) -> None:
        self._heads, self._tables = _Spans(), _Spans()
        for namespace in map(_dict, namespaces):
            place = id(namespace)
            for offset, size in (USED, KEYS):
                self._heads.add(place + offset, size)
            keys = int.from_bytes(_read(place + KEYS[0], 8), sys.byteorder)
            self._tables.add(keys + KEYS_HEAD, namespace.__sizeof__() - DICT_BYTES - KEYS_HEAD)
        for function in functions:
            self._heads.add(id(function) + BODY[0], BODY[1])
        for cell in cells:
            self._heads.add(id(cell) + CELL[0], CELL[1])
        # The tables' places are good for as long as the heads are what they were.
        self._before = self._heads.read(), self._tables.read()

    def unchanged(self) -> bool:
        """False may also mean that it was changed and put back."""
        return self._heads.read() == self._before[0] and self._tables.read() == self._before[1]


class _Spans:
    """Stretches of memory. Numbers in arrays, whose reading touches no object either."""

    def __init__(self) -> None:
        self._places, self._sizes = array("Q"), array("Q")

    def add(self, place: int, size: int) -> None:
        self._places.append(place)
        self._sizes.append(size)

    def read(self) -> bytes:
        return b"".join(map(_read, self._places, self._sizes))


def _dict(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A class shows its dict through a proxy only."""
    if isinstance(namespace, dict):
        return namespace
    found: dict[str, Any] = gc.get_referents(namespace)[0]
    return found


def _is_known() -> bool:
    """Whether every change of a specimen is seen here."""
    if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.maxsize < 1 << 32:
        return False
    if not getattr(sys, "_is_gil_enabled", bool)() and sys.version_info >= (3, 13):
        return False

    class Specimen:
        a = 1

        def b(self, x: int = 0, *, y: int = 0) -> int:
            return x + y

    function: Any = Specimen.__dict__["b"]
    cell = CellType(1)
    keeping = [*vars(Specimen).values(), function.__code__, function.__defaults__, function.__kwdefaults__]
    changes: list[tuple[Any, Any]] = [
        (lambda: setattr(Specimen, "a", 2), lambda: Image([vars(Specimen)])),
        (lambda: setattr(Specimen, "c", 2), lambda: Image([vars(Specimen)])),
        (lambda: delattr(Specimen, "a"), lambda: Image([vars(Specimen)])),
        (lambda: setattr(function, "__defaults__", (1,)), lambda: Image(functions=[function])),
        (lambda: setattr(function, "__kwdefaults__", {"y": 1}), lambda: Image(functions=[function])),
        (
            lambda: setattr(function, "__code__", (lambda self, x, *, y: 0).__code__),
            lambda: Image(functions=[function]),
        ),
        (lambda: setattr(cell, "cell_contents", "2"), lambda: Image(cells=[cell])),
    ]
    for change, look in changes:
        image = look()
        if not image.unchanged():
            return False
        change()
        if image.unchanged():
            return False
    return bool(keeping)


def image(
    namespaces: Iterable[Mapping[str, Any]], functions: Iterable[FunctionType], cells: Iterable[CellType] = ()
) -> Image | None:
    """None where memory is laid out in a way that this does not know."""
    return Image(namespaces, functions, cells) if KNOWN else None


KNOWN = _is_known()
