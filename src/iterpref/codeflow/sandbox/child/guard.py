"""Two ways in which a program may talk a test into passing, and what we hold against them.

1. It returns an object that equals everything. `Probe` asks every value that is compared whether it also equals a
   stranger: a fresh object, a random number, a random text. No honest value does.
2. It patches what judges it. `Seals` remembers the parts of unittest, `builtins`, `math` and `operator` before any code
   of the task runs, and compares afterwards.
"""

from __future__ import annotations

import builtins
import collections
import functools
import math
import operator
import os
import sys
import unittest
import unittest.case
import unittest.loader
import unittest.result
import unittest.suite
import unittest.util
from collections.abc import Callable, Iterable
from types import FunctionType

from . import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAIN = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), range, type, type(Ellipsis)})
LISTS: tuple[Any, ...] = (list, tuple, set, frozenset, collections.deque)
NUMBERS = ("AlmostEqual", "NotAlmostEqual")
# assertNotEqual is absent: an object that equals everything fails it by itself.
SEQUENCES = ("Equal", "SequenceEqual", "ListEqual", "TupleEqual", "SetEqual", "DictEqual", "CountEqual")
COMPARED = (*SEQUENCES, "MultiLineEqual", "In", "Less", "LessEqual", "Greater", "GreaterEqual", *NUMBERS)


class Probe:
    """`probe(value)` returns `value`, or raises AssertionError if anything in it equals a stranger.

    Made before the fork, and armed after it, so that no two runs have the same strangers.
    """

    def arm(self, trusted: Iterable[str], any_is_meant: bool) -> None:
        """`trusted` holds the paths of the test files: a matcher that the frozen suite defines may equal what it likes,
        and `unittest.mock.ANY` may if the suite itself mentions it."""
        noise = int.from_bytes(os.urandom(7), "big")
        self._strangers = (object(), noise, noise + 0.5, f"stranger {noise}")
        self._far = noise + 0.25
        self._trusted = frozenset(trusted)
        self._any_is_meant = any_is_meant

    def __call__(self, value: Any) -> Any:
        if type(value) in PLAIN:
            return value
        todo, seen = [value], set()
        while todo:
            item = todo.pop()
            if id(item) in seen:
                continue
            seen.add(id(item))
            for base in LISTS:
                if isinstance(item, base):
                    # The base class's own iterator: a subclass may hide its items.
                    todo += [part for part in base.__iter__(item) if type(part) not in PLAIN]
            if isinstance(item, dict):
                for parts in (dict.keys(item), dict.values(item)):
                    todo += [part for part in parts if type(part) not in PLAIN]
            if type(item) not in PLAIN and type(item) not in LISTS and type(item) is not dict:
                self._refuse_match_all(item)
        return value

    def _refuse_match_all(self, item: Any) -> None:
        code = getattr(getattr(type(item), "__eq__", None), "__code__", None)
        if code is not None and code.co_filename in self._trusted:
            return
        mock = sys.modules.get("unittest.mock")
        if self._any_is_meant and mock is not None and item is mock.ANY:
            return
        holds = hasattr(type(item), "__contains__")
        for stranger in self._strangers:
            if _agrees(operator.eq, item, stranger) or (
                _agrees(operator.lt, item, stranger) and _agrees(operator.gt, item, stranger)
            ):
                raise AssertionError(f"an object of class {type(item).__name__!r} compares as equal to everything")
            if holds and _agrees(operator.contains, item, stranger):
                raise AssertionError(f"an object of class {type(item).__name__!r} contains everything")

    def near(self, value: Any) -> None:
        """The same for assertAlmostEqual, which subtracts and rounds where the values are not equal."""
        if type(value) not in PLAIN and _agrees(lambda a, b: round(abs(a - b), 7) == 0, value, self._far):
            raise AssertionError(f"an object of class {type(value).__name__!r} is close to every number")


def _agrees(compare: Callable[[Any, Any], Any], value: Any, stranger: Any) -> bool:
    try:
        return bool(compare(value, stranger))
    except Exception:
        return False  # an object that cannot be compared with a stranger does not match it


def harden_assertions(probe: Probe) -> None:
    """Lets every comparing assertion of unittest look at its two values first; to be called before `Seals`."""
    # What unittest lets pass in silence, to end a test with subtests early: a program must not raise it. Nothing but an
    # expected failure, which is no pass here, is ended so by unittest itself.
    unittest.case._ShouldStop = ()  # type: ignore[attr-defined]
    for name in COMPARED:
        original = getattr(unittest.TestCase, f"assert{name}")
        setattr(unittest.TestCase, f"assert{name}", _with_probe(original, probe, name in NUMBERS))


