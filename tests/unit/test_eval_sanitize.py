"""Programs out of answers, by the rules of the harnesses."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.codeflow.code import tree_of
from iterpref.eval.sanitize import bigcodebench_program, evalplus_program, last_fence, longest_run


def test_the_longest_run_that_parses_is_found_between_prose() -> None:
    text = "Sure, here it is:\n\ndef f(x):\n    return x\n\nThat doubles it, I'm sure."
    assert longest_run(text).strip() == "def f(x):\n    return x"
    assert longest_run("no code at all, is there?") == "no code at all, is there?"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["x = 1", "", "def f():", "    return 1", "oh no!", "  y = 2", "(", ")"]), max_size=7))
def test_the_longest_run_is_the_first_of_the_best_of_all_runs(lines: list[str]) -> None:
    best, found = 0, lines[0] if lines else ""
    for i, j in itertools.combinations(range(len(lines)), 2):
        run = "\n".join(lines[i : j + 1])
        count = sum(1 for line in lines[i : j + 1] if line.strip())
        if count > best and tree_of(run) is not None:
            best, found = count, run
    assert longest_run("\n".join(lines)) == found


def test_only_what_the_entry_point_needs_is_kept() -> None:
    text = (
        "import math\nLIMIT = 3\nUNUSED = 4\n"
        "def helper(x):\n    return x + LIMIT\n"
        "def main(x):\n    return math.sqrt(helper(x))\n"
        "def other():\n    return 1\n"
        "print(main(2))\n"
    )
    kept = evalplus_program(text, "main")
    assert kept.split("\n")[:2] == ["import math", "LIMIT = 3"]
    assert "helper" in kept
    assert "other" not in kept
    assert "print" not in kept
    assert "UNUSED" not in kept


def test_what_the_harness_loses_is_lost_here() -> None:
    text = "import functools\n@functools.cache\ndef f(x):\n    return x\ndef g(x):\n    print(x)\na, b = 1, 2\n"
    assert evalplus_program(text, "f") == "import functools"
    assert evalplus_program("x = 1\ndef f():\n    return x\nx = 2\n", "f") == "x = 1\ndef f():\n    return x"
    assert (
        evalplus_program("from __future__ import annotations\ndef f():\n    return 1", "f") == "def f():\n    return 1"
    )


def test_nothing_is_taken_away_where_nothing_would_be_left() -> None:
    text = "def f(x):\n    print(x)\nf(2)"
    assert evalplus_program(f"Here:\n{text}\nSo it is!", "f") == text
    assert evalplus_program("no code, is there?\nno!", "f") == "no code, is there?"


def test_a_function_without_a_return_is_lost_to_evalplus_alone() -> None:
    text = "import math\ndef f(x):\n    print(math.pi)\n"
    assert evalplus_program(text, "f") == "import math"
    assert bigcodebench_program(text, "f") == text.strip()


def test_bigcodebench_takes_off_calls_at_the_end() -> None:
    text = "def f(x):\n    print(y)\ny = f\nz = 1\n"
    assert bigcodebench_program(text, "f") == "def f(x):\n    print(y)"
    assert evalplus_program(text.replace("print", "return "), "f").endswith("y = f")


def test_names_are_reached_by_global_statements_imports_and_attributes() -> None:
    text = "a = 1\nb = 2\nc = 3\ndef f():\n    global a\n    import os.b\n    return self.c\nd = 4\n"
    assert [line for line in "abcd" if f"\n{line} =" in "\n" + evalplus_program(text, "f")] == ["a", "b", "c"]


def test_the_last_two_fences_hold_the_program() -> None:
    assert last_fence("```python\na\n```\ntext\n```\nb\n```") == "b"
    assert last_fence("no fence") == last_fence("```python\na") == ""
