"""Whether anybody changed a test module behind its own back: its constants, its helper functions, the builtins that it sees."""

from __future__ import annotations

import builtins
import opcode
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType

from . import checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EXTENDED, _STORES = opcode.opmap["EXTENDED_ARG"], {opcode.opmap["STORE_NAME"], opcode.opmap["STORE_GLOBAL"]}
_REBOUND = {opcode.opmap["STORE_GLOBAL"], opcode.opmap["DELETE_GLOBAL"]}
_BUILTINS = frozenset(name for name in vars(builtins) if name[:1] != "_")
_OWN = ("__builtins__", checks.PROBE)


class ModuleSeal:
    """The namespace of a test module, as it is when all of it is loaded. `code` is what was run in it."""

    def __init__(self, label: str, namespace: dict[str, Any], code: CodeType) -> None:
        self._label, self._namespace = label, namespace
        inner = [part for constant in code.co_consts if isinstance(constant, CodeType) for part in nested(constant)]
        # Names that the tests themselves give a new value as they run.
        rebound = {name for part in inner for name in _stored(part, _REBOUND)}
        if any("globals" in part.co_names for part in inner):
            rebound |= namespace.keys()
        self._before = {name: item for name, item in namespace.items() if name not in rebound and name not in _OWN}
        self._bodies = [
            (name, item, item.__code__)
            for name, item in self._before.items()
            if isinstance(item, FunctionType) and item.__globals__ is namespace
        ]
        # `from solution import *` may well bring a function with the name of a builtin.
        free = ("*",) in code.co_consts or "globals" in code.co_names
        self._builtins = frozenset() if free else vars(builtins).keys() - set(_stored(code, _STORES)) - rebound

    def broken(self) -> str:
        """What stands for something else than it should, or ""."""
        if self._namespace.get("__builtins__") not in (builtins, vars(builtins)):
            return f"{self._label}.__builtins__"
        for name in self._builtins & self._namespace.keys():
            if not name.startswith("__"):
                return f"{self._label}.{name}"
        absent = object()
        for name, item in self._before.items():
            if self._namespace.get(name, absent) is not item:
                return f"{self._label}.{name}"
        return next((f"{self._label}.{name}" for name, item, code in self._bodies if item.__code__ is not code), "")


def hidden_builtins(namespace: Mapping[str, Any], code: CodeType) -> list[str]:
    """Builtins that tests name and that functions of the solution hide from them, in a namespace that they share.

    None where the tests name nothing else of the solution: then such a function is what they test.
    """
    if _BUILTINS.isdisjoint(namespace):
        return []
    own = {name for part in nested(code) for name in (*_stored(part, _STORES), *part.co_varnames, *part.co_cellvars)}
    shared = {name for part in nested(code) for name in part.co_names if name[:2] != "__"} & namespace.keys() - own
    return sorted(shared & _BUILTINS) if shared - _BUILTINS else []


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code and all that is defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def _stored(code: CodeType, stores: set[int]) -> Iterator[str]:
    """The names that instructions of these kinds give a value."""
    data, high = code.co_code, 0
    for i in range(0, len(data), 2):
        argument = high << 8 | data[i + 1]
        high = argument if data[i] == _EXTENDED else 0
        if data[i] in stores:
            yield code.co_names[argument]
