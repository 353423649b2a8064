"""Whether an object would pass for anything: what a program may return to talk a comparison into passing.

`Probe` asks every value that is compared whether it also equals a stranger, and one that equals the expected value
whether it equals that value's neighbours too. No honest value does.
"""

from __future__ import annotations

import builtins
import collections
import functools
import itertools
import operator
import os
import sys
import unittest
import unittest.case
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from .asking import agrees, alike, equals_or_is_between, is_small, rounds_to_nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAIN: frozenset[type] = frozenset(
    {int, float, complex, bool, str, bytes, bytearray, type(None), range, type, type(Ellipsis)}
)
LISTS: tuple[Any, ...] = (list, tuple, set, frozenset, collections.deque)
NUMBERS = ("AlmostEqual", "NotAlmostEqual")
# What unittest's own assertions call.
BUILTINS = ("abs", "all", "any", "isinstance", "issubclass", "len", "list", "round", "set", "sorted", "type")
# assertNotEqual is absent: an object that equals everything fails it by itself.
SEQUENCES = ("Equal", "SequenceEqual", "ListEqual", "TupleEqual", "SetEqual", "DictEqual", "CountEqual")
COMPARED = (*SEQUENCES, "MultiLineEqual", "In", "Less", "LessEqual", "Greater", "GreaterEqual", *NUMBERS)


MOST_PARTS = 64  # of a value, that are held against those of the other one


class Probe:
    """`probe(value)` returns `value`, or raises AssertionError if anything in it equals a stranger.

    Made before the fork, and armed after it, so that no two runs have the same strangers.
    """

    builtins = builtins  # where checks find those that a program's own functions hide from them

    def arm(self, trusted: Iterable[str], any_is_meant: bool) -> None:
        """`trusted` holds the paths of the test files: a matcher that the frozen suite defines may equal what it likes,
        and `unittest.mock.ANY` may if the suite itself mentions it."""
        self._noise = noise = int.from_bytes(os.urandom(7), "big")
        # One number alone would refuse numbers modulo something.
        fraction = (noise >> 30) + 0.5  # not so large that it would lose its half
        self._strangers = ((object(),), (noise, noise + 1), (fraction, fraction + 1), (f"stranger {noise}",))
        self._far = noise + 0.25
        self._trusted = frozenset(trusted)
        self._any_is_meant = any_is_meant

    def __call__(self, value: Any) -> Any:
        self.odd(value)
        return value

    def odd(self, value: Any) -> list[Any]:
        """The objects in `value` that compare as they like, after a look at each."""
        if type(value) in PLAIN:
            return []
        found = [item for item in _parts(value, PLAIN) if not _is_builtin(item) and not self._is_meant(item)]
        for item in found:
            self._refuse_match_all(item)
        return found

    def equal(self, left: Any, right: Any) -> Any:
        """`left == right`"""
        return self._compared(left, right, operator.eq)

    def within(self, left: Any, right: Any) -> Any:
        """`left in right`"""
        self.refuse_holders(left, right)
        return self._compared(left, right, lambda a, b: a in b)

    def _compared(self, left: Any, right: Any, compare: Callable[[Any, Any], Any]) -> Any:
        odd = self.odd(left), self.odd(right)
        self.ask_neighbours(odd, (left, right))
        result = compare(left, right)
        self.refuse_near(odd, (left, right))
        return result

    def minus(self, left: Any, right: Any) -> Any:
        """`left - right`"""
        self.near(left)
        self.near(right)
        return left - right

    def ask_neighbours(self, odd: Sequence[list[Any]], values: Sequence[Any]) -> None:
        """Before two values with these odd parts are compared: what settles on the first value that it is asked about, or
        counts the questions, is asked about the neighbours of the right one first, how often nobody knows."""
        for items, other in zip(odd, reversed(values), strict=True):
            for item in items[:MOST_PARTS]:
                for part in itertools.islice(_parts(other, ()), MOST_PARTS):
                    for neighbour in itertools.chain(*_neighbours(part, self._noise)):
                        for _ in range(1 + self._noise % 3):
                            alike(item, neighbour)

    def refuse_near(self, odd: Sequence[list[Any]], values: Sequence[Any]) -> None:
        """After a comparison of two values with these odd parts: whatever in one of them equals a part of the other must
        not equal that one's neighbours."""
        for items, other in zip(odd, reversed(values), strict=True):
            for item in items[:MOST_PARTS]:
                for part in itertools.islice(_parts(other, ()), MOST_PARTS):
                    if _is_builtin(part) and alike(item, part):
                        self._refuse_neighbours(item, part, alike)

    def refuse_lenient(
        self, odd: Sequence[list[Any]], values: Sequence[Any], passes: Callable[[Any, Any], bool]
    ) -> None:
        """After an assertion on two values with these odd parts: where one of them is such an object itself, the assertion
        must not hold for the other one's neighbours. unittest asks sets for a difference, say, and not for `==`."""
        first, second = values
        for items, item, other, holds in (
            (odd[0], first, second, passes),
            (odd[1], second, first, lambda a, b: passes(b, a)),
        ):
            if any(part is item for part in items) and _is_builtin(other):
                self._refuse_neighbours(item, other, holds)

    def _refuse_neighbours(self, item: Any, part: Any, agree: Callable[[Any, Any], bool]) -> None:
        for group in _neighbours(part, self._noise):
            if all(agree(item, neighbour) for neighbour in group):
                what = f"an object of class {type(item).__name__!r} compares as equal to everything like {part!r:.80}"
                raise AssertionError(what)

    def refuse_holders(self, member: Any, holder: Any) -> None:
        """Before it is asked whether `holder` holds `member`: it must not hold a stranger of that kind. Of numbers, a class
        of its own may hold any, but not what is a list or a text at the same time."""
        if _is_builtin(holder) or not hasattr(type(holder), "__contains__") or self._is_meant(holder):
            return
        for group in self._strangers:
            like = type(group[0]) is type(member) and (type(member) is str or isinstance(holder, (*LISTS, dict, str)))
            if like and all(agrees(operator.contains, holder, stranger) for stranger in group):
                raise AssertionError(
                    f"an object of class {type(holder).__name__!r} contains everything like {member!r:.80}"
                )

    def _is_meant(self, item: Any) -> bool:
        code = getattr(getattr(type(item), "__eq__", None), "__code__", None)
        if code is not None and code.co_filename in self._trusted:
            return True
        mock = sys.modules.get("unittest.mock")
        return self._any_is_meant and mock is not None and item is mock.ANY

    def _refuse_match_all(self, item: Any) -> None:
        for group in self._strangers:
            if all(agrees(equals_or_is_between, item, stranger) for stranger in group):
                raise AssertionError(f"an object of class {type(item).__name__!r} compares as equal to everything")
        # A class of all numbers, say, holds some of them.
        if hasattr(type(item), "__contains__") and all(
            agrees(operator.contains, item, stranger) for group in self._strangers for stranger in group
        ):
            raise AssertionError(f"an object of class {type(item).__name__!r} contains everything")

    def near(self, value: Any) -> None:
        """The same for what is subtracted, as assertAlmostEqual does with values that are not equal."""
        if type(value) not in PLAIN and any(
            agrees(near, *pair)
            for near in (rounds_to_nothing, is_small)
            for pair in ((value, self._far), (self._far, value))
        ):
            raise AssertionError(f"an object of class {type(value).__name__!r} is close to every number")


