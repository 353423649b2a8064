"""Bug kinds that need a whole function to show, on sources small enough to list all edits by hand."""

from __future__ import annotations

from textwrap import dedent

import pytest
from tests.unit.test_mutate_kinds import changed, versions


def code(text: str) -> str:
    return dedent(text).lstrip("\n")


def test_missing_guard_drops_the_lines_of_early_exits_only() -> None:
    source = code(
        """
        def f(xs):
            if not xs:
                # nothing to do
                return 0
            total = 0
            for x in xs:
                if x < 0: continue  # skip
                if x > 9:
                    total += 1
                else:
                    return 1
            return total
        """
    )
    guards = ["    if not xs:\n        # nothing to do\n        return 0\n", "        if x < 0: continue  # skip\n"]
    assert versions("missing_guard", source) == changed(source, *((guard, "") for guard in guards))


def test_a_guard_that_ends_a_while_loop_stays() -> None:
    assert (
        versions("missing_guard", "def f(n):\n    while True:\n        if n:\n            break\n        n += 1\n")
        == []
    )


def test_dropped_else_drops_one_branch_of_a_chain() -> None:
    source = code(
        """
        def f(a):
            if a > 1:
                a = 1
            elif a > 0:
                a = 2
            # the rest
            else:  # nothing else
                a = 3
            return a
        """
    )
    expected = changed(
        source,
        ("    elif a > 0:\n        a = 2\n    # the rest\n", ""),
        ("    else:  # nothing else\n        a = 3\n", ""),
    )
    assert versions("dropped_else", source) == expected


def test_early_return_moves_a_return_into_the_loop_or_out_of_the_if() -> None:
    source = code(
        """
        def f(xs):
            for x in xs:
                if x:
                    x += 1
                    return x

            return None
        """
    )
    expected = changed(source, ("            return x", "        return x"), ("    return None", "        return None"))
    assert versions("early_return", source) == expected


def test_wrong_jump_swaps_continue_and_break_but_lets_no_while_loop_run_on() -> None:
    source = "def f(xs):\n    for x in xs:\n        if x: break\n        continue\n    while xs:\n        break\n"
    assert versions("wrong_jump", source) == changed(source, ("if x: break", "if x: continue"), ("continue", "break"))


def test_swallowed_exception_returns_none_or_does_nothing() -> None:
    source = code(
        """
        def f(x):
            if x < 0:
                raise ValueError("negative")
            try:
                return g(x)
            except KeyError as error:
                raise LookupError from error
            except TypeError:
                x = 1
                return x
        """
    )
    expected = changed(
        source,
        ('raise ValueError("negative")', "return None"),
        ("raise LookupError from error", "pass"),
        ("x = 1\n        return x", "pass"),
    )
    assert versions("swallowed_exception", source) == expected


def test_wrong_variable_takes_variables_of_one_family_that_have_a_value() -> None:
    source = code(
        """
        def f(low: int, high: int, name: str) -> int:
            width = high - 1
            for i in range(width):
                name += g(i)
            late = 3
            return width
        """
    )
    expected = changed(
        source,
        ("high - 1", "low - 1"),
        ("range(width)", "range(low)"),
        ("range(width)", "range(high)"),
        ("g(i)", "g(low)"),
        ("g(i)", "g(high)"),
        ("g(i)", "g(width)"),
    )
    assert sorted(versions("wrong_variable", source)) == sorted(expected)


def test_wrong_variable_confuses_the_fields_of_one_family() -> None:
    source = code(
        """
        class Shelf:
            def __init__(self, label: str) -> None:
                self.label = label
                self.items: list[str] = []
                self.gone: list[str] = []

            def take(self) -> None:
                self.gone.append(self.items.pop())
        """
    )
    expected = changed(source, ("self.gone.append", "self.items.append"), ("self.items.pop", "self.gone.pop"))
    assert versions("wrong_variable", source) == expected


def test_stale_return_returns_one_of_the_three_latest_others() -> None:
    source = "def f(a, b, c):\n    d = a\n    for e in b:\n        d += e\n    return d\n"
    expected = changed(source, ("return d", "return e"), ("return d", "return a"), ("return d", "return b"))
    assert versions("stale_return", source) == expected


def test_wrong_constant_covers_module_constants() -> None:
    source = 'RATE: float = 0.2\nMINUTES = 60\nNAME = "x"\n'
    assert sorted(versions("wrong_constant", source)) == sorted(changed(source, ("0.2", "0.02"), ("60", "100")))


def test_wrong_initial_value_knows_the_usual_starts() -> None:
    values = {
        "0": "1", "1": "0", "7": "8", "0.0": "1.0", "1.0": "0.0", "True": "False", '""': '" "',
        "[]": "[0]", "[0]": "[]", "None": "0", "-1": "0", 'float("-inf")': "0", "math.inf": "0",
    }  # fmt: skip
    for value, wrong in values.items():
        source = f"def f(xs):\n    best = {value}\n    return best\n"
        assert versions("wrong_initial_value", source) == [source.replace(value, wrong)]
    assert versions("wrong_initial_value", "def f(xs):\n    seen = {}\n    return seen\n") == []


def test_wrong_default_covers_parameters_and_fields() -> None:
    source = 'class P:\n    n: int = 0\n\ndef f(a, b=2, *, c=True, d=","):\n    return a\n'
    expected = changed(source, ("n: int = 0", "n: int = 1"), ("b=2", "b=3"), ("c=True", "c=False"), ('","', '" "'))
    assert versions("wrong_default", source) == expected


@pytest.mark.parametrize(
    ("guard", "rest"),
    [
        ("    if out is None:\n        out = []\n", ""),
        ("    out = out or []\n", ""),
        ("    out = [] if out is None else out\n", ""),
        ("    kept = out or []\n", "    kept = out\n"),
    ],
)
def test_mutable_default_moves_the_empty_list_into_the_signature(guard: str, rest: str) -> None:
    source = f'def f(x, out: "list | None" = None):\n    """Adds x."""\n{guard}    return g(x, out)\n'
    assert versions("mutable_default", source) == [source.replace("= None)", "= [])").replace(guard, rest)]


def test_missing_update_drops_the_line_or_leaves_pass() -> None:
    source = code(
        """
        def f(xs, seen):
            last = 0
            for x in xs:
                if x > last:
                    seen.append(
                        x
                    )
                seen[x] = last
                last = x
            return seen
        """
    )
    expected = changed(
        source,
        ("seen.append(\n                x\n            )", "pass"),
        ("        seen[x] = last\n", ""),
        ("        last = x\n", ""),
    )
    assert versions("missing_update", source) == expected


def test_an_update_that_a_while_loop_waits_for_stays() -> None:
    source = "def f(n):\n    k = 0\n    while n > 0:\n        n -= 1\n        k += 2\n    return k\n"
    assert versions("missing_update", source) == changed(source, ("        k += 2\n", ""))
    assert versions("wrong_operator", source) == changed(source, ("k += 2", "k -= 2"))


def test_missing_reset_drops_a_reset_or_puts_it_before_the_loop() -> None:
    source = code(
        """
        def f(rows):
            run = 0
            for row in rows:
                total = 0
                for cell in row:
                    total += cell
                if total:
                    run = 0
        """
    )
    hoisted = ("    for row in rows:\n        total = 0\n", "    total = 0\n    for row in rows:\n")
    assert sorted(versions("missing_reset", source)) == sorted(
        changed(source, hoisted, ("if total:\n            run = 0", "if total:\n            pass"))
    )
