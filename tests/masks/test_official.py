"""`mask=official` against the slow rule, on functions and files of the standard library with bugs put in."""

from __future__ import annotations

import difflib
import random
from typing import Any

import numpy as np

from .cases import OFFICIAL, example_of, made_pair
from .conftest import library_sources
from .rule import from_fence, starts_in_lines

PIECES = 200
_FRONTS = ("```python\n", "Here it is:\n\n```python\n", "", "```py\n", "  ```python\n")


def pieces() -> list[tuple[str, str]]:
    """(rejected, chosen): up to 20 lines of real files from anywhere, line ends and blank runs included, behind some fence."""
    rng = random.Random(4)
    made = []
    for text in rng.choices(library_sources(), k=PIECES):
        lines = text.split("\n")
        start = rng.randrange(max(len(lines) - 20, 1))
        good = lines[start : start + rng.randint(3, 20)]
        bad = list(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(bad))
            change = rng.randrange(5)
            if change == 0:
                del bad[at]
            elif change == 1:
                bad.insert(at, rng.choice([*good, "", "    ", "\t"]))
            elif change == 2:
                bad[at] = bad[at].swapcase()
            elif change == 3:
                bad[at] = "    " + bad[at]
            else:
                bad[at] = bad[at][::-1]
            bad = bad or [""]
        front = rng.choice(_FRONTS)
        end = "\n```" if front else rng.choice(["", "\n"])
        made.append((front + "\n".join(bad) + end, front + "\n".join(good) + end))
    return made


def lines_of_ndiff(rejected: str, chosen: str) -> set[int]:
    minus, plus = (text.split("\n")[: -1 if text.endswith("\n") else None] for text in (rejected, chosen))
    kept = [line for line in difflib.ndiff(minus, plus) if line[:2] in ("  ", "- ")]
    return {i for i, line in enumerate(kept) if line.startswith("- ")}


def test_the_official_masks_are_those_of_the_rule(tokenizer: Any) -> None:
    compared = 0
    for rejected, chosen in pieces():
        minus = lines_of_ndiff(rejected, chosen)
        pair = made_pair(rejected, chosen, "ndiff")
        assert set(pair.d_minus) == minus
        ids = {
            side: tokenizer(text, add_special_tokens=False)["input_ids"]
            for side, text in (("-", rejected), ("+", chosen))
        }
        expected = starts_in_lines(tokenizer, ids["-"], minus, rejected)
        if minus and not any(expected):
            continue  # counted as d_minus_starts_no_token: test_cases
        example = example_of(tokenizer, pair, OFFICIAL, max_completion_tokens=100_000)
        assert np.asarray(example.rejected_ids)[:-1].tolist() == ids["-"]
        assert np.asarray(example.chosen_ids)[:-1].tolist() == ids["+"]
        assert list(example.rejected_mask) == expected
        assert list(example.chosen_mask) == from_fence(tokenizer, ids["+"], chosen)
        compared += 1
    assert compared > 0.9 * PIECES
