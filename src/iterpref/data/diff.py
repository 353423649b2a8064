"""Two texts -> the lines, then the character spans, that differ.

D- = lines of the rejected text outside the longest common subsequence of lines; D+ likewise for the chosen text
(arXiv 2503.02783, section 3). A line ends at "\\n" and at nothing else: form feed, U+2028 and a lone "\\r" are characters of it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from iterpref.schema import Span

Lines = tuple[int, ...]


@dataclass(frozen=True)
class Difference:
    """0-based line numbers outside the alignment, and the same as characters of each text (newline included).

    `gap` is set when D- is empty and D+ is not: the character of the rejected text at which lines are missing.
    """

    d_minus: Lines
    d_plus: Lines
    d_minus_spans: tuple[Span, ...]
    d_plus_spans: tuple[Span, ...]
    gap: int | None


def split_lines(text: str) -> list[str]:
    """`text.split("\\n")` without the empty piece after a final newline."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def localise(rejected: str, chosen: str, algorithm: str = "lcs") -> Difference:
    """Lines that differ between the two texts, by `lcs`, `ndiff` or `prefix_suffix`."""
    minus, plus = split_lines(rejected), split_lines(chosen)
    d_minus, d_plus = _ALGORITHMS[algorithm](minus, plus)
    gap = None
    if not d_minus and d_plus:
        # Every rejected line is matched in order, so as many lines stand before the gap as match before D+.
        gap = min(_line_start(rejected, d_plus[0]), len(rejected))
    return Difference(d_minus, d_plus, line_spans(rejected, d_minus), line_spans(chosen, d_plus), gap)


def line_spans(text: str, lines: Lines) -> tuple[Span, ...]:
    """Characters of the given lines, newline included; neighbouring lines become one span."""
    wanted = set(lines)
    spans: list[Span] = []
    start = 0
    for number, line in enumerate(split_lines(text)):
        end = min(start + len(line) + 1, len(text))
        if number in wanted:
            if spans and spans[-1].end == start:
                spans[-1] = Span(spans[-1].start, end)
            else:
                spans.append(Span(start, end))
        start = end
    return tuple(spans)


def _line_start(text: str, number: int) -> int:
    return sum(len(line) + 1 for line in split_lines(text)[:number])


def _lcs(minus: list[str], plus: list[str]) -> tuple[Lines, Lines]:
    # Numbered first: hashing a line once is cheaper than comparing it often, and equal hashes of unequal lines cannot hurt.
    numbers: dict[str, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in minus]
    b = [numbers.setdefault(line, len(numbers)) for line in plus]
    d_minus: list[int] = []
    d_plus: list[int] = []
    for edit in LCSseq.editops(a, b):
        if edit.tag == "delete":
            d_minus.append(edit.src_pos)
        else:
            d_plus.append(edit.dest_pos)
    return tuple(d_minus), tuple(d_plus)


def _ndiff(minus: list[str], plus: list[str]) -> tuple[Lines, Lines]:
    # The public code's choice: Ratcliff-Obershelp with ndiff's pairing of similar lines; not always a longest subsequence.
    d_minus: list[int] = []
    d_plus: list[int] = []
    i = j = 0
    for line in difflib.ndiff(minus, plus):
        if line.startswith("- "):
            d_minus.append(i)
            i += 1
        elif line.startswith("+ "):
            d_plus.append(j)
            j += 1
        elif line.startswith("  "):
            i, j = i + 1, j + 1
    return tuple(d_minus), tuple(d_plus)


def _prefix_suffix(minus: list[str], plus: list[str]) -> tuple[Lines, Lines]:
    shorter = min(len(minus), len(plus))
    head = 0
    while head < shorter and minus[head] == plus[head]:
        head += 1
    tail = 0
    while tail < shorter - head and minus[-1 - tail] == plus[-1 - tail]:
        tail += 1
    return tuple(range(head, len(minus) - tail)), tuple(range(head, len(plus) - tail))


_ALGORITHMS = {"lcs": _lcs, "ndiff": _ndiff, "prefix_suffix": _prefix_suffix}
