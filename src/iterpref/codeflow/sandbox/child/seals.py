"""Whether anybody replaced what judges a program: unittest, `builtins`, `math`, `operator`, and the suite itself.

`Seals` remembers their parts before any code of the task runs, and compares afterwards.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import importlib
import math
import operator
import re
import sys
import unittest
import unittest.case
import unittest.loader
import unittest.result
import unittest.suite
import unittest.util
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from . import memory
from .module_seals import ModuleSeal, nested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Ours before any program can put its own in their place.
_tuple, _map, _id, _len = tuple, map, id, len
# Builtins with which nothing is compared.
IDLE = frozenset(("breakpoint", "exit", "help", "input", "open", "print", "quit"))
# What decides how an object behaves, and what nobody adds to a class of tests once it is made.
HOOKS = frozenset(
    f"__{name}__" for name in ("getattribute", "getattr", "setattr", "new", "init", "init_subclass", "call", "class")
)
# Modules whose functions tests compare with, where they name them; what a program may well replace is not among them.
COMPARING = (
    "cmath", "collections", "copy", "decimal", "fractions", "functools", "itertools", "json", "math", "operator", "random", "re",
    "statistics", "string", "numpy", "numpy.linalg", "numpy.random", "numpy.testing", "pandas", "pandas.testing",
)  # fmt: skip


class _Seal:
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


class Seals:
    """The names of what judges a program, with the objects that they stood for when this was made.

    Made once before the fork: nothing here belongs to one suite, but what `add_tests` adds.
    """

    def __init__(self, own: Iterable[type]) -> None:
        own = tuple(own)
        self._judges = [_class_seal(item) for item in (unittest.TestCase, *own)]
        for module in (unittest, unittest.case, unittest.suite, unittest.loader, unittest.result, unittest.util):
            self._judges.append(_Seal(module.__name__, vars(module), _deciding(vars(module))))
            for item in list(vars(module).values()):
                if isinstance(item, type) and item.__module__ == module.__name__:
                    self._judges.append(_class_seal(item))
        self._n_close = 1 + len(own)
        self._rest = [_Seal(module.__name__, vars(module)) for module in (math, operator)]
        self._rest.append(_Seal("builtins", vars(builtins), vars(builtins).keys() - IDLE))
        # What unittest's own assertions ask.
        self._rest += [_Seal(module.__name__, vars(module)) for module in (collections, re)]
        self._rest.append(_class_seal(collections.Counter))
        self._parts = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")
        self._bodies = [
            (f"{seal.label}.{name}", function, self._parts(function))
            for seal in self._judges
            for name, item in seal.objects()
            for function in (item, getattr(item, "__wrapped__", None))
            if isinstance(function, FunctionType)
        ]
        self._cells = [
            (label, cell, cell.cell_contents)
            for label, function, _ in self._bodies
            for cell in function.__closure__ or ()
        ]
        self._tests: list[_Seal] = []
        self._named: list[tuple[ModuleType, _Seal]] = []
        self._modules: list[ModuleSeal] = []
        self._own, self._classes = own, set(own)
        self._voice: tuple[Any, Any] = (None, None)
        self._near: memory.Image | None = None
        self._all: memory.Image | None = None
        # What decides, and what a test has no cause to replace; `self.id = 5` in a setUp is none of these.
        self._methods = {"__call__", "run", "failureException"}
        self._methods |= {name for name in vars(unittest.TestCase) if name.startswith(("assert", "fail"))}
        self._methods |= {
            name for name, item in vars(unittest.TestCase).items() if name[0] == "_" != name[1] and callable(item)
        }
        self._equalities = vars(unittest.TestCase())["_type_equality_funcs"]

    def add_voice(self, collector: Any, emit: Any) -> None:
        """What tells the outcomes: `collector` must keep speaking through `emit`."""
        self._voice = collector, emit

    def add_named(self, codes: Iterable[CodeType], own: Collection[str]) -> None:
        """Seals what the suite's code names of the modules that it may compare with, before any code of the task runs.
        `own`: modules of the task, which may well have such a name."""
        names = {name for code in codes for part in nested(code) for name in part.co_names}
        for label in COMPARING:
            parts = label.split(".")
            if parts[0] in own or (label not in names and not names.issuperset(parts)):
                continue
            with contextlib.suppress(ImportError):
                module = importlib.import_module(label)
                # Not by `getattr`: numpy imports some of its parts when they are asked for.
                known = [name for name in names if callable(vars(module).get(name))]
                self._named.append((module, _Seal(label, vars(module), known)))

    def add_tests(self, classes: Iterable[type], own_equalities: bool, strangers: Collection[str] = ()) -> str:
        """Seals the methods of the suite's own classes, once they are loaded. Returns the name of one that is not the
        suite's own, or "": its code lies in a file of `strangers`.

        `own_equalities`: the suite registers type-specific comparisons itself (`addTypeEqualityFunc`).
        """
        if own_equalities:
            self._equalities = None
        found = ""
        for item in classes:
            names = [n for n, value in vars(item).items() if isinstance(value, FunctionType) or n in self._methods]
            self._tests.append(_class_seal(item, names))
            self._classes.add(item)
            found = found or next(self._foreign(item, strangers), "")
        return found

    def add_modules(self, namespaces: Iterable[tuple[str, dict[str, Any], CodeType]]) -> str:
        """Seals test modules that are loaded: name, namespace, code of each. Returns what was changed already, or ""."""
        self._modules += [ModuleSeal(*parts) for parts in namespaces]
        return next((found for seal in self._modules if (found := seal.broken())), "")

    def _foreign(self, item: type, strangers: Collection[str]) -> Iterator[str]:
        for base in (*item.__mro__, *type.mro(type(item))):
            if base in (object, type):
                continue
            for name, value in vars(base).items():
                if name.startswith("test") or name in self._methods or name in HOOKS:
                    code = getattr(_innermost(value), "__code__", None)
                    if isinstance(value, BuiltinFunctionType) or (code is not None and code.co_filename in strangers):
                        yield f"{item.__qualname__}.{name}"

    def take_images(self) -> None:
        """From now on a look at the memory tells that nothing changed; without it, each name is looked at."""
        near = [seal.namespace for seal in self._judges[: self._n_close]]
        self._near = memory.image(near, ())
        namespaces = [seal.namespace for seal in (*self._judges, *self._rest)]
        self._all = memory.image(
            namespaces, [function for _, function, _ in self._bodies], [cell for _, cell, _ in self._cells]
        )

    def forget_tests(self) -> None:
        """Of a suite that is over."""
        self._tests.clear()
        self._named.clear()
        self._modules.clear()
        self._classes = set(self._own)

    def broken(self, everything: bool) -> str:
        """Name of the first changed judge, or "".

        After each test TestCase, the collector and the suite's own classes are looked at, for a program may put things
        back later. `everything` adds the rest of unittest, what functions are made of, and what a test may patch for
        a while and must not leave patched: builtins, math and operator.
        """
        image = self._all if everything else self._near
        if image is None or not image.unchanged():
            for seal in self._judges if everything else self._judges[: self._n_close]:
                if found := seal.broken() or seal.added(HOOKS):
                    return found
            if everything and (found := self._far_broken()):
                return found
        for seal in self._tests:
            if found := seal.broken() or seal.added(self._methods) or seal.added(HOOKS):
                return found
        collector, emit = self._voice
        if collector is not None and collector._emit is not emit:
            return "Collector._emit"
        for module, seal in self._named if everything else ():
            if sys.modules.get(seal.label) is not module:
                return f"sys.modules[{seal.label!r}]"
            if found := seal.broken():
                return found
        return next((found for seal in self._modules if everything and (found := seal.broken())), "")

    def _far_broken(self) -> str:
        return next((found for seal in self._rest if (found := seal.broken())), "") or self._changed_body()

    def _changed_body(self) -> str:
        parts = self._parts
        for label, function, before in self._bodies:
            now = parts(function)
            if now[0] is not before[0] or now[1] is not before[1] or now[2] is not before[2]:
                return label
        return next((label for label, cell, before in self._cells if cell.cell_contents is not before), "")

    def shadowed(self, test: Any) -> str:
        """Name of a method of TestCase that one test object replaces for itself, or ""."""
        if type(test) not in self._classes:
            return "self.__class__"
        for name in (self._methods | {test._testMethodName}) & getattr(test, "__dict__", {}).keys():
            return f"self.{name}"
        if self._equalities is not None and getattr(test, "_type_equality_funcs", None) != self._equalities:
            return "self.addTypeEqualityFunc"
        return ""


def _class_seal(item: type, names: Iterable[str] | None = None) -> _Seal:
    return _Seal(item.__qualname__, vars(item), _deciding(vars(item)) if names is None else names, item)


def _deciding(namespace: Mapping[str, Any]) -> list[str]:
    """Names of a part of unittest without its numbers, which say how long a message may be (`maxDiff`)."""
    return [name for name, item in namespace.items() if type(item) not in (int, bool)]


def _innermost(value: Any) -> Any:
    """The function below decorators and partial objects."""
    for _ in range(100):
        below = next(
            (getattr(value, name) for name in ("__wrapped__", "__func__", "func") if hasattr(value, name)), None
        )
        if below is None:
            break
        value = below
    return value
