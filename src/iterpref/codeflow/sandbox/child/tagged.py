"""Values as tagged plain data: what a call returned leaves the sandbox as JSON, and no object of the program's with it.

A value becomes `[tag, payload]`. The type is asked of the object's real class only, and the content of the built-in base
class's own methods: nothing that the program defined is called, apart from one guarded `repr` and one guarded `bool` of
what cannot be sent.
"""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import fractions
import hashlib
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FORMAT = 2  # of tagged values that are kept in files
MAX_DEPTH = 150  # levels of nesting
MAX_CHARS = 4 << 20  # of all payloads of one value together
REPR_CHARS = 200
NUMPY_KINDS = frozenset("biufcSUmM?")


class TooLarge(ValueError):
    """A value that is nested too deeply, contains itself, or is too long to be sent."""


class TooLong(TooLarge):
    """A value that could be sent but for its length: its `digest` can."""


class Digest:
    """What stands for a value that is too long: its class's name, and the sha256 of its repr and how long that is."""

    def __init__(self, kind: str, sha256: str, n_chars: int) -> None:
        self.kind, self.sha256, self.n_chars = kind, sha256, n_chars

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.n_chars} characters, sha256 {self.sha256[:12]}>"


class Opaque:
    """What came of an object that is no plain data: the name of its class, how it called itself, and whether it is true,
    or None where it would not say."""

    def __init__(self, kind: str, text: str, truth: bool | None = None) -> None:
        self.kind, self.text, self.truth = kind, text, truth

    def __repr__(self) -> str:
        return self.text or f"<{self.kind}>"


def encode(value: Any, max_chars: int = MAX_CHARS) -> list[Any]:
    """`decode(encode(x)) == x`, types included, for plain data; raises `TooLarge`, and of those `TooLong` for length alone.

    Plain are None, bool, numbers, str, bytes, list, tuple, set, frozenset, dict, range, slice, dates, and what numpy and
    pandas make of them. An object of a subclass is sent as what its built-in base holds, with its class's name.
    """
    return _Encoder(max_chars).encode(value, 0)


def digest(value: Any) -> list[Any]:
    """`decode(digest(x)) == digest_of(x)`, for a value that is too long to be sent. A repr that the program wrote itself
    is worth no more than a value that it made up. Equal sets and dicts in another order have other digests."""
    made = digest_of(value)
    return ["digest", [made.kind, made.sha256, made.n_chars]]


def digest_of(value: Any) -> Digest:
    if isinstance(value, Digest):
        return value
    text = repr(value)
    data = str.__str__(text).encode("utf-8", "surrogatepass")
    return Digest(_name(type(value)), hashlib.sha256(data).hexdigest(), len(text))


