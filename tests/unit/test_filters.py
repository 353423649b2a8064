"""The paper's rule filters, normalised: on pairs at the border of each, in fences, without fences and without Python."""

from __future__ import annotations

import time

import pytest

from iterpref.codeflow.code import Completion, of_files, of_text
from iterpref.codeflow.filters import rule_filters, trees_equal
from iterpref.config import PairsConfig
from iterpref.data.diff import localise
from iterpref.schema import FilterResult, SourceFile


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}```"


def results(bad: str, good: str, **options: object) -> dict[str, FilterResult]:
    config = PairsConfig(**options)  # type: ignore[arg-type]
    return {f.name: f for f in rule_filters(config, of_text(bad), of_text(good), localise(bad, good, config.diff))}


def failed(bad: str, good: str, **options: object) -> list[str]:
    return [name for name, result in results(bad, good, **options).items() if not result.passed]


def equal(first: str, second: str, docstrings: str = "compare") -> bool:
    return trees_equal(of_text(fenced(first + "\n")), of_text(fenced(second + "\n")), docstrings)[0]


def test_a_pair_that_passes_has_a_result_for_each_rule() -> None:
    assert list(results("x = 1\n", "x = 2\n").values()) == [
        FilterResult("identical", True, ""),
        FilterResult("comment_only", True, ""),
        FilterResult("d_minus_lines", True, "1 lines in D-"),
        FilterResult("ast_equal", True, ""),
    ]


@pytest.mark.parametrize("wrap", [str, fenced])
@pytest.mark.parametrize(
    ("bad", "good", "reasons"),
    [
        ("x = 1\n# a\n", "x = 1\n# b\n", ["comment_only", "ast_equal"]),
        ("x = 1\n    # a\n\n\ny = 2\n", "x = 1\ny = 2\n", ["comment_only", "ast_equal"]),
        ("x = 1\n\n\ny = 2\n", "x = 1\ny = 2\n", ["comment_only", "ast_equal"]),
        # Comments behind code: the line is code, and its code is the same.
        ("x = 1  # wrong\n", "x = 1  # right\n", ["comment_only", "ast_equal"]),
        ("x = 1  # wrong\n", "x = 2  # right\n", []),
        # `#` in a text is no comment, alone on its line or not.
        ("x = '''\n# a\n'''\n", "x = '''\n# b\n'''\n", []),
        ("x = '# a'\n", "x = '# b'\n", []),
        # White space is for the rule on trees.
        ("x  =  2\n", "x = 2\n", ["ast_equal"]),
        ("def f():\n    '''a'''\n    return 1\n", "def f():\n    '''b'''\n    return 1\n", ["docstring_only", "ast_equal"]),
        ('"""\na\n"""\nx = 1\n', '"""\nb\n"""\nx = 1\n', ["docstring_only", "ast_equal"]),
        # An f-string runs, and so does a text that is returned.
        ("f'{g()}'\nx = 1\n", "f'{h()}'\nx = 1\n", []),
        ("def f():\n    return 'a'\n", "def f():\n    return 'b'\n", []),
    ],
)  # fmt: skip
def test_a_difference_without_logic_is_told_from_one_with(bad: str, good: str, reasons: list[str], wrap) -> None:
    assert failed(wrap(bad), wrap(good)) == reasons


def test_docstrings_count_where_they_are_compared_or_read() -> None:
    bad, good = "def f():\n    '''a'''\n    return 1\n", "def f():\n    '''b'''\n    return 1\n"
    assert failed(bad, good, docstrings="compare") == []
    reads = "print(f.__doc__)\n"
    assert failed(bad + reads, good + reads, drop_comment_only=False) == []
    assert failed(bad, good, drop_comment_only=False) == ["ast_equal"]


def test_a_lacking_line_beside_a_changed_comment_is_the_papers_drop() -> None:
    assert failed("# a\nx = 1\n", "# b\nx = 1\ny = 2\n") == ["comment_only"]


