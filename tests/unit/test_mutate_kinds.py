"""Bug kinds that edit within a line, on sources small enough to list all edits by hand."""

from __future__ import annotations

import pytest

from iterpref.codeflow.generate.bugs import KINDS, Source, apply_edits


def versions(kind: str, source: str) -> list[str]:
    """What a kind makes of a source, edit by edit, doubles included."""
    return [apply_edits(source, [edit]) for edit in KINDS[kind](Source(source))]


def changed(source: str, *changes: tuple[str, str]) -> list[str]:
    """The source with one change each, whose old text stands in it exactly once."""
    for old, _ in changes:
        assert source.count(old) == 1, old
    return [source.replace(old, new) for old, new in changes]


def body(*lines: str) -> str:
    return "def f(a, b, xs, d):\n" + "".join(f"    {line}\n" for line in lines)


# kind -> (a function's body, every change that the kind makes to it in order)
ON_ONE_LINE = {
    "off_by_one range": ("return list(range(a))", [("range(a)", "range(a - 1)"), ("range(a)", "range(a + 1)")]),
    "off_by_one bounds": (
        "return list(range(1, len(xs) - 1))",
        [("len(xs) - 1", "len(xs) - 2"), ("len(xs) - 1", "len(xs)"), ("(1,", "(2,"), ("len(xs) - 1", "len(xs)")],
    ),
    "off_by_one loose": (
        "return range(a or b)",
        [("a or b", "(a or b) - 1"), ("a or b", "(a or b) + 1")],
    ),
    "off_by_one enumerate": ("return list(enumerate(xs))", [("enumerate(xs)", "enumerate(xs, 1)")]),
    "off_by_one enumerate start": (
        "return [*enumerate(xs, start=1), *enumerate(a, 2)]",
        [("start=1", "start=0"), ("(a, 2)", "(a, 1)")],
    ),
    "off_by_one threshold": ("return len(xs) >= 3 or a > 0", [(">= 3", ">= 4")]),
    "off_by_one plus": ("return (a * b) + 1", [("(a * b) + 1", "(a * b)")]),
    "slice_boundary upper": ("return xs[:a]", [("[:a]", "[1:a]"), ("[:a]", "[:a + 1]"), ("[:a]", "[:a - 1]")]),
    "slice_boundary zero": ("return xs[0:-1]", [("0:-1", "1:-1"), ("0:-1", "0:-2")]),
    "wrong_comparison": (
        "return a < b <= 2 or a == b",
        [("a < b", "a <= b"), ("a < b", "a > b"), ("<= 2", "< 2"), ("<= 2", ">= 2"), ("a == b", "a != b")],
    ),
    "wrong_operator": (
        "return (a + b) // 2 and d or a ** b",
        [("d or a", "d and a"), ("2 and d", "2 or d"), ("//", "/"), ("a + b", "a - b"), ("**", "*")],
    ),
    "wrong_operator text": ("return 'x' + a", []),
    "swapped_operands chain": ("return (a + b) / d - xs[0]", []),
    "swapped_operands once": ("return d[0] - a * b", [("d[0] - a * b", "a * b - d[0]")]),
    "wrong_constant": ("return a * 60 + 0.5 * b", [("60", "100"), ("0.5", "0.05")]),
    "dropped_else conditional": ("return (a) if b else d", [("(a) if b else d", "(a)")]),
    "negated_condition": (
        "return [x for x in xs if not (x in d) and x is not None and a]",
        [("not (x in d)", "(x in d)"), ("is not None", "is None"), ("and a", "and not a")],
    ),
    "missing_condition": (
        "return a and (b or d)",
        [("a and (b or d)", "(b or d)"), ("a and (b or d)", "a"), ("(b or d)", "(d)"), ("(b or d)", "(b)")],
    ),
    "missing_return": ("return f(a, b)", [("return f", "f")]),
    "swapped_arguments": (
        "return g(a, b, b, key=d) + max(a, b) + h(*xs, a)",
        [("(a, b, b", "(b, a, b")],
    ),
    "swapped_unpacking": (
        "return a, [x for x, y in xs]",
        [("a, [x for x, y in xs]", "[x for x, y in xs], a"), ("x, y in", "y, x in")],
    ),
    "wrong_key": (
        "return d['first'] + d.get(\"names\") + xs[0] + xs[-1]",
        [
            ("'first'", "'names'"),
            ("'first'", "'firsts'"),
            ('"names"', '"first"'),
            ('"names"', '"name"'),
            ("xs[0]", "xs[1]"),
            ("xs[-1]", "xs[0]"),
        ],
    ),
    "wrong_key built": ("return {'a': 1, 'bs': 2}", [("'a'", "'as'"), ("'bs'", "'b'")]),
    "wrong_method": (
        "return xs.append(min(a)) or xs.find(b)",
        [("append", "extend"), ("find", "rfind"), ("min", "max")],
    ),
    "shared_reference": (
        "return d.copy(), list(a), deepcopy(b), xs[:]",
        [("d.copy()", "d"), ("list(a)", "a"), ("deepcopy(b)", "b"), ("xs[:]", "xs")],
    ),
    "shared_reference rows": (
        "return [[0] * b for _ in range(a + 1)]",
        [("[[0] * b for _ in range(a + 1)]", "[[0] * b] * (a + 1)")],
    ),
    "missing_conversion": (
        "return 2 * int(a + b), str(d), xs.strip(',').lower()",
        [
            ("int(a + b)", "(a + b)"),
            ("str(d)", "d"),
            ("xs.strip(',').lower()", "xs.strip(',')"),
            ("xs.strip(',').lower()", "xs.lower()"),
        ],
    ),
    "missing_conversion generator": ("return list(x for x in xs)", [("list(x for x in xs)", "(x for x in xs)")]),
    "missing_default": (
        "return d.get(a, 0) + next(xs, None) + max(xs, default=0) + d.get(b)",
        [("(a, 0)", "(a)"), ("(xs, None)", "(xs)"), ("(xs, default=0)", "(xs)")],
    ),
    "wrong_sort": (
        "return sorted(xs, key=lambda x: (-x[1], x[0]))",
        [
            ("xs, key=lambda x: (-x[1], x[0])", "xs"),
            ("-x[1]", "x[1]"),
            (", x[0]", ""),
            ("-x[1], x[0]", "x[0], -x[1]"),
            ("x[0]))", "x[0]), reverse=True)"),
        ],
    ),
    "wrong_sort method": ("xs.sort(reverse=True, key=len)", [("reverse=True, ", ""), (", key=len", "")]),
    "wrong_sort bare": ("xs.sort()", [("()", "(reverse=True)")]),
    "wrong_sort reversed": (
        "return xs[::-1] + list(reversed(xs))",
        [("xs[::-1]", "xs"), ("reversed(xs)", "xs")],
    ),
}


@pytest.mark.parametrize("case", ON_ONE_LINE)
def test_a_kind_yields_exactly_these_edits_of_one_line(case: str) -> None:
    line, changes = ON_ONE_LINE[case]
    assert sorted(versions(case.split()[0], body(line))) == sorted(changed(body(line), *changes))


def test_every_kind_says_which_mistake_it_models() -> None:
    for name, kind in KINDS.items():
        assert kind.__doc__ is not None, name
        assert kind.__doc__.startswith("The LLM "), name


def test_every_kind_is_tested_here_or_among_the_blocks() -> None:
    blocks = {
        "missing_guard", "dropped_else", "early_return", "wrong_jump", "swallowed_exception", "wrong_variable",
        "stale_return", "wrong_initial_value", "wrong_default", "mutable_default", "missing_update", "missing_reset",
    }  # fmt: skip
    assert {case.split()[0] for case in ON_ONE_LINE} | blocks == set(KINDS)
