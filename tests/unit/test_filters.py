"""The paper's rule filters, on pairs at the border of each."""

from __future__ import annotations

import warnings

import pytest

from iterpref.codeflow.filters import ast_equal, is_comment_only, rule_filters
from iterpref.config import PairsConfig
from iterpref.data.diff import localise
from iterpref.schema import FilterResult, SourceFile


def files(*texts: str) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(f"m{i}.py", text) for i, text in enumerate(texts))


def failed(bad: str, good: str, **options: object) -> list[str]:
    config = PairsConfig(**options)  # type: ignore[arg-type]
    return [f.name for f in rule_filters(config, bad, localise(bad, good), files(bad), files(good)) if not f.passed]


@pytest.mark.parametrize("lines", [(1,), (2,), (1, 2, 3)])
def test_comments_and_blank_lines_are_no_errors(lines: tuple[int, ...]) -> None:
    assert is_comment_only("x = 1\n# a\n   \n    #b\n", lines)


@pytest.mark.parametrize("lines", [(), (0,), (0, 1), (1, 4)])
def test_a_line_of_code_is_more_than_a_comment(lines: tuple[int, ...]) -> None:
    assert not is_comment_only("x = 1  # a\n# b\n\n#\n'''# in a text'''\n", lines)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x=1", "x = 1  # one\n\n"),
        ("f('a')", 'f("a")'),
        ("if x:\n  y", "if x:\n        y\n"),
        ("(x)", "x"),
        ("def (", "def ("),
    ],
)
def test_format_and_comments_do_not_change_the_tree(first: str, second: str) -> None:
    assert ast_equal(files(first), files(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x = 1", "x = 2"),
        ("a", "b"),
        ("1", "1.0"),
        ("'''a'''", "'''b'''"),
        ("def (", "def  ("),
        ("def (", "x"),
        ("x", "x\x00"),
    ],
)
def test_a_change_of_the_tree_or_of_a_text_without_one_counts(first: str, second: str) -> None:
    assert not ast_equal(files(first), files(second))


def test_files_are_compared_one_by_one_and_by_name() -> None:
    assert ast_equal(files("x=1", "y"), files("x = 1", "y"))
    assert not ast_equal(files("x", "y"), files("y", "x"))
    assert not ast_equal(files("x"), files("x", ""))
    assert not ast_equal((SourceFile("a.py", "x"),), (SourceFile("b.py", "x"),))


def test_deep_nesting_is_compared_as_text() -> None:
    deep = "(" * 3000 + ")" * 3000
    assert ast_equal(files(deep), files(deep))
    assert not ast_equal(files(deep), files(deep + " "))


def test_doubtful_code_of_a_task_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ast_equal(files("x = '\\d'"), files("x  =  '\\d'"))


def test_a_pair_that_passes_has_a_result_for_each_rule() -> None:
    results = rule_filters(PairsConfig(), "x = 1\n", localise("x = 1\n", "x = 2\n"), files("x = 1"), files("x = 2"))
    assert results == (
        FilterResult("comment_only", True, ""),
        FilterResult("d_minus_lines", True, "1 lines in D-"),
        FilterResult("ast_equal", True, ""),
    )


def test_a_comment_alone_is_dropped_unless_switched_off() -> None:
    bad, good = "x = 1\n# a\n", "x = 2\n# b\n"
    assert failed(bad, "x = 1\n# b\n") == ["comment_only", "ast_equal"]
    assert failed(bad, "x = 1\n# b\n", drop_comment_only=False, drop_ast_equal=False) == []
    assert failed(bad, good) == []


@pytest.mark.parametrize(("lines", "names"), [(20, []), (21, ["d_minus_lines"])])
def test_twenty_lines_are_kept_and_twenty_one_are_not(lines: int, names: list[str]) -> None:
    bad = "".join(f"x{i} = 1\n" for i in range(lines))
    assert failed(bad, "y = 1\n") == names
    assert failed(bad, "y = 1\n", max_d_minus_lines=lines) == []


def test_an_empty_d_minus_is_dropped_only_where_it_is_asked_for() -> None:
    bad, good = "x = 1\n", "x = 1\ny = 1\n"
    assert failed(bad, good) == failed(bad, good, empty_d_minus="anchor") == []
    assert failed(bad, good, empty_d_minus="drop") == ["empty_d_minus"]
    assert failed("x = 1\n", "x = 2\n", empty_d_minus="drop") == []
