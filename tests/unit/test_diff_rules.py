"""Which of several longest alignments is taken, what ndiff marks, and words inside replaced lines."""

from __future__ import annotations

import difflib
import logging
import random
import time
from itertools import combinations, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iterpref.data import diff
from iterpref.data.diff import _AUTOJUNK_LINES, Difference, localise, split_lines
from iterpref.data.subsequence import SuffixLengths
from iterpref.schema import Span

FEW = st.lists(st.sampled_from("abc"), max_size=6)


def text(lines: list[str] | str) -> str:
    return "".join(line + "\n" for line in lines)


def by_rule(minus: list[str], plus: list[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The module's rule word for word: ends first, then of all longest alignments the one with the earliest positions."""
    head = 0
    while head < min(len(minus), len(plus)) and minus[head] == plus[head]:
        head += 1
    tail = 0
    while tail < min(len(minus), len(plus)) - head and minus[-1 - tail] == plus[-1 - tail]:
        tail += 1
    a, b = list(range(head, len(minus) - tail)), list(range(head, len(plus) - tail))
    for size in range(min(len(a), len(b)), -1, -1):
        found = [
            (left, right)
            for left in combinations(a, size)
            for right in combinations(b, size)
            if all(minus[i] == plus[j] for i, j in zip(left, right, strict=True))
        ]
        if found:
            left, right = min(found)
            return tuple(i for i in a if i not in left), tuple(j for j in b if j not in right)
    raise AssertionError


@given(FEW, FEW)
@settings(max_examples=300, deadline=None)
@example(list("ab"), list("ba"))
@example(list("aab"), list("cab"))
def test_the_alignment_is_the_one_that_the_rule_names(minus: list[str], plus: list[str]) -> None:
    found = localise(text(minus), text(plus))
    assert (found.d_minus, found.d_plus) == by_rule(minus, plus)


@pytest.mark.parametrize(
    ("minus", "plus", "d_minus", "d_plus"),
    [
        ("aaa", "aa", (2,), ()),  # of repeats the last is too many
        ("ab", "ba", (1,), (0,)),  # two of length one: the earlier rejected line is matched
        ("cab", "aa", (0, 2), (1,)),
        ("aa", "ca", (0,), (0,)),  # equal last lines are matched, so the change stays in its place
        ("xabx", "xbax", (2,), (1,)),
        ("xyabz", "xabyz", (1,), (3,)),  # a moved line is blamed where the longer part stays
        ("pqpq", "qpqp", (3,), (0,)),
    ],
)
def test_ties_by_hand(minus: str, plus: str, d_minus: tuple[int, ...], d_plus: tuple[int, ...]) -> None:
    found = localise(text(minus), text(plus))
    assert (found.d_minus, found.d_plus) == (d_minus, d_plus)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.lists(st.sampled_from("abcdefgh"), max_size=90))
@settings(max_examples=60, deadline=None)
@example(list("ab" * 20), list("ba" * 45))  # places that are many
def test_the_lengths_of_all_suffixes_are_those_of_the_table(a: list[str], b: list[str]) -> None:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            table[i][j] = 1 + table[i + 1][j + 1] if a[i] == b[j] else max(table[i + 1][j], table[i][j + 1])
    lengths = SuffixLengths("".join(a), "".join(b))
    assert lengths.total == table[0][0]
    assert [[lengths.length(i, j) for j in range(len(b) + 1)] for i in range(len(a) + 1)] == table


@pytest.mark.parametrize("algorithm", ["lcs", "token_lcs"])
@pytest.mark.parametrize("kinds", [2, 20_000])
def test_ten_thousand_lines_in_no_order_are_no_burden(algorithm: str, kinds: int) -> None:
    rng = random.Random(0)
    minus, plus = ([f"line {rng.randrange(kinds)}" for _ in range(10_000)] for _ in range(2))
    begin = time.process_time()
    assert localise(text(minus), text(plus), algorithm).d_minus
    assert (
        time.process_time() - begin < 5
    )  # a search for each line by itself takes 2 to 15 s here, and a hundred times that for 50,000


def test_more_distinct_lines_than_two_bytes_can_number() -> None:
    lines = [f"line {i}" for i in range(70_000)]
    found = localise(text([*lines, "x", "y", "end"]), text(["start", *lines, "y", "x"]))
    assert (found.d_minus, found.d_plus) == ((70_001, 70_002), (0, 70_001))


@given(
    st.lists(st.sampled_from(["a b c", "a b d", "x", ""]), max_size=8),
    st.lists(st.sampled_from(["a b c", "a b d", "y", ""]), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_ndiff_marks_what_difflib_marks(minus: list[str], plus: list[str]) -> None:
    assert ndiff_lines(minus, plus) == marked(minus, plus)


@pytest.mark.parametrize("seed", range(6))
def test_ndiff_marks_what_difflib_marks_in_long_texts_whose_lines_repeat(seed: int) -> None:
    rng = random.Random(seed)
    minus = [rng.choice(["    pass", "", "    return x", f"v{i % 7} = {i}"]) for i in range(_AUTOJUNK_LINES + 10)]
    plus = [line for line in minus if rng.random() > 0.05]
    plus[rng.randrange(len(plus))] = "    return y"
    plus += minus[: _AUTOJUNK_LINES + 5 - len(plus)]
    assert ndiff_lines(minus, plus) == marked(minus, plus)


def ndiff_lines(minus: list[str], plus: list[str]) -> tuple[list[int], list[int]]:
    found = localise(text(minus), text(plus), "ndiff")
    return list(found.d_minus), list(found.d_plus)


def marked(minus: list[str], plus: list[str]) -> tuple[list[int], list[int]]:
    lines = list(difflib.ndiff(minus, plus))
    sides = [[line[0] for line in lines if line[0] in (" ", mark)] for mark in "-+"]
    first, second = ([i for i, mark in enumerate(side) if mark != " "] for side in sides)
    return first, second


@pytest.mark.parametrize("algorithm", ["lcs", "ndiff", "prefix_suffix", "token_lcs"])
def test_four_hundred_similar_lines_are_no_burden(algorithm: str) -> None:
    minus = [f"    value_{i} = compute(value_{i - 1}, {i})" for i in range(400)]
    plus = [line.replace("compute", "computed") for line in minus]
    begin = time.process_time()
    found = localise(text(minus), text(plus), algorithm)
    assert found.d_minus == tuple(range(400))
    assert time.process_time() - begin < 5  # difflib's own search takes 28 s


def test_ndiff_says_when_it_must_search_a_long_text(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "_ndiff_itself", lambda *_: ((0,), (0,)))
    minus = ["    pass", "a"] * 160
    with caplog.at_level(logging.WARNING):
        localise(text(minus), text(["x", *minus[::-1]]), "ndiff")
    assert "this may take minutes; pairs.diff=lcs does not" in caplog.text


def words(source: str, spans: tuple[Span, ...]) -> list[str]:
    return [source[s.start : s.end] for s in spans]


def test_words_by_hand() -> None:
    bad, good = "def f(x):\n    return x - 1\n", "def f(x):\n    return x + 10\n"
    found = localise(bad, good, "token_lcs")
    assert (words(bad, found.d_minus_spans), words(good, found.d_plus_spans)) == (["-", "1"], ["+", "10"])
    assert (found.d_minus, found.d_plus, found.gap) == ((1,), (1,), None)


@pytest.mark.parametrize(
    ("bad", "good", "minus", "plus"),
    [
        ("if a <= b:\n", "if a < b:\n", ["<="], ["<"]),
        ("x = a ** 2\n", "x = a * 2\n", ["**"], ["*"]),
        ("x = 1.5\n", "x = 1.25\n", ["1.5"], ["1.25"]),
        ("total_sum = 1\n", "total = 1\n", ["total_sum"], ["total"]),
        ("    x\n", "        x\n", ["    "], ["        "]),
        ("f(a, b)\n", "f(b)\n", ["a, "], []),
        ("a = 1\nb = 2\nkeep\n", "keep\n", ["a = 1\nb = 2\n"], []),
        ("x = 'caf\u00e9'\n", "x = 'cafe'\n", ["caf\u00e9"], ["cafe"]),
        ("s = 'x'\r\n", "s = 'x'\n", ["\r"], []),
    ],
)
def test_only_the_words_that_differ_are_blamed(bad: str, good: str, minus: list[str], plus: list[str]) -> None:
    found = localise(bad, good, "token_lcs")
    assert (words(bad, found.d_minus_spans), words(good, found.d_plus_spans)) == (minus, plus)


def test_a_replaced_line_that_only_lacks_words_has_a_gap_at_the_first_of_them() -> None:
    found = localise("y = 0\nreturn x\n", "y = 0\nreturn x + 1\n", "token_lcs")
    assert (found.d_minus, found.d_plus, found.d_minus_spans) == ((), (1,), ())
    assert found.gap == len("y = 0\nreturn x")
    assert found.blamed("anchor") == (Span(found.gap, found.gap),)
    assert found.blamed("literal") == found.blamed("drop") == ()


@given(st.text(alphabet="ab1 (=\n", max_size=24), st.text(alphabet="ab1 (=\n", max_size=24))
@settings(max_examples=200, deadline=None)
def test_what_is_left_of_the_words_is_equal_and_no_more_than_the_lines_is_blamed(bad: str, good: str) -> None:
    found, lines = localise(bad, good, "token_lcs"), localise(bad, good, "lcs")
    sides = [(bad, found.d_minus_spans), (good, found.d_plus_spans)]
    left = ["".join(c for i, c in enumerate(t) if not any(s.start <= i < s.end for s in spans)) for t, spans in sides]
    # A matched last line may have its newline in one text alone.
    assert left[0].removesuffix("\n") == left[1].removesuffix("\n")
    for (source, spans), whole in zip(sides, (lines.d_minus_spans, lines.d_plus_spans), strict=True):
        assert all(any(w.start <= s.start and s.end <= w.end for w in whole) for s in spans)
        assert all(a.end < b.start for a, b in pairwise(spans))
        held = {n for s in spans for n in range(source.count("\n", 0, s.start), source.count("\n", 0, s.end - 1) + 1)}
        assert held == set(found.d_minus if source is bad and spans is found.d_minus_spans else found.d_plus)


@pytest.mark.parametrize("algorithm", ["lcs", "ndiff", "prefix_suffix", "token_lcs"])
def test_the_anchor_stands_at_the_gap_and_other_policies_blame_nothing(algorithm: str) -> None:
    found = localise("a\nc\n", "a\nb\nc\n", algorithm)
    assert (found.d_minus, found.gap) == ((), 2)
    assert found.blamed("anchor") == (Span(2, 2),)
    assert found.blamed("literal") == found.blamed("drop") == ()
    same = localise("a\n", "a\n", algorithm)
    assert same == Difference((), (), (), (), None)
    assert same.blamed("anchor") == ()


def test_lines_are_counted_by_newlines_alone() -> None:
    assert split_lines("a\x0cb\u2028c\rd\n") == ["a\x0cb\u2028c\rd"]
