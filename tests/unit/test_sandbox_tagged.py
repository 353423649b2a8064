"""Values as tagged data: what is plain comes back as it was, what is not never runs, and nobody's method is called."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import itertools
import json
import math
import re
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.codeflow.sandbox.child.tagged import MAX_CHARS, Opaque, TooLarge, encode
from iterpref.codeflow.sandbox.child.untagged import Decoder, decode
from iterpref.codeflow.sandbox.compare import Truth, Values

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.fractions()
    | st.decimals(allow_nan=False)
)
HASHABLE = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)


def through(value: Any) -> Any:
    """Out of the sandbox and back: the way of a value, JSON included."""
    return decode(json.loads(json.dumps(encode(value))))


def same(left: Any, right: Any) -> bool:
    """Equal, with equal types at every level; the order of a dict counts."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    return bool(left == right)


@given(NESTED)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    assert same(through(value), value)


def test_values_at_the_edge_come_back() -> None:
    for value in (10**6000, -(10**5000), 1e308, math.inf, -math.inf, 5e-324, "\ud800", "\0", ..., range(3, 9, 2)):
        assert same(through(value), value)


def test_nan_and_the_sign_of_zero_come_back() -> None:
    assert math.isnan(through(math.nan))
    assert math.copysign(1, through(-0.0)) == -1


def test_subclasses_are_sent_as_what_their_base_holds() -> None:
    class Color(enum.IntEnum):
        RED = 3

    class Name(str):
        pass

    point = collections.namedtuple("point", "x y")(1, 2)
    counter, ordered = collections.Counter("aab"), collections.OrderedDict(b=1, a=2)
    default = collections.defaultdict(list, {1: [2]})
    assert [through(v) for v in (point, counter, ordered, default)] == [
        (1, 2),
        {"a": 2, "b": 1},
        {"b": 1, "a": 2},
        {1: [2]},
    ]
    assert same([through(Color.RED), through(Name("n")), through(True)], [3, "n", True])
    assert encode(point)[:1] == ["sub"]
    assert encode(point)[1][0] == "point"


@pytest.mark.parametrize(
    "value",
    [np.float64(0.1), np.int8(-3), np.bool_(True), np.str_("ab"), np.complex64(1 + 2j), np.datetime64("2024-01-02"),
     np.array([[1.5, np.nan]]), np.zeros((0, 3), dtype=np.int32), np.array(["a", "bcd"]), np.array([1, "a", None], dtype=object)],
)  # fmt: skip
def test_numpy_comes_back_with_dtype_and_shape(value: Any) -> None:
    back = through(value)
    assert type(back) is type(value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(back, value)


def test_pandas_comes_back_with_its_structure() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2020-01-01", None])}, index=["r", "s"])
    pd.testing.assert_frame_equal(through(table), table)
    series = pd.Series([1.5, 2.0], name="q", index=pd.Index([3, 4], name="i"))
    pd.testing.assert_series_equal(through(series), series, check_names=True, check_index_type=True)
    pairs = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["n", None])
    pd.testing.assert_index_equal(through(pairs), pairs)
    assert through(pd.Timestamp("2020-01-02 03:04")) == pd.Timestamp("2020-01-02 03:04")
    assert through(pd.NaT) is pd.NaT


def test_no_method_of_the_program_is_called() -> None:
    class Trap(Exception):
        pass

    def trap(*_: object) -> Any:
        raise Trap

    names = ("__iter__", "__len__", "__getitem__", "__eq__", "__hash__", "__index__", "__int__", "__str__", "__repr__", "__reduce__",
             "__bool__", "__getattribute__", "__contains__", "__float__", "items", "keys")  # fmt: skip
    for base, content in (
        (list, [1, 2]),
        (tuple, (1,)),
        (dict, {1: 2}),
        (int, 7),
        (float, 1.5),
        (str, "a"),
        (bytes, b"b"),
        (set, {1}),
    ):
        kind = type("Hostile", (base,), dict.fromkeys(names, trap))
        value = base.__new__(kind, content) if base not in (list, dict, set) else base.__new__(kind)  # type: ignore[call-overload]
        if base in (list, dict, set):
            base.__init__(value, content)  # type: ignore[misc]
        assert same(through(value), content)


def test_an_object_that_lies_about_its_class_is_opaque() -> None:
    class Liar:
        @property
        def __class__(self) -> Any:
            return int

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    back = through(Liar())
    assert type(back) is Opaque
    assert back.kind == "Liar"
    assert back != 1


@pytest.mark.parametrize("answer", ["'x' * 10**6", "5", "1 / 0"])
def test_a_repr_is_short_or_missing(answer: str) -> None:
    kind = type("Odd", (), {"__repr__": lambda self: eval(answer)})
    assert len(through(kind()).text) <= 200


def test_what_is_opaque_says_whether_it_is_true() -> None:
    class Empty:
        def __len__(self) -> int:
            return 0

    class Silent:
        def __bool__(self) -> bool:
            raise ValueError

    told = [through(value).truth for value in (re.match("a", "ab"), Empty(), Silent())]
    assert told == [True, False, None]
    wanted = [Values("equal")(through(re.match("a", "ab")), Truth(value)) for value in (True, False)]
    assert [bool(message) for message in wanted] == [False, True]