def _with_probe(original: Callable[..., Any], probe: Probe, numeric: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def assertion(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[1:3], *(kwargs[key] for key in ("first", "second") if key in kwargs)):
            probe(value)
            if numeric:
                probe.near(value)
        return original(*args, **kwargs)

    return assertion


# Ours before any program can put its own in their place.
_tuple, _map, _id, _len = tuple, map, id, len


class _Seal:
    """One namespace, with the objects that its names stood for when this was made."""

    __slots__ = ("_before", "_ids", "label", "namespace")

    def __init__(self, label: str, namespace: Any, names: Iterable[str] | None = None) -> None:
        self.label, self.namespace = label, namespace
        self._before = dict(namespace) if names is None else {name: namespace[name] for name in names}
        self._ids = _tuple(_map(_id, namespace.values()))

    def objects(self) -> Iterable[tuple[str, Any]]:
        return self._before.items()

    def broken(self) -> str:
        """The first name that stands for something else now, or ""."""
        # At C's speed first: this is asked after every test.
        if _tuple(_map(_id, self.namespace.values())) == self._ids:
            return ""
        absent = object()
        for name, item in self._before.items():
            if self.namespace.get(name, absent) is not item:
                return f"{self.label}.{name}"
        return ""

    def added(self, names: set[str]) -> str:
        """The first of `names` that is new here, or ""."""
        if _len(self.namespace) == _len(self._ids):
            return ""
        return next((f"{self.label}.{name}" for name in names & self.namespace.keys() - self._before.keys()), "")


class Seals:
    """The names of what judges a program, with the objects that they stood for when this was made.

    Made once before the fork: nothing here belongs to one suite, but what `add_tests` adds.
    """

    def __init__(self, own: Iterable[type]) -> None:
        self._judges = [_Seal(item.__qualname__, vars(item)) for item in (unittest.TestCase, *own)]
        for module in (unittest, unittest.case, unittest.suite, unittest.loader, unittest.result, unittest.util):
            self._judges.append(_Seal(module.__name__, vars(module)))
            for item in list(vars(module).values()):
                if isinstance(item, type) and item.__module__ == module.__name__:
                    self._judges.append(_Seal(item.__qualname__, vars(item)))
        self._n_close = 1 + len(list(own))
        self._rest = [_Seal(module.__name__, vars(module)) for module in (builtins, math, operator)]
        self._parts = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")
        self._bodies = [
            (f"{seal.label}.{name}", function, self._parts(function))
            for seal in self._judges
            for name, item in seal.objects()
            for function in (item, getattr(item, "__wrapped__", None))
            if isinstance(function, FunctionType)
        ]
        self._tests: list[_Seal] = []
        self._near: memory.Image | None = None
        self._all: memory.Image | None = None
        # What decides, and what a test has no cause to replace; `self.id = 5` in a setUp is none of these.
        self._methods = {"__call__", "run", "failureException"}
        self._methods |= {name for name in vars(unittest.TestCase) if name.startswith(("assert", "fail"))}
        self._methods |= {
            name for name, item in vars(unittest.TestCase).items() if name[0] == "_" != name[1] and callable(item)
        }
        self._equalities = vars(unittest.TestCase())["_type_equality_funcs"]

    def add_tests(self, classes: Iterable[type], own_equalities: bool) -> None:
        """Seals the methods of the suite's own classes, once they are loaded.

        `own_equalities`: the suite registers type-specific comparisons itself (`addTypeEqualityFunc`).
        """
        if own_equalities:
            self._equalities = None
        for item in classes:
            names = [n for n, value in vars(item).items() if isinstance(value, FunctionType) or n in self._methods]
            self._tests.append(_Seal(item.__qualname__, vars(item), names))

    def take_images(self) -> None:
        """From now on a look at the memory tells that nothing changed; without it, each name is looked at."""
        near = [seal.namespace for seal in self._judges[: self._n_close]]
        self._near = memory.image(near, ())
        namespaces = [seal.namespace for seal in (*self._judges, *self._rest)]
        self._all = memory.image(namespaces, [function for _, function, _ in self._bodies])

    def forget_tests(self) -> None:
        """Of a suite that is over."""
        self._tests.clear()

    def broken(self, everything: bool) -> str:
        """Name of the first changed judge, or "".

        After each test TestCase, the collector and the suite's own classes are looked at, for a program may put things
        back later. `everything` adds the rest of unittest, what functions are made of, and what a test may patch for
        a while and must not leave patched: builtins, math and operator.
        """
        image = self._all if everything else self._near
        if image is None or not image.unchanged():
            for seal in self._judges if everything else self._judges[: self._n_close]:
                if found := seal.broken():
                    return found
            if everything and (found := self._far_broken()):
                return found
        for seal in self._tests:
            if found := seal.broken() or seal.added(self._methods):
                return found
        return ""

    def _far_broken(self) -> str:
        return next((found for seal in self._rest if (found := seal.broken())), "") or self._changed_body()

    def _changed_body(self) -> str:
        parts = self._parts
        for label, function, before in self._bodies:
            now = parts(function)
            if now[0] is not before[0] or now[1] is not before[1] or now[2] is not before[2]:
                return label
        return ""

    def shadowed(self, test: Any) -> str:
        """Name of a method of TestCase that one test object replaces for itself, or ""."""
        for name in self._methods & getattr(test, "__dict__", {}).keys():
            return f"self.{name}"
        if self._equalities is not None and getattr(test, "_type_equality_funcs", None) != self._equalities:
            return "self.addTypeEqualityFunc"
        return ""
