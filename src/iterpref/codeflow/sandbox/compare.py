"""Compares what left the sandbox with what was expected; both are plain data here, so nothing compares for itself."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.sandbox.child.tagged import Digest, Opaque, digest_of

SHOWN = 100  # characters of a value in a message


@dataclass(frozen=True)
class Truth:
    """An expected value that asks only whether the value is true: `assert f(x)`, `assert not f(x)`."""

    value: bool


@dataclass(frozen=True)
class Close:
    """An expected number that a value need not meet exactly: `assert math.isclose(f(x), value, rel_tol=, abs_tol=)`."""

    value: float
    rel_tol: float = 1e-9
    abs_tol: float = 0.0


@dataclass(frozen=True)
class Values:
    """`(value, expected) -> ""` if they agree, else one line on where they differ. Never raises.

    `types`: with "exact", types agree at every level (1, 1.0 and True all differ; so do a list and a tuple), and NaN is
    NaN. With "equal", as Python's `==` has it between plain data: 1 == 1.0 == True, numpy scalars by value, NaN differs
    from itself. Numbers with a fraction may be off by `atol + rtol * abs(expected)` at every depth. `ordered=False`
    compares two lists or tuples as collections with repetition.
    """

    types: str = "exact"
    atol: float = 0.0
    rtol: float = 0.0
    ordered: bool = True

    def __call__(self, value: Any, expected: Any) -> str:
        try:
            if isinstance(expected, Truth):
                # An object of no plain type, such as what `re.match` returns, is true or not all the same.
                truth = value.truth if isinstance(value, Opaque) else bool(value)
                return "" if truth is expected.value else f"expected a {expected.value} value, got {_show(value)}"
            if isinstance(expected, Close):
                # What is no number raises.
                near = math.isclose(value, expected.value, rel_tol=expected.rel_tol, abs_tol=expected.abs_tol)
                return "" if near else f"expected a number close to {expected.value!r}, got {_show(value)}"
            if not self.ordered and isinstance(value, (list, tuple)) and isinstance(expected, (list, tuple)):
                return self._unordered(value, expected)
            return self._differ(value, expected, "")
        except Exception as error:
            return f"the values cannot be compared: {type(error).__name__}: {error!s:.{SHOWN}}"

    def _differ(self, value: Any, expected: Any, where: str) -> str:
        if isinstance(value, Opaque) or isinstance(expected, Opaque):
            return _wrong(value, expected, where)
        if isinstance(value, Digest) or isinstance(expected, Digest):
            return "" if digest_of(value) == digest_of(expected) else _wrong(value, expected, where)
        if self.types == "exact" and type(value) is not type(expected):
            return _wrong(value, expected, where)
        if any(hasattr(item, name) for item in (value, expected) for name in ("dtype", "iloc")):
            return "" if self._arrays(value, expected) else _wrong(value, expected, where)
        if isinstance(expected, (list, tuple)) and type(value) is type(expected):
            if len(value) != len(expected):
                return f"{_wrong(value, expected, where)} (length {len(expected)} against {len(value)})"
            pairs = enumerate(zip(value, expected, strict=True))
            return next((found for i, (a, b) in pairs if (found := self._differ(a, b, f"{where}[{i}]"))), "")
        if isinstance(expected, Mapping) and isinstance(value, Mapping):
            same = value.keys() == expected.keys()
            return self._mappings(value, expected, where) or ("" if same else _wrong(value, expected, where))
        if isinstance(expected, (set, frozenset)) and isinstance(value, (set, frozenset)):
            same = value == expected and (self.types != "exact" or _kinds(value) == _kinds(expected))
            return "" if same else _wrong(value, expected, where)
        return "" if self._same(value, expected) else _wrong(value, expected, where)

    def _same(self, value: Any, expected: Any) -> bool:
        numbers = (int, float, complex)
        if isinstance(value, numbers) and isinstance(expected, numbers):
            if value == expected:
                return True
            if self.types == "exact" and value != value and expected != expected:
                return True
            inexact = isinstance(value, (float, complex)) or isinstance(expected, (float, complex))
            if not inexact or not (self.atol or self.rtol) or _infinite(value) or _infinite(expected):
                return False
            return abs(value - expected) <= self.atol + self.rtol * abs(expected)
        if _has_more_digits(value, expected) or _has_more_digits(expected, value):
            return False
        return bool(value == expected)

    def _arrays(self, value: Any, expected: Any) -> bool:
        if hasattr(expected, "iloc") or hasattr(value, "iloc"):  # tables of pandas
            return type(value) is type(expected) and self._tables(value, expected)
        import numpy

        left, right = (_array(item) for item in (value, expected))
        if left.dtype.names is not None or right.dtype.names is not None:
            same = left.dtype.names == right.dtype.names and left.shape == right.shape
            return same and all(self._arrays(left[name], right[name]) for name in left.dtype.names or ())
        if left.shape != right.shape or (self.types == "exact" and left.dtype != right.dtype):
            return False
        if "O" in (left.dtype.kind, right.dtype.kind):
            if any(item.dtype.kind in "mM" and numpy.isnat(item).any() for item in (left, right)):
                return False  # it equals nothing; as an item of a list it would be None
            return not any(
                self._differ(a, b, "") for a, b in zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
            )
        if left.dtype.kind in "fc" or right.dtype.kind in "fc":
            if left.dtype.kind not in "biufc" or right.dtype.kind not in "biufc":
                return False
            return bool(numpy.allclose(left, right, rtol=self.rtol, atol=self.atol, equal_nan=self.types == "exact"))
        return bool(numpy.array_equal(left, right))

    def _tables(self, value: Any, expected: Any) -> bool:
        if value.shape != expected.shape or list(value.index) != list(expected.index):
            return False
        if value.ndim == 1:
            return bool(value.name == expected.name) and self._arrays(value.to_numpy(), expected.to_numpy())
        if list(value.columns) != list(expected.columns):
            return False
        columns = range(value.shape[1])
        return all(self._arrays(value.iloc[:, i].to_numpy(), expected.iloc[:, i].to_numpy()) for i in columns)

    def _mappings(self, value: Mapping[Any, Any], expected: Mapping[Any, Any], where: str) -> str:
        for key, item in expected.items():
            if key in value and (found := self._differ(value[key], item, f"{where}[{_show(key)}]")):
                return found
        if self.types == "exact" and _kinds(value) != _kinds(expected):
            return f"{where or 'the keys'}: types of keys differ"
        return ""

    def _unordered(self, value: Sequence[Any], expected: Sequence[Any]) -> str:
        left = list(expected)
        for i, item in enumerate(value):
            for j, other in enumerate(left):
                if not self._differ(item, other, ""):
                    del left[j]
                    break
            else:
                return f"[{i}]: {_show(item)} is not among the expected values, or too often"
        return f"missing: {_show(left[0])}" if left else ""


@dataclass(frozen=True)
class Lines:
    """`(printed, expected) -> ""` if they agree, else one line on where they differ.

    White space at the end of lines and empty lines at the end do not count. With a tolerance, words of a line that are
    numbers may be off by `atol + rtol * abs(expected)`. `exact=True` compares every character.
    """

    exact: bool = False
    atol: float = 0.0
    rtol: float = 0.0

    def __call__(self, printed: str, expected: str) -> str:
        if self.exact:
            return "" if printed == expected else f"expected {_show(expected)}, got {_show(printed)}"
        left, right = _lines(printed), _lines(expected)
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            if a != b and not self._close(a.split(), b.split()):
                return f"line {i + 1}: expected {_show(b)}, got {_show(a)}"
        if len(left) != len(right):
            return f"expected {len(right)} lines, got {len(left)}"
        return ""

    def _close(self, left: list[str], right: list[str]) -> bool:
        if len(left) != len(right) or not (self.atol or self.rtol):
            return False
        return all(a == b or self._close_words(a, b) for a, b in zip(left, right, strict=True))

    def _close_words(self, a: str, b: str) -> bool:
        try:
            x, y = float(a), float(b)
        except ValueError:
            return False
        return x == y or (math.isfinite(x) and math.isfinite(y) and abs(x - y) <= self.atol + self.rtol * abs(y))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _wrong(value: Any, expected: Any, where: str) -> str:
    return f"{where}: " * bool(where) + f"expected {_show(expected)}, got {_show(value)}"


def _has_more_digits(value: Any, other: Any) -> bool:
    """Whether an integer is longer than a decimal. Python would turn all of it into decimal digits to find out, which takes
    minutes for a million of them."""
    decimals = isinstance(value, int) and isinstance(other, decimal.Decimal) and other.is_finite()
    return decimals and value.bit_length() > 4 * max(other.adjusted() + 2, 0)


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def leaves(value: Any) -> Iterator[Any]:
    """What lists and tuples hold at every depth; the value itself where it is neither."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, (list, tuple)):
            todo += item
        else:
            yield item


def _array(value: Any) -> Any:
    """As numpy makes it. Of texts it would make an array in which each takes the room of the longest, and a range, say,
    of any length it would write out: the former stay objects, the latter raises ValueError."""
    import numpy

    holds_text = False
    for item in leaves(value):
        if isinstance(item, (str, bytes)) or getattr(getattr(item, "dtype", None), "kind", "") in tuple("SU"):
            holds_text = True
        elif hasattr(item, "__getitem__") and not hasattr(item, "dtype") and not isinstance(item, dict):
            raise ValueError(f"{type(item).__name__} against an array")
    return numpy.asarray(value, dtype=object if holds_text and not hasattr(value, "dtype") else None)


def _kinds(values: Any) -> dict[Any, type]:
    return {value: type(value) for value in values}


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    text = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
    return f"{text} ({type(value).__name__})" if isinstance(value, (bool, int, float, list, tuple)) else text
