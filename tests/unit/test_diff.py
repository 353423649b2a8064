"""Which lines differ: against brute force, by hand, and on texts that other line splitters get wrong."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iterpref.data.diff import Difference, line_spans, localise, split_lines
from iterpref.errors import UserError
from iterpref.schema import Span

LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=7)
ODD_TEXTS = st.text(alphabet="ab \n\r\x0c\u2028\x85é😀", max_size=30)
ALGORITHMS = ("lcs", "ndiff", "prefix_suffix")


def text(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def rest(lines: list[str], without: tuple[int, ...]) -> list[str]:
    return [line for i, line in enumerate(lines) if i not in without]


def brute_lcs(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, by trying all subsequences of the shorter list."""
    a, b = sorted((a, b), key=len)

    def is_subsequence(part: tuple[str, ...]) -> bool:
        left = iter(b)
        return all(line in left for line in part)

    return next(n for n in range(len(a), -1, -1) if any(map(is_subsequence, combinations(a, n))))


@given(LINES, LINES)
@settings(max_examples=200, deadline=None)
@example(["a", "a", "b"], ["a", "b", "a"])
def test_lcs_leaves_out_as_few_lines_as_can_be(minus: list[str], plus: list[str]) -> None:
    found = localise(text(minus), text(plus))
    longest = brute_lcs(minus, plus)
    assert len(found.d_minus) == len(minus) - longest
    assert len(found.d_plus) == len(plus) - longest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(minus=ODD_TEXTS, plus=ODD_TEXTS)
@settings(max_examples=60, deadline=None)
def test_what_is_left_is_equal_and_in_order(algorithm: str, minus: str, plus: str) -> None:
    found = localise(minus, plus, algorithm)
    assert list(found.d_minus) == sorted(set(found.d_minus))
    assert list(found.d_plus) == sorted(set(found.d_plus))
    assert rest(split_lines(minus), found.d_minus) == rest(split_lines(plus), found.d_plus)


@pytest.mark.parametrize("algorithm", ["ndiff", "prefix_suffix"])
@given(minus=LINES, plus=LINES)
@settings(max_examples=60, deadline=None)
def test_no_algorithm_leaves_out_less_than_lcs(algorithm: str, minus: list[str], plus: list[str]) -> None:
    assert len(localise(text(minus), text(plus), algorithm).d_minus) >= len(localise(text(minus), text(plus)).d_minus)


@given(ODD_TEXTS, st.sets(st.integers(0, 12)))
@settings(max_examples=150, deadline=None)
@example("a\nb", {1})
@example("\n\n", {0, 1})
@example("a\nb\nc\nd", {0, 2, 3})  # drawn texts seldom have lines enough for two spans
def test_spans_give_back_exactly_the_lines(source: str, wanted: set[int]) -> None:
    pieces = [line + "\n" for line in source.split("\n")[:-1]] + (
        [source.split("\n")[-1]] if source[-1:] != "\n" else []
    )
    pieces = [p for p in pieces if p]
    lines = tuple(sorted(i for i in wanted if i < len(pieces)))
    spans = line_spans(source, lines)
    assert "".join(source[s.start : s.end] for s in spans) == "".join(pieces[i] for i in lines)
    # Never empty, in order, and never touching: neighbours are one span.
    assert all(s.start < s.end for s in spans)
    assert all(left.end < right.start for left, right in pairwise(spans))


@given(LINES, st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["new", "a"])), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_lines_put_back_at_the_gap_begin_as_the_chosen_text_does(
    minus: list[str], additions: list[tuple[int, str]]
) -> None:
    plus = list(minus)
    for at, line in additions:
        plus.insert(min(at, len(plus)), line)
    found = localise(text(minus), text(plus))
    assert found.d_minus == ()
    assert found.gap is not None
    start = found.d_plus_spans[0].start
    assert text(minus)[: found.gap] == text(plus)[:start]


def test_one_wrong_line_by_hand() -> None:
    found = localise("def f(x):\n    return x - 1\n", "def f(x):\n    return x + 1\n")
    assert found == Difference((1,), (1,), (Span(10, 27),), (Span(10, 27),), None)


