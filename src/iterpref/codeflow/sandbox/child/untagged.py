"""Tagged plain data (`tagged.encode`) as values again, within bounds: what stands in it never runs."""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import fractions
import time
import types

from .tagged import MAX_DEPTH, NUMPY_KINDS, Digest, Opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_HASHING_S = 5.0  # for all sets and dicts together: keys of one hash take time that grows with their square
MAX_RANGE_BITS = 4096
MAX_NAME = 200  # characters of a type of numpy or pandas, or of a time


def decode(tagged: Any) -> Any:
    """The value, as plain data; raises ValueError for what `encode` cannot have written. Never runs what it reads."""
    try:
        return Decoder().decode(tagged)
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError, ArithmeticError, ImportError) as error:
        raise ValueError(f"not a tagged value: {type(error).__name__}: {error}") from error


def _short(number: int) -> int:
    """To divide long numbers takes time that grows with the square of their length."""
    if int.bit_length(number) > MAX_RANGE_BITS:
        raise ValueError("a range of numbers of too many digits")
    return number


def _name(text: str) -> str:
    """numpy and pandas read a long one in a time that grows with the square of its length."""
    if len(text) > MAX_NAME:
        raise ValueError(f"a name of {len(text)} characters")
    return text


def _fraction(numerator: int, denominator: int) -> Any:
    """As it was sent, in lowest terms: to bring it there takes minutes for a million digits."""
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("not a fraction")
    made: Any = object.__new__(fractions.Fraction)
    made._numerator, made._denominator = numerator, denominator
    return made


