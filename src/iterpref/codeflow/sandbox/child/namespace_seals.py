"""Whether the names of one namespace, of a module or of a class, stand for what they stood for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Ours before any program can put its own in their place.
_tuple, _map, _id, _len = tuple, map, id, len
# What decides how an object behaves, and what nobody adds to a class of tests once it is made.
HOOKS = frozenset(
    f"__{name}__" for name in ("getattribute", "getattr", "setattr", "new", "init", "init_subclass", "call", "class")
)


class NamespaceSeal:
    """One namespace, with the objects that its names stood for when this was made."""

    __slots__ = ("_before", "_ids", "_mro", "_owner", "label", "namespace")

    def __init__(self, label: str, namespace: Any, names: Iterable[str] | None = None, owner: type = object) -> None:
        """`owner`: the class whose namespace this is."""
        self.label, self.namespace = label, namespace
        self._owner, self._mro = owner, owner.__mro__
        self._before = dict(namespace) if names is None else {name: namespace[name] for name in names}
        self._ids = _tuple(_map(_id, namespace.values()))

    def objects(self) -> Iterable[tuple[str, Any]]:
        return self._before.items()

    def broken(self) -> str:
        """The first name that stands for something else now, or ""."""
        if self._owner.__mro__ is not self._mro:
            return f"{self.label}.__bases__"
        # At C's speed first: this is asked after every test.
        if _tuple(_map(_id, self.namespace.values())) == self._ids:
            return ""
        absent = object()
        for name, item in self._before.items():
            if self.namespace.get(name, absent) is not item:
                return f"{self.label}.{name}"
        return ""

    def added(self, names: Iterable[str]) -> str:
        """The first of `names` that is new here, or ""."""
        if _len(self.namespace) == _len(self._ids):
            return ""
        new = self.namespace.keys() - self._before.keys()
        return next((f"{self.label}.{name}" for name in names if name in new), "")


def class_seal(item: type, names: Iterable[str] | None = None) -> NamespaceSeal:
    return NamespaceSeal(item.__qualname__, vars(item), deciding(vars(item)) if names is None else names, item)


def deciding(namespace: Mapping[str, Any]) -> list[str]:
    """Names of a part of unittest without its numbers, which say how long a message may be (`maxDiff`)."""
    return [name for name, item in namespace.items() if type(item) not in (int, bool)]