def test_a_missing_line_has_a_gap_and_nothing_to_blame() -> None:
    found = localise("a\nc\n", "a\nb\nc\n")
    assert found == Difference((), (1,), (), (Span(2, 4),), 2)


@pytest.mark.parametrize(
    ("minus", "plus", "gap"), [("b\n", "a\nb\n", 0), ("a\n", "a\nb\n", 2), ("a", "a\nb", 1), ("", "a", 0)]
)
def test_a_gap_at_either_end(minus: str, plus: str, gap: int) -> None:
    assert localise(minus, plus).gap == gap


def test_a_surplus_line_has_no_gap() -> None:
    assert localise("a\nb\n", "a\n") == Difference((1,), (), (Span(2, 4),), (), None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("same", ["", "\n", "a\nb\n", "a\nb"])
def test_equal_texts_do_not_differ(algorithm: str, same: str) -> None:
    assert localise(same, same, algorithm) == Difference((), (), (), (), None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_texts_without_a_common_line_differ_everywhere(algorithm: str) -> None:
    found = localise("a\nb\n", "x\ny\nz\n", algorithm)
    assert (found.d_minus, found.d_plus) == ((0, 1), (0, 1, 2))
    assert (found.d_minus_spans, found.d_plus_spans, found.gap) == ((Span(0, 4),), (Span(0, 6),), None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_of_lines_that_repeat_only_the_surplus_differs(algorithm: str) -> None:
    found = localise("a\na\na\n", "a\na\n", algorithm)
    assert (len(found.d_minus), found.d_plus) == (1, ())


def test_a_final_newline_alone_is_no_difference() -> None:
    assert localise("a\nb", "a\nb\n").d_minus == ()
    assert localise("a\nb", "a\nc\n") == Difference((1,), (1,), (Span(2, 3),), (Span(2, 4),), None)


def test_carriage_returns_belong_to_their_line() -> None:
    found = localise("a\r\nb\r\n", "a\nb\r\n")
    assert (found.d_minus, found.d_minus_spans, found.d_plus_spans) == ((0,), (Span(0, 3),), (Span(0, 2),))


@pytest.mark.parametrize("mark", ["\x0c", "\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_only_a_newline_ends_a_line(mark: str) -> None:
    assert split_lines(f"a{mark}b\nc") == [f"a{mark}b", "c"]
    assert localise(f"x = 1{mark}\ny\n", "x = 1\ny\n").d_minus_spans == (Span(0, 7),)


def test_prefix_and_suffix_blame_what_stands_between_the_errors() -> None:
    minus, plus = ["a", "x", "same", "y", "z"], ["a", "1", "same", "2", "z"]
    assert localise(text(minus), text(plus), "prefix_suffix").d_minus == (1, 2, 3)
    assert localise(text(minus), text(plus), "lcs").d_minus == (1, 3)


def test_prefix_and_suffix_never_use_a_line_twice() -> None:
    found = localise("a\na\n", "a\na\na\n", "prefix_suffix")
    assert (found.d_minus, found.d_plus, found.gap) == ((), (2,), 4)


def test_ndiff_is_longer_than_lcs_where_its_longest_block_misleads() -> None:
    # Ratcliff-Obershelp takes the longest common block "d e f" first, and with it gives up the five scattered lines.
    minus = ["d", "e", "f", "1", "2", "3", "4"]
    plus = ["1", "2", "x", "3", "4", "d", "e", "f"]
    assert len(localise(text(minus), text(plus), "lcs").d_minus) == 3
    assert len(localise(text(minus), text(plus), "ndiff").d_minus) == 4


@pytest.mark.parametrize("line", ["? guide", "- a", "+ a", "  a", "?"])
def test_ndiff_takes_no_line_for_one_of_its_own_marks(line: str) -> None:
    found = localise(f"{line}\nreturn x + 1\n", f"{line}\nreturn x - 1\n", "ndiff")
    assert (found.d_minus, found.d_plus) == ((1,), (1,))


def test_an_unknown_algorithm_is_no_algorithm() -> None:
    with pytest.raises(
        UserError, match=r"pairs\.diff=myers is none of lcs, ndiff, prefix_suffix, token_lcs: .*plugins="
    ):
        localise("a", "b", "myers")
