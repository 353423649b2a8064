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
from collections.abc import Collection, Iterable, Iterator
from types import (
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)

from . import memory
from .module_seals import ModuleSeal, nested
from .namespace_seals import HOOKS, NamespaceSeal, class_seal, deciding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a class has without a line of Python: other classes, and methods of classes in C.
_OF_CLASSES = (type, WrapperDescriptorType, MethodDescriptorType, ClassMethodDescriptorType)
# Builtins with which nothing is compared.
IDLE = frozenset(("breakpoint", "exit", "help", "input", "open", "print", "quit"))
# Modules whose functions tests compare with, where they name them; what a program may well replace is not among them.
COMPARING = (
    "cmath", "collections", "copy", "decimal", "fractions", "functools", "itertools", "json", "math", "operator", "random", "re",
    "statistics", "string", "numpy", "numpy.linalg", "numpy.random", "numpy.testing", "pandas", "pandas.testing",
)  # fmt: skip
# Parts of unittest that are not loaded before a suite asks for them, by the names that it asks with.
LATE = {
    "unittest.mock": ("mock", "unittest.mock"),
    "unittest._log": ("assertLogs", "assertNoLogs"),
    "unittest.async_case": ("IsolatedAsyncioTestCase",),
}


class Seals:
    """The names of what judges a program, with the objects that they stood for when this was made.

    Made once before the fork: nothing here belongs to one suite, but what `add_tests` adds.
    """

    def __init__(self, own: Iterable[type]) -> None:
        own = tuple(own)
        self._test_case = unittest.TestCase
        self._judges = [class_seal(item) for item in (unittest.TestCase, *own)]
        # What a test may patch for as long as it runs.
        self._judges += [NamespaceSeal(module.__name__, vars(module)) for module in (math, operator)]
        self._judges.append(NamespaceSeal("builtins", vars(builtins), vars(builtins).keys() - IDLE))
        # unittest catches what a test raises in one of these.
        self._judges.append(class_seal(contextlib._GeneratorContextManager))
        self._n_close = len(self._judges)
        for module in (unittest, unittest.case, unittest.suite, unittest.loader, unittest.result, unittest.util):
            self._judges.append(NamespaceSeal(module.__name__, vars(module), deciding(vars(module))))
            for item in list(vars(module).values()):
                if isinstance(item, type) and item.__module__ == module.__name__:
                    self._judges.append(class_seal(item))
        # What unittest's own assertions ask.
        self._rest = [NamespaceSeal(module.__name__, vars(module)) for module in (collections, re)]
        self._rest.append(class_seal(collections.Counter))
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
        self._tests: list[NamespaceSeal] = []
        self._named: list[tuple[ModuleType, NamespaceSeal]] = []
        self._late: set[type] = set()
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
                self._named.append((module, NamespaceSeal(label, vars(module), known)))
        for label, asked in LATE.items():
            if not names.isdisjoint(asked):
                module = importlib.import_module(label)
                classes = [
                    item for item in vars(module).values() if isinstance(item, type) and item.__module__ == label
                ]
                known = [name for name, item in vars(module).items() if callable(item)]
                self._named.append((module, NamespaceSeal(label, vars(module), known)))
                self._tests += map(class_seal, classes)
                self._late.update(classes)

    def add_tests(self, classes: Iterable[type], own_equalities: bool, strangers: Collection[str] = ()) -> str:
        """Seals the methods of the suite's own classes, once they are loaded. Returns the name of one that is not the
        suite's own, or "": its code lies in a file of `strangers`.

        `own_equalities`: the suite registers type-specific comparisons itself (`addTypeEqualityFunc`).
        """
        if own_equalities:
            self._equalities = None
        found, bases = "", dict[type, None]()
        for item in classes:
            self._classes.add(item)
            bases |= dict.fromkeys(item.__mro__)
            found = found or next(self._foreign(item, strangers), "")
        for item in bases.keys() - {object, self._test_case} - self._late:
            names = [n for n, value in vars(item).items() if isinstance(value, FunctionType) or n in self._methods]
            self._tests.append(class_seal(item, names))
        return found

    def add_modules(self, namespaces: Iterable[tuple[str, dict[str, Any], CodeType]]) -> str:
        """Seals test modules that are loaded: name, namespace, code of each. Returns what was changed already, or ""."""
        self._modules += [ModuleSeal(*parts) for parts in namespaces]
        return next((found for seal in self._modules if (found := seal.broken())), "")

    def _foreign(self, item: type, strangers: Collection[str]) -> Iterator[str]:
        for base in (*item.__mro__, *type.mro(type(item))):
            if base in (object, type, self._test_case):  # the last is under a seal of its own
                continue
            for name, value in vars(base).items():
                if name.startswith("test") or name in self._methods or name in HOOKS:
                    made = _innermost(value)
                    code = getattr(made, "__code__", None)
                    if code is None:
                        strange = callable(made) and not isinstance(made, _OF_CLASSES)
                    else:
                        strange = code.co_filename in strangers
                    if strange:
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
        self._late.clear()
        self._modules.clear()
        self._classes = set(self._own)

    def broken(self, everything: bool) -> str:
        """Name of the first changed judge, or "".

        After each test TestCase, the collector, the suite's own classes, and what a test may patch for as long as it
        runs (builtins, math and operator) are looked at, for a program may put things back later. `everything` adds the
        rest of unittest, and what functions are made of.
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
        if collector is not None and type(collector) not in self._own:
            return "Collector.__class__"
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