def test_a_moved_line_is_no_change_of_comments() -> None:
    assert failed("a = 1  # x\nb = a\n", "b = a\na = 1  # x\n") == []


def test_switches_leave_rules_out() -> None:
    bad, good = "x = 1\n# a\n", "x = 1\n# b\n"
    assert failed(bad, good, drop_comment_only=False) == ["ast_equal"]
    assert failed(bad, good, drop_comment_only=False, drop_ast_equal=False) == []


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


@pytest.mark.parametrize("text", ["x = 1\n", fenced("def (\n"), "Hello there.", "a\r\nb \r\n"])
def test_equal_texts_are_never_a_pair_whatever_the_switches(text: str) -> None:
    other = text.replace("\r\n", "\n") + "\n"
    assert "identical" in failed(text, text, drop_comment_only=False, drop_ast_equal=False)
    assert "identical" in failed(text, other, drop_comment_only=False, drop_ast_equal=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x=1", "x = 1  # one\n\n"),
        ("f('a')", 'f("a")'),
        ("f(u'a')", 'f("a")'),
        ("if x:\n  y", "if x:\n        y\n"),
        ("(x)", "x"),
        ("x = '\\d'", "x  =  '\\d'"),
    ],
)
def test_format_and_comments_do_not_change_the_tree(first: str, second: str) -> None:
    assert equal(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x = 1", "x = 2"),
        ("a", "b"),
        ("1", "1.0"),
        ("1", "True"),
        ("'''a'''", "'''b'''"),
        ("f'a'", "'a'"),
        ("def (", "def  ("),
        ("x", "x\x00"),
        ("f(*a)", "f(**a)"),
        ("x = 1", "x = 1\nx = 1"),
    ],
)
def test_a_change_of_the_tree_or_of_a_text_without_one_counts(first: str, second: str) -> None:
    assert not equal(first, second)
    assert not equal(second, first)


def test_a_body_of_a_docstring_alone_is_an_empty_one() -> None:
    assert equal("def f():\n    '''a'''", "def f():\n    pass", "ignore")
    assert not equal("def f():\n    '''a'''", "def f():\n    pass")
    assert not equal("def f():\n    '''a'''", "def f():\n    return 0", "ignore")


def test_an_answer_that_does_not_parse_is_a_legitimate_negative() -> None:
    result = results(fenced("def f(:\n    return 1\n"), fenced("def f():\n    return 1\n"))
    assert result["ast_equal"] == FilterResult("ast_equal", True, result["ast_equal"].detail)
    assert result["ast_equal"].detail.startswith("y- does not parse (line 1: ")


def test_a_chosen_answer_that_does_not_parse_is_noted_and_dropped_where_asked() -> None:
    bad, good = fenced("x = 1\n"), fenced("print 'a'\n")
    assert "y+ does not parse" in results(bad, good)["ast_equal"].detail
    assert failed(bad, good) == []
    assert failed(bad, good, drop_unparsable_chosen=True) == ["chosen_parses"]
    assert failed(good, bad, drop_unparsable_chosen=True) == []


def test_comments_of_a_program_that_does_not_parse_are_comments_still() -> None:
    assert failed(fenced("def f(:\n    return 1\n# a\n"), fenced("def f(:\n    return 1\n# b\n")) == ["comment_only"]
    assert failed("def f(:\n    return 1  # a\n", "def f():\n    return 1  # b\n") == []


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("I think it is 4.", "It is 5, since 2 + 3 = 5."),
        ("# A title\nSome prose.", "# Another title\nSome prose."),
        (fenced("int x = 1;\n", "c"), fenced("int x = 2;\n", "c")),
        (fenced("# a\n", "bash"), fenced("# b\n", "bash")),
    ],
)
def test_rules_on_python_pass_answers_without_any_and_say_so(bad: str, good: str) -> None:
    result = results(bad, good)
    assert all(r.passed for r in result.values())
    assert result["comment_only"].detail.startswith("not applied: ")
    assert result["ast_equal"].detail.startswith("not applied: ")


