"""Programs out of answers, by the rules of the harnesses."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.eval.sanitize import _parse, last_fence, longest_run, sanitize


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
        if count > best and _parse(run) is not None:
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
    kept = sanitize(text, "main")
    assert kept.split("\n")[:2] == ["import math", "LIMIT = 3"]
    assert "helper" in kept
    assert "other" not in kept
    assert "print" not in kept
    assert "UNUSED" not in kept


def test_what_the_harness_loses_is_lost_here() -> None:
    text = "import functools\n@functools.cache\ndef f(x):\n    return x\ndef g(x):\n    print(x)\na, b = 1, 2\n"
    assert sanitize(text, "f") == "import functools"
    assert sanitize("x = 1\ndef f():\n    return x\nx = 2\n", "f") == "x = 1\ndef f():\n    return x"


def test_the_last_two_fences_hold_the_program() -> None:
    assert last_fence("```python\na\n```\ntext\n```\nb\n```") == "b"
    assert last_fence("no fence") == last_fence("```python\na") == ""