class _Encoder:
    def __init__(self, max_chars: int) -> None:
        self.left = self.max_chars = max_chars

    def pay(self, n_chars: int) -> None:
        self.left -= n_chars
        if self.left < 0:
            raise TooLong(f"a value of more than {self.max_chars} characters")

    def encode(self, value: Any, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise TooLarge(f"a value that is nested more than {MAX_DEPTH} levels deep")
        kind = type(value)
        self.pay(4)
        found = self.library(value, kind, depth)  # first: a numpy float is a float as well, a Timestamp a datetime
        if found is not None:
            return found
        for base in type.mro(kind):
            handler = _BASES.get(base)
            if handler is not None:
                tagged = handler(self, value, depth)
                return tagged if base is kind or base in _OWN_NAMES else ["sub", [_name(kind), tagged]]
        self.pay(REPR_CHARS)
        return ["other", [_name(kind), _safe_repr(value), _safe_truth(value)]]

    def library(self, value: Any, kind: type, depth: int) -> list[Any] | None:
        # Another thread may be importing them just now: then no value of theirs is there yet.
        numpy, pandas = (_loaded("numpy", "generic"), _loaded("pandas", "DataFrame"))
        if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
            return self.array(value, kind, numpy, depth)
        if pandas is not None:
            for name in ("Series", "DataFrame", "Index", "Timestamp", "Timedelta"):
                if issubclass(kind, getattr(pandas, name)):
                    return self.table(value, name, pandas, depth)
            if value is pandas.NaT or value is pandas.NA:
                return ["pandas", ["NaT" if value is pandas.NaT else "NA", None]]
        return None

    def array(self, value: Any, kind: type, numpy: Any, depth: int) -> list[Any]:
        array = numpy.array(value, copy=True, subok=False)
        shape = None if issubclass(kind, numpy.generic) else list(array.shape)
        if array.dtype.names is not None:
            columns = [[name, self.encode(numpy.asarray(array[name]), depth + 1)] for name in array.dtype.names]
            return ["records", [shape, columns]]
        if array.dtype.kind not in NUMPY_KINDS:
            items = [self.encode(item, depth + 1) for item in array.ravel().tolist()]
            return ["ndarray", [str(array.dtype), shape, items]]
        self.pay(array.nbytes * 4 // 3)
        return ["ndarray", [array.dtype.str, shape, base64.b64encode(array.tobytes()).decode()]]

    def table(self, value: Any, name: str, pandas: Any, depth: int) -> list[Any]:
        parts: list[Any]
        if name == "DataFrame":
            columns = [pandas.Series.to_numpy(value.iloc[:, i]) for i in range(value.shape[1])]
            parts = [columns, list(value.columns), value.index]
            parts.append([str(dtype) for dtype in value.dtypes])
        elif name == "Series":
            parts = [value.to_numpy(), value.name, value.index, str(value.dtype)]
        elif name == "Index":
            parts = [value.tolist(), list(value.names), str(value.dtype)]
        else:
            parts = [value.value, str(getattr(value, "tz", None)), str(value)]
        return ["pandas", [name, self.encode(parts, depth + 1)]]

    def items(self, tag: str, items: Any, depth: int) -> list[Any]:
        return [tag, [self.encode(item, depth + 1) for item in items]]


def _loaded(name: str, last: str) -> Any:
    module = sys.modules.get(name)
    return module if hasattr(module, last) else None


def _text(encoder: _Encoder, value: Any) -> str:
    text = str.__str__(value)
    encoder.pay(len(text))
    return text


def _integer(encoder: _Encoder, value: Any) -> list[Any]:
    encoder.pay(int.bit_length(value) // 4)
    return ["int", hex(int.__index__(value))]  # in base 16 there is no limit to the digits


def _bytes(tag: str, base: Any) -> Callable[[_Encoder, Any, int], list[Any]]:
    def handle(encoder: _Encoder, value: Any, depth: int) -> list[Any]:
        data = base.__getitem__(value, slice(None))
        encoder.pay(len(data) * 4 // 3)
        return [tag, base64.b64encode(data).decode()]

    return handle


_OWN_NAMES = frozenset({bool, type(None)})
_BASES: dict[Any, Callable[[_Encoder, Any, int], list[Any]]] = {
    type(None): lambda e, v, d: ["none", None],
    bool: lambda e, v, d: ["bool", v is True],
    int: lambda e, v, d: _integer(e, v),
    float: lambda e, v, d: ["float", float.hex(v)],
    complex: lambda e, v, d: ["complex", [float.hex(complex.real.__get__(v)), float.hex(complex.imag.__get__(v))]],  # type: ignore[attr-defined]
    str: lambda e, v, d: ["str", _text(e, v)],
    bytes: _bytes("bytes", bytes),
    bytearray: _bytes("bytearray", bytearray),
    list: lambda e, v, d: e.items("list", list.__iter__(v), d),
    tuple: lambda e, v, d: e.items("tuple", tuple.__iter__(v), d),
    set: lambda e, v, d: e.items("set", set.__iter__(v), d),
    frozenset: lambda e, v, d: e.items("frozenset", frozenset.__iter__(v), d),
    collections.deque: lambda e, v, d: e.items("deque", collections.deque.__iter__(v), d),
    dict: lambda e, v, d: ["dict", [[e.encode(k, d + 1), e.encode(x, d + 1)] for k, x in dict.items(v)]],
    range: lambda e, v, d: e.items("range", (v.start, v.stop, v.step), d),
    slice: lambda e, v, d: e.items("slice", (v.start, v.stop, v.step), d),
    type(Ellipsis): lambda e, v, d: ["ellipsis", None],
    decimal.Decimal: lambda e, v, d: ["decimal", decimal.Decimal.__str__(v)],
    fractions.Fraction: lambda e, v, d: e.items("fraction", (v._numerator, v._denominator), d),
    datetime.datetime: lambda e, v, d: ["datetime", datetime.datetime.isoformat(v)],
    datetime.date: lambda e, v, d: ["date", datetime.date.isoformat(v)],
    datetime.time: lambda e, v, d: ["time", datetime.time.isoformat(v)],
    datetime.timedelta: lambda e, v, d: ["timedelta", [v.days, v.seconds, v.microseconds]],
    # What equals a set, a dict, a list or a text without being one.
    type({}.keys()): lambda e, v, d: ["keys", e.encode(dict.fromkeys(v), d)],
    type({}.items()): lambda e, v, d: ["pairs", e.encode(dict(v), d)],
    types.MappingProxyType: lambda e, v, d: ["proxy", e.encode(dict(v), d)],
    collections.UserDict: lambda e, v, d: ["userdict", e.encode(object.__getattribute__(v, "data"), d)],
    collections.UserList: lambda e, v, d: ["userlist", e.encode(object.__getattribute__(v, "data"), d)],
    collections.UserString: lambda e, v, d: ["userstring", e.encode(object.__getattribute__(v, "data"), d)],
}


def _name(kind: type) -> str:
    return str(type.__getattribute__(kind, "__name__"))[:100]


def _safe_repr(value: Any) -> str:
    try:
        text = repr(value)
        return text[:REPR_CHARS] if type(text) is str else ""
    except Exception:
        return ""


def _safe_truth(value: Any) -> bool | None:
    try:
        return bool(value)
    except Exception:
        return None