@pytest.mark.parametrize("language", ["python", "Python3", "python3.13", "py", "ipython3", "pycon"])
def test_a_fence_of_any_python_holds_python_also_behind_words(language: str) -> None:
    for text in (fenced("x = 1\n", language), "Here it is: " + fenced("x = 1\n", language)):
        assert [block.code for block in of_text(text).blocks] == ["x = 1\n"]
    assert of_text(fenced("x = 1\n", f"{language}-like")).kind == "none"


def test_prose_around_fences_is_no_comment_and_code_is_judged_inside_them() -> None:
    code = fenced("x = 1\n")
    assert failed(f"# Why\n{code}\nDone.", f"# How\n{code}\nDone.") == ["ast_equal"]
    assert failed(f"# Why\n{code}", f"# Why\n{fenced('x = 2' + chr(10))}") == []
    two = f"First:\n{code}\nThen:\n{fenced('y = 1' + chr(10))}\n"
    assert failed(two, two.replace("y = 1", "y  =  1")) == ["ast_equal"]
    assert failed(two, two.replace("y = 1", "y = 2")) == []


@pytest.mark.parametrize(
    "hostile",
    ["(" * 3000 + ")" * 3000, "-" * 50_000 + "1", "x" + ".a" * 20_000, "'''" * 1001, "x = " + "9" * 6000, "\ud800 = 1",
     "if x:\n" * 200, "\t x\n x\n\tx", "\\\n" * 500, "1" + "+1" * 20_000],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [str, fenced])
def test_hostile_programs_are_judged_without_a_crash(hostile: str, wrap) -> None:
    text = hostile + "\n"
    assert failed(wrap(text), wrap("x = 1\n"), drop_unparsable_chosen=True, max_d_minus_lines=5000) == []
    assert isinstance(failed(wrap("x = 1\n"), wrap(text)), list)
    assert failed(wrap(text), wrap(text))[0] == "identical"


@pytest.mark.parametrize(
    ("bad", "good"), [('"Paris"\n', '"London"\n'), ("# Paris\n", "# London\n"), ("# In short\n'Yes'\n", "'No'\n")]
)
def test_prose_in_quotes_or_behind_a_hash_is_no_program_without_logic(bad: str, good: str) -> None:
    assert failed(bad, good) == []
    assert results(bad, good)["ast_equal"].detail.startswith("not applied: y- has no fence")
    # Beside a program it is one that does nothing.
    assert failed(bad, "x = 1\n")[0] in ("comment_only", "docstring_only")


def test_a_huge_answer_is_not_parsed() -> None:
    huge = fenced("x = 1\n" * 100_000)
    assert results(huge, huge + "y")["ast_equal"].detail == "not applied: y- has longer than 500000 characters"


def files(*texts: str) -> Completion:
    return of_files([SourceFile(f"m{i}.py", text) for i, text in enumerate(texts)])


@pytest.mark.parametrize("text", ["```" + "a" * 50_000 + "```", "```" + " " * 50_000 + "`", "```\n" * 30_000])
def test_minified_code_behind_a_mark_and_fences_without_end_are_read_in_linear_time(text: str) -> None:
    began = time.process_time()
    of_text(text)
    assert time.process_time() - began < 10  # half a second; tried from each character or mark it is 20 to 45


def test_files_are_compared_one_by_one_and_by_name() -> None:
    assert trees_equal(files("x=1", "y"), files("x = 1", "y"))[0]
    assert not trees_equal(files("x", "y"), files("y", "x"))[0]
    assert not trees_equal(files("x"), files("x", ""))[0]
    other = of_files([SourceFile("a.py", "x"), SourceFile("b.py", "y")])
    assert not trees_equal(files("x", "y"), other)[0]
