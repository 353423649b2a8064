"""Reading answers: what is accepted, what is mended, and the reason of every refusal."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.codeflow.generate.answer import MAX_ANSWER, MAX_FILE, Answer, BadAnswer, parse_answer
from iterpref.schema import SourceFile

PROGRAM = "def f(x):\n    return x + 1"


def fenced(text: str = PROGRAM, language: str = "python", sign: str = "```") -> str:
    return f"{sign}{language}\n{text}\n{sign}\n"


def file(name: str, text: str = PROGRAM) -> str:
    return f"<file>{name}</file>\n{fenced(text)}"


def read(text: str, **options) -> dict[str, str]:
    return {f.name: f.text for f in parse_answer(text, **options).files}


def refusal(text: str, **options) -> str:
    with pytest.raises(BadAnswer) as caught:
        parse_answer(text, **options)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    return caught.value.reason


def test_the_form_that_is_asked_for() -> None:
    text = (
        file("app/core.py") + file("data.csv", "a,b") + file("test_core.py", "assert 1")
        + '<json>{"file_names": ["app/core.py", "data.csv", "test_core.py"], "packages": ["numpy>=1.2", "Pandas", "numpy"]}</json>'
    )  # fmt: skip
    assert parse_answer(text) == Answer(
        (SourceFile("app/core.py", PROGRAM + "\n"), SourceFile("data.csv", "a,b\n")),
        (SourceFile("test_core.py", "assert 1\n"),),
        ("numpy", "pandas"),
    )


@pytest.mark.parametrize(
    "text",
    [
        fenced(),
        f"Here you are:\n\n{fenced()}\nIt adds one.",
        fenced(language=""),
        fenced(language="py"),
        fenced(sign="~~~~"),
        fenced().replace("\n", "\r\n"),
        "<think>```python\nno\n```</think>\n" + fenced(),
        f"```python\n{PROGRAM}",
        PROGRAM,
        fenced() + fenced("pip install x", "bash"),
        fenced() + '<json>{"file_names": ["other.py"], "packages": [],}</json>',
        fenced() + '```json\n{"file_names": ["solution.py"], "packages": []}\n```',
        fenced() + '<json>\n```json\n{"packages": []}\n```\n</json>',
        file("./solution.py"),
        file("solution.py") + file("solution.py"),
        file("solution.py") + "Use it like this:\n" + fenced("print(f(2))"),
    ],
)
def test_what_has_one_reading_is_mended(text: str) -> None:
    assert read(text) == {"solution.py": PROGRAM + "\n"}


def test_of_several_fences_the_one_that_defines_what_the_tests_use_is_the_file() -> None:
    text = fenced("x = 1") + fenced() + fenced("print(f(1))")
    assert read(text, wanted=("f",)) == {"solution.py": PROGRAM + "\n"}
    assert refusal(fenced() + fenced("def f(y):\n    pass"), wanted=("f",)) == "several_blocks"
    assert refusal(fenced("def g(): pass") + fenced("def h(): pass"), wanted=("f",)) == "several_blocks"


def test_two_fences_without_names_are_program_and_tests_where_one_reads_like_tests() -> None:
    tests = "import unittest\nfrom solution import f"
    answer = parse_answer(fenced() + fenced(tests), with_tests=True)
    assert [f.name for f in (*answer.files, *answer.tests)] == ["solution.py", "test_solution.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty_answer"),
        (" \n", "empty_answer"),
        ("I cannot help with that.", "no_code"),
        (fenced("ls", "bash"), "no_code"),
        (file("notes.txt", "a"), "no_code"),
        (file("test_a.py"), "no_code"),
        (file("a.py", " "), "no_code"),
        ("<file>a.py</file>\nnothing", "file_without_code"),
        ("<file>a.py</file>\n<file>b.py</file>\n" + fenced(), "file_without_code"),
        (file("a.py") + file("a.py", "x = 2"), "file_twice"),
        (file("a.py") + file("A.py", "x = 2"), "file_twice"),
        (file("a.py") + file("A.py"), "file_twice"),
        (file("a.py") + "<json>{}</json><json>{}</json>", "json_twice"),
        (file("a.py") + "<json>not json</json>", "json_malformed"),
        (file("a.py") + "<json>[1]</json>", "json_malformed"),
        (file("a.py") + "<json>" + "[" * 50_000, "json_malformed"),
        (file("a.py") + '<json>{"file_names": "a.py"}</json>', "json_malformed"),
        (file("a.py") + '<json>{"packages": "numpy"}</json>', "packages_malformed"),
        (file("a.py") + '<json>{"packages": ["; rm -rf /"]}</json>', "packages_malformed"),
        (file("a.py") + file("b.py") + '<json>{"file_names": ["a.py"]}</json>', "file_names_disagree"),
        (fenced(PROGRAM + "\x00"), "control_characters"),
        (fenced("x = '\x1b[2J'"), "control_characters"),
        (fenced("x = '\ud800'"), "control_characters"),
        ("x" * (MAX_ANSWER + 1), "answer_too_long"),
        (fenced("#" * (MAX_FILE + 1)), "file_too_long"),
        ("".join(file(f"f{i}.py") for i in range(30)), "too_many_files"),
        (fenced("def a(): pass") + fenced("def b(): pass"), "several_blocks"),
        ("<think>still thinking\n" + fenced(), "answer_cut"),
        (fenced() * 300, "too_many_files"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert refusal(text) == reason


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "/etc/passwd", "..", ".", "", " ", "a/../b.py", "a//b.py", "a/", "~/x.py", "C:\\x.py", "a\\b.py", "c:x.py",
        "x.py\x00", "con.py", "sub/NUL", "aux", "com1.txt", "x.py.", ".hidden.py", "-rf.py", "a b.py", "x\x1b.py", "é.py", "x" * 201 + ".py",
        "$(id).py", "a;b.py", "\u202egp.py", "\ud800.py",
    ],
)  # fmt: skip
def test_a_name_that_is_no_plain_relative_path_is_refused(name: str) -> None:
    assert refusal(file(name)) == "bad_file_name"


def test_a_name_cannot_be_file_and_folder() -> None:
    assert refusal(file("a.py") + file("a.py/b.py")) == "bad_file_name"
    assert refusal(file("A/b.py") + file("a", "x")) == "bad_file_name"


def test_an_answer_that_was_cut_is_refused_unless_its_program_was_complete() -> None:
    assert refusal(f"```python\n{PROGRAM}", cut=True) == "answer_cut"
    assert refusal("def f(", cut=True) == "answer_cut"
    assert refusal(file("a.py"), cut=True) == "answer_cut"
    assert read(fenced() + "This function add", cut=True) == {"solution.py": PROGRAM + "\n"}
    assert read(file("a.py") + "<json>{}</json> and", cut=True) == {"a.py": PROGRAM + "\n"}


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("`~<>/filejson\n python{}[]\"',.\\x\x00é"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadAnswer):
        assert parse_answer(text, wanted=("f",), with_tests=True).files


@pytest.mark.parametrize(
    "text",
    [
        "`" * 900_000,
        "<file>" * 150_000,
        "<json>" * 150_000,
        "```\n" * 200_000,
        "<file>a</file>\n" * 60_000,
        "{" * 900_000,
        "(" * 900_000,
    ],
)
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    with pytest.raises(BadAnswer):
        parse_answer(text)
