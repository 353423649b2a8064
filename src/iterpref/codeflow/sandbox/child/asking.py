"""Asks an object whether it agrees with another value, in the ways in which tests ask, and takes any error for a no."""

from __future__ import annotations

import operator
import unittest.case
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SMALL = (1e-9, 1e-3, 1.0, 1e3)  # what a test may call a small difference


def alike(item: Any, other: Any) -> bool:
    """Whether a comparison takes them for equal, of those that ask whether two values are the same and of those that ask
    whether they differ."""
    return agrees(operator.eq, item, other) or agrees(_no_different, item, other)


def _no_different(item: Any, other: Any) -> bool:
    return not _of_many(item != other, "any")


def agrees(compare: Callable[[Any, Any], Any], value: Any, stranger: Any) -> bool:
    try:
        return _of_many(compare(value, stranger), "all")
    except Exception:
        return False  # an object that cannot be compared with a stranger does not match it


def _of_many(answer: Any, which: str) -> bool:
    """An array, as numpy gives, holds an answer for each of its items; without any, it says nothing."""
    if type(answer) is bool or not getattr(answer, "ndim", 0):
        return bool(answer)
    if not answer.size:
        raise ValueError("no answer")
    return bool(getattr(answer, which)())


# An object that looks at who compares it sees what it sees when it counts.
for _asking in (agrees, _no_different):
    _asking.__code__ = _asking.__code__.replace(co_filename=unittest.case.__file__, co_name="_baseAssertEqual")


def equals_or_is_between(item: Any, stranger: Any) -> bool:
    below, above = (
        any(agrees(compare, item, stranger) for compare in comparisons)
        for comparisons in ((operator.lt, operator.le), (operator.gt, operator.ge))
    )
    return (below and above) or alike(item, stranger)


def rounds_to_nothing(a: Any, b: Any) -> bool:
    return bool(round(abs(a - b), 7) == 0)


def is_small(a: Any, b: Any) -> bool:
    difference = abs(a - b)
    return any(difference < most or difference <= most for most in SMALL)