class Decoder:
    """For all values of one run, which share the time that hashing may take. `decode` may raise any Exception."""

    def __init__(self) -> None:
        self._hashing_s = 0.0

    def decode(self, tagged: Any, depth: int = 0) -> Any:
        if depth > MAX_DEPTH + 2:
            raise ValueError("a tagged value that is nested too deeply")
        tag, payload = tagged
        if tag in _ITEMS:
            return _ITEMS[tag]([self.decode(item, depth + 1) for item in payload])
        if tag in ("set", "frozenset"):
            found: dict[Any, Any] = self.hashed([(self.decode(item, depth + 1), None) for item in payload])
            return set(found) if tag == "set" else frozenset(found)
        if tag == "dict":
            return self.hashed([(self.decode(key, depth + 1), self.decode(value, depth + 1)) for key, value in payload])
        if tag == "sub":
            return self.decode(payload[1], depth + 1)
        if tag in _AROUND:
            kind, make = _AROUND[tag]
            inner = self.decode(payload, depth + 1)
            if type(inner) is not kind:
                raise ValueError(f"{tag!r} around {type(inner).__name__}")
            return make(inner)
        if tag == "ndarray":
            dtype, shape, data = payload
            return self.array(dtype, shape, data, depth)
        if tag == "records":
            shape, columns = payload
            return self.records(shape, columns, depth)
        if tag == "pandas":
            return self.table(payload[0], payload[1], depth)
        return _ATOMS[tag](payload)

    def hashed(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """The dict of these; raises ValueError where that takes too long."""
        found: dict[Any, Any] = {}
        for start in range(0, len(pairs), 500):
            started = time.thread_time()
            found.update(pairs[start : start + 500])
            self._hashing_s += time.thread_time() - started
            if self._hashing_s > MAX_HASHING_S:
                raise ValueError("keys of one hash")
        return found

    def array(self, dtype: str, shape: list[int] | None, data: Any, depth: int) -> Any:
        import numpy

        if isinstance(data, list):
            array = numpy.empty(len(data), dtype=object)
            for i, item in enumerate(data):  # one by one: numpy would take lists of one length for a second dimension
                array[i] = self.decode(item, depth + 1)
        else:
            kind = numpy.dtype(_name(dtype))
            if kind.kind not in NUMPY_KINDS or kind.fields is not None:
                raise ValueError(f"an array of {dtype!r}")
            array = numpy.frombuffer(base64.b64decode(data, validate=True), kind).copy()
        return array[0] if shape is None else array.reshape(shape)

    def records(self, shape: list[int] | None, columns: list[Any], depth: int) -> Any:
        import numpy

        parts = {str(name): self.decode(column, depth + 1) for name, column in columns}
        n = len(shape or ())  # a column of arrays has more dimensions than that
        if not parts or any(list(part.shape[:n]) != list(shape or ()) for part in parts.values()):
            raise ValueError("columns that do not fit together")
        kinds = [(name, part.dtype, part.shape[n:]) for name, part in parts.items()]
        array = numpy.empty(shape or (), numpy.dtype(kinds))
        for name, part in parts.items():
            array[name] = part
        return array[()] if shape is None else array

    def table(self, name: str, payload: Any, depth: int) -> Any:
        import pandas

        if name in ("NaT", "NA"):
            return getattr(pandas, name)
        parts = self.decode(payload, depth + 1)
        if name == "DataFrame":
            columns, names, index, dtypes = parts
            for column in columns:
                _check_lengths(pandas, column, index)
            table = pandas.DataFrame(dict(enumerate(columns)), index=index)
            for i, dtype in enumerate(dtypes):
                table[i] = table[i].astype(_table_dtype(pandas, dtype, columns[i]))
            table.columns = pandas.Index(names)
            return table
        if name == "Series":
            _check_lengths(pandas, parts[0], parts[2])
            return pandas.Series(parts[0], name=parts[1], index=parts[2]).astype(
                _table_dtype(pandas, parts[3], parts[0])
            )
        if name == "Index":
            values, names, dtype = parts
            _check_lengths(pandas, values, values)
            dtype = _table_dtype(pandas, dtype, values)
            return (
                pandas.MultiIndex.from_tuples(values, names=names)
                if len(names) > 1
                else pandas.Index(values, dtype=dtype, name=names[0])
            )
        return pandas.Timestamp(_name(parts[2])) if name == "Timestamp" else pandas.Timedelta(parts[0], unit="ns")


def _check_lengths(pandas: Any, values: Any, index: Any) -> None:
    """pandas repeats one value for each place of an index, and an index may be of any length without taking room."""
    held = all(isinstance(part, list) or hasattr(part, "dtype") for part in (values, index))
    if not held or isinstance(index, pandas.RangeIndex) or len(values) != len(index):
        raise ValueError("a table whose columns and index do not fit together")


def _table_dtype(pandas: Any, name: str, values: Any) -> Any:
    """The type of a column that holds `values`. numpy's texts of a fixed length, which no table has, take that length for
    each item; and no text ever was a time, which pandas would read one by one."""
    dtype = pandas.api.types.pandas_dtype(_name(name))
    kind = getattr(dtype, "kind", "O")
    is_time = kind in "mM" or isinstance(dtype, pandas.PeriodDtype)
    may_hold_text = getattr(getattr(values, "dtype", None), "kind", "O") in "OSU"
    if kind in "SUV" or (is_time and may_hold_text and any(isinstance(value, (str, bytes)) for value in values)):
        raise ValueError(f"a table's column of {name!r:.100}")
    return dtype


_ITEMS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "deque": collections.deque,
    "range": lambda parts: range(*map(_short, parts)),
    "slice": lambda parts: slice(*parts),
    "fraction": lambda parts: _fraction(*parts),
}
_AROUND: dict[str, tuple[type, Any]] = {
    "keys": (dict, dict.keys),
    "pairs": (dict, dict.items),
    "proxy": (dict, types.MappingProxyType),
    "userdict": (dict, collections.UserDict),
    "userlist": (list, collections.UserList),
    "userstring": (str, collections.UserString),
}
_AS_TRUTH = {"True": True, "False": False}
_ATOMS: dict[str, Any] = {
    "none": lambda payload: None,
    "ellipsis": lambda payload: Ellipsis,
    "bool": lambda payload: payload is True,
    "int": lambda payload: int(payload, 16),
    "float": float.fromhex,
    "complex": lambda payload: complex(float.fromhex(payload[0]), float.fromhex(payload[1])),
    "str": lambda payload: payload if isinstance(payload, str) else str(payload),
    "bytes": lambda payload: base64.b64decode(payload, validate=True),
    "bytearray": lambda payload: bytearray(base64.b64decode(payload, validate=True)),
    "decimal": decimal.Decimal,
    "date": datetime.date.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda payload: datetime.timedelta(*payload),
    "other": lambda payload: Opaque(str(payload[0]), str(payload[1]), _AS_TRUTH.get(str(payload[2]))),
    "digest": lambda payload: Digest(str(payload[0]), str(payload[1]), int(payload[2])),
}
