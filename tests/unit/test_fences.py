"""The form of an answer: a version is the program that the model wrote, or there is none."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.generate.answer import BadAnswer, parse_answer

PROGRAM = "def f(x):\n    return x + 1"
IN_DOCSTRING = 'def f(x):\n    """Adds.\n\n    ```{}\n    f(1)\n    ```\n    """\n    return x + 1'
UNITTEST = "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)"


def fenced(text: str = PROGRAM, language: str = "python", indent: str = "") -> str:
    return "".join(f"{indent}{line}\n" for line in (f"```{language}", *text.split("\n"), "```"))


def named(text: str = PROGRAM, name: str = "solution.py") -> str:
    return f"<file>{name}</file>\n{fenced(text)}"


JSON = '<json>{"file_names": ["solution.py"], "packages": []}</json>'


def read(text: str, **options) -> str:
    (file,) = parse_answer(text, **options).files
    assert file.name == "solution.py"
    return file.text.removesuffix("\n")


def program(text: str, **options) -> str:
    return read(text, wanted=("f",), **options)


def refusal(text: str, **options) -> str:
    with pytest.raises(BadAnswer) as caught:
        parse_answer(text, wanted=("f",), **options)
    return caught.value.reason


@pytest.mark.parametrize("language", ["", "python", "text"])
@pytest.mark.parametrize("form", [fenced, named])
def test_a_fence_in_a_docstring_ends_no_program(form, language: str) -> None:
    text = IN_DOCSTRING.format(language)
    assert program(form(text) + JSON) == text


@pytest.mark.parametrize(
    "text",
    [
        fenced(indent="   "),
        fenced(indent="\t"),
        "1. Mended:\n\n" + fenced(indent="    ") + "\n2. Done.",
        "Here it is: " + fenced(),
        "1. " + fenced().replace("\n", "\n   "),
        "\ufeff" + fenced(),
        fenced("\ufeff" + PROGRAM),
        f"```python\n{PROGRAM}```\n",
        f"<file>solution.py</file>\n```python\n{PROGRAM}```\n{JSON}",
        f"<file>solution.py</file>\n```python\n{PROGRAM}\n{JSON}",
        fenced(f"<file>solution.py</file>\n{PROGRAM}"),
        named(f"<file>solution.py</file>\n{PROGRAM}"),
        named(f"{PROGRAM}\n{JSON}"),
        "I have changed <file>solution.py</file> in one line:\n\n" + named(),
        fenced().rstrip() + "<|im_end|>\n",
        fenced().rstrip() + "</s></s>",
        "<thinking>" + fenced("def f(x): pass") + "</thinking>\n" + fenced(),
        "[THINK]" + fenced("def f(x): pass") + "[/THINK]" + fenced(),
        "<seed:think>no</seed:think>" + fenced(),
        "A template opened these thoughts." + fenced("def f(x): pass") + "</think>\n\n" + fenced(),
    ],
)
def test_the_form_is_no_part_of_the_program(text: str) -> None:
    assert program(text) == PROGRAM


@pytest.mark.parametrize("thoughts", ["", "<think>Hm.</think>\n"])
def test_a_program_may_speak_of_thoughts(thoughts: str) -> None:
    text = "def f(s):\n    return s.split('</think>')[-1]"
    assert program(thoughts + fenced(text)) == text


FORMS = {
    "named": lambda text: named(text) + JSON,
    "plain": lambda text: "So:\n" + fenced(text) + "Done.",
    "list": lambda text: "1. So:\n" + fenced(text, indent="   "),
    "words": lambda text: "1. " + fenced(text),
    "glued": lambda text: f"```python\n{text}```\n",
    "open": lambda text: f"<file>solution.py</file>\n```python\n{text}\n{JSON}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_version_is_what_was_written_right_or_wrong_or_there_is_none(form: str) -> None:
    rng = random.Random(form)
    kept = 0
    for problem in load_bank()[::4]:
        right = problem.reference[0].text.rstrip("\n")
        assert read(FORMS[form](right)) == right
        lines = right.split("\n")
        lines[rng.randrange(len(lines))] += rng.choice(("(", "]", ":", "'''", '"""', "  # ```"))
        with contextlib.suppress(BadAnswer):
            wrong = "\n".join(lines)
            assert read(FORMS[form](wrong)) == wrong
            kept += 1
    assert kept >= 1


def test_a_program_that_is_wrong_stays_as_it_was_written() -> None:
    for text in ("def f(x)\n    return", "def f(x):\n\tif x:\n        return 1", "function f(x) { return x }"):
        assert program(fenced(text)) == text
        assert program(named(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"```python\n{PROGRAM}\n\nThis adds one to x.", "fence_open"),
        (f"```python\n{PROGRAM}```\nx = 1", "fence_open"),
        (named("x = '''\n```\n```\n```python\n" + PROGRAM + "'''"), "several_blocks"),
        (named("def f(x):\n    return ```x```"), "marks_in_code"),
        (fenced(f"<file>a.py</file>\n{PROGRAM}\n<file>b.py</file>\nx = 1"), "marks_in_code"),
        ("<thinking>Perhaps\n" + fenced(), "answer_cut"),
        (fenced(UNITTEST), "no_code"),
        (named(UNITTEST), "no_code"),
        (fenced("assert f(1) == 2\nassert f(2) == 3"), "no_code"),
        (named("..."), "no_code"),
        (named("# your code here\npass"), "no_code"),
    ],
)
def test_what_the_model_meant_is_not_guessed(text: str, reason: str) -> None:
    assert refusal(text + "\n") == reason


def test_a_cut_answer_is_read_only_where_its_program_is_whole() -> None:
    assert program(fenced(), cut=True) == PROGRAM
    assert refusal("", cut=True) == "answer_cut"
    assert refusal(fenced("def f(x):\n    return ("), cut=True) == "answer_cut"
    assert refusal('```python\ndef f(x):\n    """Adds.\n    ```\n    f(1)', cut=True) == "answer_cut"


def test_tests_within_a_program_are_part_of_it() -> None:
    assert program(fenced(PROGRAM + "\nassert f(1) == 2")) == PROGRAM + "\nassert f(1) == 2"
    deep = f"x = {'-' * 900}1"
    assert program(fenced(deep)) == deep
    assert refusal(fenced(UNITTEST + '\nif __name__ == "__main__":\n    unittest.main()')) == "no_code"
    assert parse_answer(fenced("def test_f(x):\n    return x"), wanted=("test_f",)).files


def test_of_several_files_one_without_a_name_must_be_the_one_that_is_tested() -> None:
    assert program(fenced(), several=True) == PROGRAM
    assert refusal(fenced("def helper(): pass"), several=True) == "file_unnamed"


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{'`' * (203 - k)}\n(\n{'`' * (203 - k)}\n" for k in range(199)) + "\n" * 700_000,
        "```python\n(" + "\nx```" * 150_000,
        "".join(f"{'`' * (203 - k)}\n(\n" for k in range(199)) + "```\n" * 150_000,
        "```python\n(\n" + "<json>\n" * 120_000,
        "</s>" * 250_000,
    ],
)
def test_a_search_for_ends_is_bounded(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(BadAnswer):
        parse_answer(text[:1_000_000], wanted=("f",))
    assert time.process_time() - begin < 10


def test_a_long_line_behind_a_mark_is_looked_at_once() -> None:
    began = time.process_time()
    with contextlib.suppress(BadAnswer):
        parse_answer("```" + "a" * 50_000 + "`\n```python\nx = 1\n```")
    assert time.process_time() - began < 5
