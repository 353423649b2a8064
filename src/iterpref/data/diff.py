"""Two texts -> the lines, then the character spans, that differ.

D- = lines of the rejected text outside the longest common subsequence of lines; D+ likewise for the chosen text
(arXiv 2503.02783, section 3). A line ends at "\\n" and at nothing else: form feed, U+2028 and a lone "\\r" are characters of it.

Often several subsequences are longest. Ours is a matter of rule, not of the library's version: equal lines at the beginning
are matched, then equal lines at the end, and between them the longest alignment that matches the earliest line of the
rejected text, then the next earliest, and so on, each with the earliest line of the chosen text. So of lines that repeat the
later ones are blamed.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iterpref.data.subsequence import SuffixLengths
from iterpref.errors import UserError
from iterpref.registry import LOCALISERS
from iterpref.schema import Span

log = logging.getLogger(__name__)

Lines = tuple[int, ...]
Spans = tuple[Span, ...]

# Words of a program, whatever its language and the model's tokenizer: names, numbers, operators, line ends, runs of space.
_WORD = re.compile(r"\w+(?:\.\d+)?|\n|[^\S\n]+|\*\*=?|//=?|<<=?|>>=?|->|[-+*/%@&|^~<>=!:]=|.")
_AUTOJUNK_LINES = 200  # from so many lines on, difflib ignores the frequent ones


@dataclass(frozen=True)
class Difference:
    """0-based line numbers outside the alignment, and the same as characters of each text (newline included).

    `gap` is set when D- is empty and D+ is not: the character of the rejected text at which something is missing.
    """

    d_minus: Lines
    d_plus: Lines
    d_minus_spans: Spans
    d_plus_spans: Spans
    gap: int | None

    def blamed(self, empty_policy: str) -> Spans:
        """Characters of the rejected text that K- counts; under `anchor` a gap is an empty span at its place."""
        if self.gap is not None and empty_policy == "anchor":
            return (Span(self.gap, self.gap),)
        return self.d_minus_spans


def split_lines(text: str) -> list[str]:
    """`text.split("\\n")` without the empty piece after a final newline."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def localise(rejected: str, chosen: str, algorithm: str = "lcs") -> Difference:
    """What differs between the two texts.

    lcs            lines outside the longest common subsequence of lines
    ndiff          lines that `difflib.ndiff` marks (the public code's choice: not always a longest subsequence)
    prefix_suffix  all lines between the common first and the common last ones
    token_lcs      words outside the longest common subsequence of words, inside each block of lines that `lcs` finds replaced;
                   d_minus and d_plus are then the lines that hold such a word

    An added one is a function of both texts' lines that returns the numbers of those that differ; raises `UserError` when it
    returns anything else.
    """
    minus, plus = split_lines(rejected), split_lines(chosen)
    d_minus, d_plus = LOCALISERS.get(algorithm)(minus, plus)
    if LOCALISERS.is_added(algorithm):
        d_minus, d_plus = _checked(algorithm, d_minus, len(minus)), _checked(algorithm, d_plus, len(plus))
    minus_spans, plus_spans = line_spans(rejected, d_minus), line_spans(chosen, d_plus)
    if algorithm == "token_lcs":
        minus_spans, plus_spans = _word_spans(rejected, chosen, d_minus, d_plus)
        d_minus, d_plus = _lines_of(rejected, minus_spans), _lines_of(chosen, plus_spans)
    # With nothing to blame all of the rejected text is matched in order, so as much stands before the gap as before D+.
    gap = min(plus_spans[0].start, len(rejected)) if plus_spans and not minus_spans else None
    return Difference(d_minus, d_plus, minus_spans, plus_spans, gap)


def _checked(algorithm: str, lines: Sequence[int], total: int) -> Lines:
    """The line numbers in order; raises `UserError` for one outside of the text."""
    numbers = tuple(sorted({int(n) for n in lines}))
    if numbers and not (numbers[0] >= 0 and numbers[-1] < total):
        raise UserError(
            f"pairs.diff={algorithm}: line numbers from 0 to {total - 1} were expected, {numbers[0]} to {numbers[-1]} came"
        )
    return numbers


def line_spans(text: str, lines: Sequence[int]) -> Spans:
    """Characters of the given lines, newline included; neighbouring lines become one span."""
    if not lines:
        return ()
    wanted = set(lines)
    spans: list[Span] = []
    start = 0
    for number, line in enumerate(split_lines(text)):
        end = min(start + len(line) + 1, len(text))
        if number in wanted:
            spans.append(Span(start, end))
        start = end
    return _joined(spans)