def _is_builtin(item: Any) -> bool:
    return type(item) in PLAIN or type(item) in LISTS or type(item) is dict


def _parts(value: Any, left_out: Collection[type]) -> Iterator[Any]:
    """`value` and all that it holds at every depth, but for those of some types."""
    todo, seen = [value], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        for base in LISTS:
            if isinstance(item, base):
                # The base class's own iterator: a subclass may hide its items.
                todo += [part for part in base.__iter__(item) if type(part) not in left_out]
        if isinstance(item, dict):
            for parts in (dict.keys(item), dict.values(item)):
                todo += [part for part in parts if type(part) not in left_out]


def _neighbours(value: Any, noise: int) -> Iterator[tuple[Any, ...]]:
    """Groups of values that lie near a plain one: what equals it has no cause to equal all of a group."""
    kind = type(value)
    if kind is bool:
        yield from ((not value,), (None,))
    elif value is None:
        yield (True,)
    elif kind is int:
        yield value + 1, value + 2  # one alone would refuse numbers modulo 2
    elif kind in (float, complex):
        yield value + abs(value) + 1, value + 2 * abs(value) + 2
    elif kind is str:
        yield (f"{value}~",)
        if value:
            end = "".join(chr(97 + (noise >> i) % 26) for i in range(min(len(value), 20)))
            yield (value[: -len(end)] + (end if not value.endswith(end) else end[:-1] + "~"),)
    elif kind in (bytes, bytearray):
        yield (value + b"~",)
    elif kind in (list, tuple, collections.deque):
        yield (kind([*list(value)[:-1], object()]),)
    elif kind in (set, frozenset):
        yield (kind([*value, object()]),)
        yield from ((kind([part for part in value if part is not left]),) for left in itertools.islice(value, 1))
    elif kind is dict:
        yield from (({**value, key: object()},) for key in itertools.islice(value, 1))
        yield ({**value, object(): None},)


def harden_assertions(probe: Probe) -> None:
    """Lets every comparing assertion of unittest look at its two values too; to be called before `Seals`."""
    # A program may replace these for as long as an assertion takes.
    vars(unittest.case).update({name: getattr(builtins, name) for name in BUILTINS})
    # What unittest lets pass in silence, to end a test with subtests early: a program must not raise it. Nothing but an
    # expected failure, which is no pass here, is ended so by unittest itself.
    unittest.case._ShouldStop = ()  # type: ignore[attr-defined]
    for name in COMPARED:
        original = getattr(unittest.TestCase, f"assert{name}")
        setattr(unittest.TestCase, f"assert{name}", _with_probe(name, original, probe))


def _with_probe(name: str, original: Callable[..., Any], probe: Probe) -> Callable[..., Any]:
    numeric, equates = name in NUMBERS, name in SEQUENCES or name == "MultiLineEqual"

    @functools.wraps(original)
    def assertion(*args: Any, **kwargs: Any) -> Any:
        values = (*args[1:3], *(kwargs[key] for key in ("first", "second") if key in kwargs))
        odd = [probe.odd(value) for value in values]
        if numeric:
            for value in values:
                probe.near(value)
        if any(odd) and len(odd) == 2:
            probe.ask_neighbours(odd, values)
            if name == "In":
                probe.refuse_holders(*values)
        result = original(*args, **kwargs)
        if any(odd) and len(odd) == 2:
            probe.refuse_near(odd, values)
            if equates:
                probe.refuse_lenient(odd, values, lambda a, b: _holds(original, args[0], a, b))
        return result

    return assertion


def _holds(assertion: Callable[..., Any], test: Any, first: Any, second: Any) -> bool:
    try:
        assertion(test, first, second)
    except Exception:
        return False
    return True
