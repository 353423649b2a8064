"""Every rule by which code is found in an answer, on answers read by hand."""

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.eval.answers import extract_code

F = "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    "language", ["python", "py", "python3", "Python", "", "python title=a.py", "python:a.py", "{.python}"]
)
def test_a_fenced_block_is_taken_without_the_prose_around_it(language):
    assert extract_code(f"Sure!\n\n```{language}\n{F}```\nIt works.\n") == F


def test_the_first_block_that_is_a_program_is_taken():
    answer = f"```\n$ python solution.py\n```\n```python\nf(1)\n```\n```python\n{F}```\n```python\nx = 1\n```"
    assert extract_code(answer) == F


def test_a_block_of_another_language_is_passed_over():
    assert extract_code(f"```bash\nx=1\n```\n\n```python\n{F}```") == F


def test_the_longest_python_block_is_taken_when_none_parses():
    answer = (
        "```python\ndef f(:\n```\n```python\ndef f(x:\n    return x\n```\n```text\nthe longest of all the blocks\n```"
    )
    assert extract_code(answer) == "def f(x:\n    return x\n"


def test_a_block_of_another_language_is_the_last_resort():
    assert extract_code("Look:\n```text\n1 2\n```") == "1 2\n"


def test_a_fence_that_the_token_limit_left_open_counts_to_the_end():
    assert extract_code(f"Here:\n```python\n{F}") == F


def test_a_statement_cut_in_an_open_fence_is_left_out():
    assert extract_code(f"```python\n{F}\n\ndef g(y):\n    return (y +") == F


def test_an_open_fence_without_a_whole_statement_is_returned_as_it_is():
    assert extract_code("```python\ndef f(x):") == "def f(x):\n"


def test_a_closed_block_is_not_mended():
    assert extract_code(f"```python\n{F}\nreturn (\n```") == f"{F}\nreturn (\n"


def test_tilde_fences_hold_backticks():
    code = 'def f():\n    """\n    ```\n    """\n'
    assert extract_code(f"~~~python\n{code}~~~\nend") == code


def test_a_longer_fence_holds_a_shorter_one():
    code = 'def f():\n    """\n```\n    """\n'
    assert extract_code(f"````python\n{code}````") == code


def test_the_spaces_before_a_fence_are_taken_off_its_block():
    assert (
        extract_code("1. Do this:\n   ```python\n   def f(x):\n\n       return x\n   ```\n")
        == "def f(x):\n\n    return x\n"
    )


def test_a_long_line_behind_a_mark_is_looked_at_once():
    began = time.process_time()
    assert extract_code("```" + "a" * 50_000 + f"`\n```python\n{F}```") == F
    assert time.process_time() - began < 5


def test_a_less_indented_line_loses_no_text():
    assert extract_code("    ```python\n  x = 1\n    ```") == "x = 1\n"


def test_crlf_ends_lines_like_lf():
    assert extract_code("Hi\r\n```python\r\n" + F.replace("\n", "\r\n") + "```\r\n") == F


def test_an_answer_that_is_all_code_needs_no_fence():
    assert extract_code(f"\nimport re\n\n\n{F}") == f"import re\n\n\n{F}"


def test_code_before_the_end_of_a_fence_that_the_prompt_opened_is_taken():
    assert extract_code(f"{F}```\nThis returns x.\n\n```python\nf(1)\n```") == F


def test_prose_around_bare_code_is_left_out():
    assert extract_code(f"From here on it is simple.\n{F}\nThis function returns x.") == F


def test_bare_code_cut_by_the_token_limit_keeps_what_parses():
    assert extract_code("Here:\n@cache\ndef f(x):\n    y = x\n    return (y +") == "@cache\ndef f(x):\n    y = x\n"


@pytest.mark.parametrize("prose", ["I do not know.", "42", "x", "import of goods is hard"])
def test_an_answer_without_code_comes_back_whole(prose):
    assert extract_code(prose) == prose + "\n"


@pytest.mark.parametrize("answer", ["", "\n\n", "  ", "```"])
def test_an_empty_answer_is_no_code(answer):
    assert extract_code(answer) == ""


def test_a_doubtful_escape_gives_no_warning():
    code = 'import re\nx = re.compile("\\d")\n'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract_code(f"```python\n{code}```") == code


@pytest.mark.parametrize("text", ["x = '\x00'", "x = '\ud800'", "x = " + "(" * 5000])
def test_text_that_the_parser_cannot_take_is_no_program(text):
    assert extract_code(f"```python\n{text}\n```") == text + "\n"


PIECES = st.sampled_from(
    ["```python\n", "```\n", "~~~\n", "  ```py\n", F, "return x\n", "x = (\n", "Prose here.\n", "\r\n", "é \ud800"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_answer_gives_lines_of_the_answer(answer):
    code = extract_code(answer)
    assert {line.strip() for line in code.split("\n")} - {""} <= {line.strip() for line in answer.splitlines()}
    assert code == "" or code.endswith("\n")