def test_iterators_and_functions_are_opaque() -> None:
    for value in (iter([1]), (x for x in "ab"), map(int, "1"), len, object, type("T", (), {})):
        assert type(through(value)) is Opaque


def test_a_value_without_end_is_too_large() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(10**5):
        deep = [deep]
    for value in (loop, deep, "x" * (MAX_CHARS + 1), [b"x" * (MAX_CHARS // 4)] * 8):
        with pytest.raises(TooLarge):
            encode(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["int", "list", "ndarray", "dict", "sub", "pandas"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=10,
)


@given(JSON)
def test_hostile_data_is_refused_or_is_plain(data: Any) -> None:
    try:
        value = decode(data)
    except ValueError:
        return
    assert type(value).__module__ in (
        "builtins",
        "datetime",
        "decimal",
        "fractions",
        "collections",
        "numpy",
        Opaque.__module__,
    ) or type(value).__module__.startswith("pandas")


def test_an_array_of_objects_is_never_made_of_bytes() -> None:
    with pytest.raises(ValueError, match="array of"):
        decode(["ndarray", ["|O", [1], "AAAAAAAAAAA="]])
    deep: Any = ["none", None]
    for _ in range(10**4):
        deep = ["list", [deep]]
    with pytest.raises(ValueError, match="nested"):
        decode(deep)


def test_what_equals_plain_data_without_being_it_comes_back() -> None:
    held = {"a": 1, "b": 2}
    for value, equal in (
        (held.keys(), {"a", "b"}),
        (held.items(), {("a", 1), ("b", 2)}),
        (types.MappingProxyType(held), held),
        (collections.UserDict(held), held),
        (collections.UserList([1]), [1]),
        (collections.UserString("a"), "a"),
    ):
        came = decode(encode(value))
        assert type(came) is type(value)
        assert came == value
        assert came == equal
        assert Values("equal")(came, equal) == ""
        assert Values()(came, equal) != ""
    false = collections.UserList()
    false.data = 5
    with pytest.raises(ValueError, match="around int"):
        decode(encode(false))


@pytest.mark.parametrize(
    "data",
    [
        ["fraction", [["int", "0x1"], ["int", "0x0"]]],
        ["fraction", [["int", "0x1"], ["float", "0x1p+0"]]],
        ["range", [["int", "0x0"], ["int", hex(1 << 10**6)], ["int", hex(1 << 5 * 10**5)]]],
        ["pandas", ["Series", ["list", [["int", "0x5"], ["none", None], ["list", []], ["str", "int64"]]]]],
        ["pandas", ["Index", ["list", [["range", [["int", "0x0"], ["int", hex(10**12)], ["int", "0x1"]]],
                                       ["list", [["none", None]]], ["str", "int64"]]]]],
        ["pandas", ["Series", ["list", [["list", [["int", "0x5"]]], ["none", None], ["list", [["int", "0x5"]]],
                                        ["str", "S2000000000"]]]]],
        # What numpy and pandas read in a time that grows with its square, and what pandas reads one by one.
        ["ndarray", ["i4," * 200_000, [0], ""]],
        ["pandas", ["Series", ["list", [["list", []], ["none", None], ["list", []], ["str", "datetime64[" + ", " * 20_000]]]]],
        ["pandas", ["Timestamp", ["list", [["int", "0x0"], ["none", None], ["str", "a" * 100_000]]]]],
        ["pandas", ["Index", ["list", [["list", [["str", "jan 1 2020 10pm"]] * 9], ["list", [["none", None]]],
         ["str", "datetime64[ns]"]]]]],
    ],
)  # fmt: skip
def test_what_would_take_minutes_or_gigabytes_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"fraction|digits|fit together|column of|name of"):
        decode(data)


def test_all_values_of_a_run_together_may_take_so_long_to_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("time.thread_time", lambda: float(next(ticks)))  # each look is a second after the one before
    decoder, value = Decoder(), encode({1})
    for _ in range(5):
        assert decoder.decode(value) == {1}
    with pytest.raises(ValueError, match="keys of one hash"):
        decoder.decode(value)
    assert decode(value) == {1}


def test_dates_and_fractions_keep_what_json_has_not() -> None:
    values = (decimal.Decimal("1.50"), fractions.Fraction(1, 3), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 5))
    assert [str(through(value)) for value in values] == [str(value) for value in values]


def test_arrays_of_records_and_of_lists_come_back_and_compare() -> None:
    numpy = pytest.importorskip("numpy")
    kind = [("a", "i4"), ("b", "f8"), ("c", "i2", (2,)), ("d", "O")]
    records = numpy.array([(1, float("nan"), (1, 2), [1]), (3, 4.0, (5, 6), "x")], kind)
    other = records.copy()
    other["c"][1, 0] = 7
    for value in (records, records[0]):
        assert Values()(decode(encode(value)), value) == ""
    assert Values()(decode(encode(other)), records) != ""
    lists = numpy.empty(2, object)
    lists[:] = [None, None]
    lists[0], lists[1] = [1, 2], [3, 4]
    assert Values()(decode(encode(lists)), lists) == ""
    lists[1] = [3, 5]
    assert Values()(decode(encode(records)), lists) != ""
    for payload in ([[10**15], [["a", encode(numpy.ones(1))]]], [[10**15], []], [None, [["a", encode(1)]]]):
        with pytest.raises(ValueError, match="."):
            decode(["records", payload])
