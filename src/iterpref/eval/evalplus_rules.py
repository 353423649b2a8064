"""What EvalPlus calls right, for MBPP+ and HumanEval+: the types of its inputs and the comparison of one output.

The rules and figures are those of EvalPlus (github.com/evalplus/evalplus: `data/mbpp.py`, `eval/__init__.py`,
`eval/_special_oracle.py`), in two versions: "0.2", which judged MBPP+ v0.1.0, and "0.3", which judges MBPP+ v0.2.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.sandbox.child.untagged import Decoder
from iterpref.codeflow.sandbox.compare import leaves

VERSIONS = ("0.2", "0.3")
LATEST = VERSIONS[-1]
FLOAT_ATOL = 1e-6  # for floats in a task that names no tolerance of its own
RTOL = 1e-7  # numpy's own default in `assert_allclose`, which every version keeps
MOST_ITEMS = 1 << 20  # more than any value that is sent can hold
SHOWN = 100  # characters of a value in a message

# JSON has no tuples: in these tasks of MBPP the lists at the given depths become tuples again. Depth 0 is an argument,
# depth 1 its items; `None` stands for every depth, and for every argument.
TUPLES: tuple[tuple[tuple[int, ...] | None, int | None, tuple[int, ...]], ...] = (
    (
        (0,),
        None,
        (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
    ),
    ((1,), None, (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
    ((0, 1), None, (259, 278, 401, 445)),
    (None, None, (580, 615, 791)),
    ((0,), 0, (250, 307, 405, 446, 617, 720, 763, 808)),
    ((0,), 1, (106, 750)),
    ((1,), 0, (75, 413, 444, 722, 753)),
)
_TUPLES = {task: (depths, argument) for depths, argument, tasks in TUPLES for task in tasks}


def number(task_id: str) -> tuple[str, int]:
    """`number("Mbpp/12") == ("Mbpp", 12)`; a number of -1 for a name of another form."""
    family, _, digits = task_id.partition("/")
    return family, int(digits) if digits.isdigit() else -1


def restore(task_id: str, inputs: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    """The arguments of each call with the types that they had before they became JSON."""
    family, n = number(task_id)
    if family != "Mbpp":
        return tuple(map(tuple, inputs))
    if n == 115:  # sets; whatever else was there, an empty list too, is an empty dict
        return tuple(
            ([set(item) if isinstance(item, list) and item else {} for item in first],) for first, *_ in inputs
        )
    if n == 124:  # complex numbers were written as text
        return tuple((float(first), complex(second)) for first, second in inputs)
    if n == 252:
        return tuple((complex(first),) for first, *_ in inputs)
    if n not in _TUPLES:
        return tuple(map(tuple, inputs))
    depths, argument = _TUPLES[n]
    return tuple(
        tuple(_tuples(item, depths, 0) if argument in (None, i) else item for i, item in enumerate(items))
        for items in inputs
    )


def _tuples(value: Any, depths: tuple[int, ...] | None, depth: int) -> Any:
    if depths is not None and depth > max(depths):
        return value
    if isinstance(value, dict):
        return {key: _tuples(item, depths, depth + 1) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items = [_tuples(item, depths, depth + 1) for item in value]
    return tuple(items) if depths is None or depth in depths else items


@dataclass(frozen=True)
class Expected:
    """What the reference returned for one input, and what else judging a value needs."""

    value: Any
    atol: float
    arguments: tuple[Any, ...]


def expectations(
    task_id: str, atol: float, inputs: Sequence[tuple[Any, ...]], values: Sequence[Any], version: str = LATEST
) -> tuple[Expected, ...]:
    """One for each input of a part, in order: a tolerance that one float brought in holds for all inputs after it."""
    if RULES.get(task_id) is _not_none:  # what these return cannot be kept, only whether they return anything
        values = [value is not None for value in values]
    found = []
    for arguments, value in zip(inputs, values, strict=True):
        if atol == 0 and _is_floats(value, version):
            atol = FLOAT_ATOL
        found.append(Expected(value, atol, arguments))
    return tuple(found)


def _is_floats(value: Any, version: str) -> bool:
    """A float, a list or tuple of floats alone, an array of floats; to version 0.2, an empty list is floats as well."""
    if isinstance(value, (list, tuple)):
        return bool(value or version == "0.2") and all(isinstance(item, float) for item in value)
    return isinstance(value, float) or str(getattr(value, "dtype", "")) in ("float32", "float64")


@dataclass(frozen=True)
class Agrees:
    """`(value, expected) -> ""` if EvalPlus would let the value pass, else what differs, in one line. Never raises."""

    task_id: str
    version: str = LATEST

    def __call__(self, value: Any, expected: Expected) -> str:
        try:
            rule = RULES.get(self.task_id)
            if rule is not None and self.task_id in SINCE_0_3 and self.version == "0.2":
                rule = None
            if self.task_id == "HumanEval/32" and not _is_zero(value, expected, self.version):
                return f"not a zero of the polynomial: {_show(value)}"
            if rule is not None and rule(value, expected):
                return ""
            # A set has no order to differ in, and whether there is anything has no tolerance; the rest may be close.
            if rule is None and bool(value == expected.value):
                return ""
            if expected.atol and self._close(value, expected):
                return ""
        except Exception as error:
            return f"{type(error).__name__}: {error!s:.{SHOWN}}; expected {_show(expected.value)}, got {_show(value)}"
        return f"expected {_show(expected.value)}, got {_show(value)}"

    def _close(self, value: Any, expected: Expected) -> bool:
        import numpy

        # numpy raises for the rest, but would first make arrays of it: of a range as long as it likes, say.
        if not all(map(_is_number, leaves(value))):
            return False
        with numpy.errstate(all="ignore"):
            # Of nothing, all is close to anything: `[]` to a number, `[[]]` to a list of one, and any number to `[]`.
            n, wanted = numpy.size(value), numpy.size(expected.value)
            if (n < wanted and numpy.ndim(value)) or (n and not wanted):
                return False
            if self.version == "0.2":  # a scalar stands for as many as are expected, and NaN is NaN
                numpy.testing.assert_allclose(value, expected.value, rtol=RTOL, atol=expected.atol)
                return True
            if type(value) is not type(expected.value):
                return False
            if isinstance(value, (list, tuple)) and len(value) != len(expected.value):
                return False
            same = numpy.shape(value) == numpy.shape(expected.value)
            return same and bool(numpy.allclose(value, expected.value, rtol=RTOL, atol=expected.atol))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) or getattr(getattr(value, "dtype", None), "kind", "O") in "biufc"


def _anything(value: Any, expected: Expected) -> bool:
    return True


def _equal_or_zero(value: Any, expected: Expected) -> bool:
    return bool(value == expected.value or value == 0)


def _same_set(value: Any, expected: Expected) -> bool:
    if len(value) > MOST_ITEMS:  # of a range, or of items that hash alike, a set could take hours
        return False
    found = Decoder().hashed([(item, None) for item in value])
    return found.keys() == set(expected.value)


def _not_none(value: Any, expected: Expected) -> bool:
    return bool(expected.value == (value if isinstance(value, bool) else value is not None))


def _pyramid(value: Any, expected: Expected) -> bool:
    """The height may also be read as the distance from the base to the apex, not as the slant of a side."""
    if value == expected.value:
        return True
    edge, height = expected.arguments
    slant = math.sqrt((edge / 2) ** 2 + height**2)
    return bool(abs(value - round(edge**2 + 4 * (edge * slant) / 2)) <= expected.atol)


def _digits_apart(value: Any, expected: Expected) -> bool:
    """The shorter number may also be filled up with leading zeros."""
    if value == expected.value:
        return True
    first, second = map(str, expected.arguments)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return bool(value == sum(abs(int(a) - int(b)) for a, b in pairs))


def _is_zero(value: Any, expected: Expected, version: str) -> bool:
    """The polynomial at `value`, coefficients from the constant on; version 0.2 asks no more than that it is not above."""
    height = sum(factor * math.pow(value, i) for i, factor in enumerate(expected.arguments[0]))
    return (height if version == "0.2" else abs(height)) <= expected.atol


def _zero_is_enough(value: Any, expected: Expected) -> bool:
    return True  # `_is_zero` was asked before


RULES: dict[str, Callable[[Any, Expected], bool]] = {
    "Mbpp/164": _anything,  # are_equivalent
    "Mbpp/295": _equal_or_zero,  # sum_div
    "Mbpp/581": _pyramid,  # surface_Area
    "Mbpp/558": _digits_apart,  # digit_distance_nums
    **dict.fromkeys((f"Mbpp/{n}" for n in (2, 7, 111, 140, 232, 249, 579, 769)), _same_set),
    **dict.fromkeys((f"Mbpp/{n}" for n in (737, 787, 794)), _not_none),
    "HumanEval/32": _zero_is_enough,  # find_zero
}
SINCE_0_3 = frozenset(
    task for task, rule in RULES.items() if rule in (_pyramid, _digits_apart, _same_set, _zero_is_enough)
)


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # an integer of more digits than Python writes
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