def _joined(spans: Sequence[Span]) -> Spans:
    """Neighbours that touch become one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].end == span.start:
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    return tuple(joined)


def _lines_of(text: str, spans: Spans) -> Lines:
    """The lines that hold a character of a span."""
    numbers: set[int] = set()
    for span in spans:
        first = text.count("\n", 0, span.start)
        numbers.update(range(first, first + text.count("\n", span.start, span.end - 1) + 1))
    return tuple(sorted(numbers))


def _word_spans(rejected: str, chosen: str, d_minus: Lines, d_plus: Lines) -> tuple[Spans, Spans]:
    minus: list[Span] = []
    plus: list[Span] = []
    for old, new in _blocks(rejected, chosen, d_minus, d_plus):
        words = [
            [(m.start(), m.end()) for m in _WORD.finditer(t, s.start, s.end)]
            for t, s in ((rejected, old), (chosen, new))
        ]
        texts = [[t[a:b] for a, b in found] for t, found in zip((rejected, chosen), words, strict=True)]
        for spans, found, outside in zip((minus, plus), words, _lcs(*texts), strict=True):
            spans += [Span(*found[i]) for i in outside]
    return _joined(minus), _joined(plus)


def _blocks(rejected: str, chosen: str, d_minus: Lines, d_plus: Lines) -> Iterator[tuple[Span, Span]]:
    """Characters of each side between two matched lines, wherever a side has any."""
    minus, plus = line_spans(rejected, d_minus), line_spans(chosen, d_plus)
    a = b = shift = 0  # shift: chosen position of a matched character less its rejected position
    while a < len(minus) or b < len(plus):
        old = minus[a] if a < len(minus) else None
        new = plus[b] if b < len(plus) else None
        if old and new and old.start + shift == new.start:
            yield old, new
        elif old and (not new or old.start + shift < new.start):
            new = None
            yield old, Span(old.start + shift, old.start + shift)
        elif new:
            old = None
            yield Span(new.start - shift, new.start - shift), new
        if old:
            a, shift = a + 1, shift - (old.end - old.start)
        if new:
            b, shift = b + 1, shift + (new.end - new.start)


def _common_ends(minus: Sequence[str], plus: Sequence[str]) -> tuple[int, int]:
    """How many first lines, and how many of the other last lines, are equal."""
    shorter = min(len(minus), len(plus))
    head = 0
    while head < shorter and minus[head] == plus[head]:
        head += 1
    tail = 0
    while tail < shorter - head and minus[-1 - tail] == plus[-1 - tail]:
        tail += 1
    return head, tail


@LOCALISERS.register("prefix_suffix")
def _prefix_suffix(minus: Sequence[str], plus: Sequence[str]) -> tuple[Lines, Lines]:
    head, tail = _common_ends(minus, plus)
    return tuple(range(head, len(minus) - tail)), tuple(range(head, len(plus) - tail))


@LOCALISERS.register("token_lcs")
@LOCALISERS.register("lcs")
def _lcs(minus: Sequence[str], plus: Sequence[str]) -> tuple[Lines, Lines]:
    """Positions of either side outside the one longest common subsequence that the module's rule names."""
    head, tail = _common_ends(minus, plus)
    # Each distinct line becomes one character: `find` then looks for a line.
    numbers: dict[str, int] = {}
    a, b = (
        "".join(chr(numbers.setdefault(line, len(numbers))) for line in side[head : len(side) - tail])
        for side in (minus, plus)
    )
    suffixes = SuffixLengths(a, b)
    left = suffixes.total
    kept_a, kept_b = set(), set()
    j = 0
    for i, line in enumerate(a):
        if not left:
            break
        at = b.find(line, j)
        # Two lines that stand next are matched unasked: no longest alignment loses by it.
        if at == j or (at > j and suffixes.length(i + 1, at + 1) == left - 1):
            kept_a.add(i)
            kept_b.add(at)
            j, left = at + 1, left - 1
    return (
        tuple(head + i for i in range(len(a)) if i not in kept_a),
        tuple(head + i for i in range(len(b)) if i not in kept_b),
    )


@LOCALISERS.register("ndiff")
def _ndiff(minus: Sequence[str], plus: Sequence[str]) -> tuple[Lines, Lines]:
    """The lines that `difflib.ndiff` marks, without its search for similar lines (28 s on 400 of them) where that moves none."""
    d_minus: list[int] = []
    d_plus: list[int] = []
    for tag, a, a_end, b, b_end in difflib.SequenceMatcher(None, minus, plus).get_opcodes():
        if tag == "equal":
            continue
        if len(plus) >= _AUTOJUNK_LINES and not set(minus[a:a_end]).isdisjoint(plus[b:b_end]):
            # Frequent lines that the matcher passed over: ndiff may still match them, while it pairs similar lines.
            if len(minus) * len(plus) > 300**2:
                log.warning("ndiff compares %d with %d lines that repeat: this may take minutes; pairs.diff=lcs does not",
                            len(minus), len(plus))  # fmt: skip
            return _ndiff_itself(minus, plus)
        d_minus += range(a, a_end)
        d_plus += range(b, b_end)
    return tuple(d_minus), tuple(d_plus)


def _ndiff_itself(minus: Sequence[str], plus: Sequence[str]) -> tuple[Lines, Lines]:
    marks = [line[:2] for line in difflib.ndiff(minus, plus)]
    sides = [[mark for mark in marks if mark in ("  ", side)] for side in ("- ", "+ ")]
    d_minus, d_plus = (tuple(i for i, mark in enumerate(side) if mark != "  ") for side in sides)
    return d_minus, d_plus
