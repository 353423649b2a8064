"""Positions, removal and the places where no bug may go."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.codeflow.generate.bugs import Edit, Source, apply_edits
from iterpref.codeflow.generate.mutate import mutants
from iterpref.errors import UserError

PLAIN = """
def share(amounts, ratio):
    \"\"\"Splits what is > 0.\"\"\"
    kept = []  # result
    for name, amount in amounts.items():
        if name == "gray" or amount < 0:
            continue
        kept.append((name, amount * ratio - 1))
    return sorted(kept, key=lambda pair: -pair[1])
"""


def in_words(source: str) -> list[tuple[str, int, str]]:
    return [(m.kind, m.line, m.text) for m in mutants(source, seed=0)]


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends_give_the_same_mutants(newline: str) -> None:
    expected = [(kind, line, text.replace("\n", newline)) for kind, line, text in in_words(PLAIN)]
    assert in_words(PLAIN.replace("\n", newline)) == expected


def test_tabs_give_the_same_mutants() -> None:
    expected = [(kind, line, text.replace("    ", "\t")) for kind, line, text in in_words(PLAIN)]
    assert in_words(PLAIN.replace("    ", "\t")) == expected


def test_characters_of_many_bytes_give_the_same_mutants() -> None:
    def accented(text: str) -> str:
        return (
            text.replace("amount", "amöunt").replace("result", "\U0001f40d\u2028\x0c").replace("gray", "grâ\U0001f40d")
        )

    expected = [(kind, line, accented(text)) for kind, line, text in in_words(PLAIN)]
    assert in_words(accented(PLAIN)) == expected


@given(st.text(alphabet="aé\u4e2d\U0001f40d \t\x0c\u2028", max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_node_is_found_behind_any_text(prefix: str, newline: str) -> None:
    source = Source(f"# {prefix}{newline}a = '{prefix}', b ; c = [{newline}  '{prefix}', target]{newline}")
    names = {n.id: source.of(n) for n in ast.walk(source.tree) if isinstance(n, ast.Name)}
    assert names == {name: name for name in ("a", "b", "c", "target")}
    target = next(n for n in ast.walk(source.tree) if isinstance(n, ast.Name) and n.id == "target")
    assert source.line_of(source.span(target)[0]) == 3


def test_edits_count_in_the_text_as_given_in_whatever_order_they_come() -> None:
    edits = [Edit(4, 6, ""), Edit(0, 1, "XY"), Edit(3, 3, "-")]
    assert apply_edits("abcdefg", edits) == "XYbc-dg"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("def f():\n    a = 1  # one\n    b = 2\n", "def f():\n    b = 2\n"),
        ("def f():\n    a = (1,\n      2)\n    b = 2", "def f():\n    b = 2"),
        ("def f():\n    a = 1; b = 2\n", "def f():\n    pass; b = 2\n"),
        ("def f():\n    a = 1  # alone\n", "def f():\n    pass  # alone\n"),
        ("def f(): a = 1\n", "def f(): pass\n"),
    ],
)
def test_removing_a_statement_takes_its_lines_or_leaves_pass(text: str, after: str) -> None:
    source = Source(text)
    statement = next(source.find(ast.Assign))
    assert apply_edits(text, [source.remove(statement)]) == after


def test_no_bug_goes_into_docstrings_types_imports_decorators_messages_or_repr() -> None:
    closed = '''
"""Counts 1 > 0 and 2 + 2."""
from functools import lru_cache
import a.b as c


class Box:
    """Holds 1 + 1."""

    def __repr__(self) -> str:
        return "Box" + self.name[0]

    @lru_cache(maxsize=1 + 1)
    def size(self, n: "int > 0 + 1") -> "list[0]":
        """Not 1 < 2."""
        what: "dict[0]"
        f"{n + 1} {n[0]}"
        raise ValueError("no " + n["x"] - 1 < 3)
'''
    assert {m.kind for m in mutants(closed, seed=0)} == {"swallowed_exception"}


def test_a_text_that_is_no_python_is_refused() -> None:
    for text in ("def f(:\n", "x = '\0'\n", "x = '\ud800'\n"):
        with pytest.raises(UserError, match="does not parse"):
            mutants(text, seed=0)
