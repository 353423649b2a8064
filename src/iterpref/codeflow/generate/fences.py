"""The form of a model's answer: its thoughts, its fenced blocks with the names in front of them, and the prose around them.

A fence may stand in a list (its indentation is no part of the code), behind words, or in a docstring of the code that it closes; it
may be closed at the end of a line of code, or not at all. A Python block ends where it first parses. What does not parse at any end
is a wrong program if a fence closes it, and no reading otherwise.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from iterpref.codeflow.code import fence_behind_words, tree_of
from iterpref.schema import SourceFile

MAX_BLOCKS = 200
MAX_FILE = 200_000  # characters
PYTHON = ("", "py", "python", "python3")
_ENDS_TRIED = 8  # of one block
_PARSED = 2_000_000  # characters that are parsed in search of ends, for all blocks of an answer together
# Nothing is given back, so that a long line behind a mark is looked at once.
_FENCE = re.compile(r"(?P<indent>\s{0,8})(?P<sign>`{3,}+|~{3,}+)[ \t]*+\{?\.?(?P<language>[\w+#-]*+)[^`]*+$")
_BARE = re.compile(r"\s*(?:`{3,}|~{3,})\s*$")
_FILE = re.compile(r"<file>([^\n<]*)</file>")  # linear, whatever the answer
_OWN_MARK = re.compile(r"\s*(?:</?file>|</?json>|`{3}|~{3})")
_MARK_IN_CODE = re.compile(r"^\s*(?:</?file>|</?json>|~{3})|`{3}", re.MULTILINE)
_THOUGHTS = re.compile(
    r"\s*(?:<(?P<tag>(?:\w{1,20}:)?(?:think|thinking|thoughts?|reasoning))>|\[(?P<word>THINK)\])", re.IGNORECASE
)
_SPECIAL_END = re.compile(r"(?:<\|[\w-]{1,30}\|>|</s>|\s){1,100}\Z")  # a token that a server left in the text


class BadAnswer(Exception):
    """An answer that cannot be used. `reason` is a word for the statistics, `detail` plain ASCII."""

    def __init__(self, reason: str, detail: object = "") -> None:
        self.reason, self.detail = reason, ascii(str(detail)[:200])[1:-1]
        super().__init__(f"{reason}: {self.detail}" if self.detail else reason)


@dataclass
class Block:
    name: str | None
    language: str
    lines: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def spoken(text: str) -> str:
    """The answer without a block of thoughts in front, with plain line ends; raises `BadAnswer` for thoughts that never end.

    Where a chat template has opened the block, its closing tag alone is in the answer, at the end of a line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    opening = _THOUGHTS.match(text)
    tag = (opening["tag"] or "think") if opening else "think"
    closing = re.escape(f"[/{opening['word']}]" if opening and opening["word"] else f"</{tag}>")
    ends = [match.end() for match in re.finditer(rf"{closing}[ \t]*$", text, re.MULTILINE | re.IGNORECASE)]
    if opening and not ends:
        first = re.search(closing, text, re.IGNORECASE)
        if first is None:
            raise BadAnswer("answer_cut", "it never ended its thoughts")
        ends = [first.end()]
    return text[ends[-1] :] if ends else text


def scan(text: str) -> tuple[list[Block], str]:
    """Fenced blocks, each with the `<file>` that stands before it or in its first line, and the text outside of them."""
    tail = _SPECIAL_END.search(text, max(0, len(text) - 200))
    return _Scan((text[: tail.start()] if tail else text).split("\n")).run()


class _Scan:
    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._left = _PARSED
        bare = [(n, line.strip()) for n, line in enumerate(lines) if _BARE.match(line)]
        self._runs = {sign: [(n, len(run)) for n, run in bare if run[0] == sign] for sign in "`~"}

    def run(self) -> tuple[list[Block], str]:
        blocks: list[Block] = []
        prose: list[str] = []
        name: str | None = None
        at = 0
        while at < len(self._lines):
            line = self._lines[at]
            at += 1
            opening = _opening(line)
            if opening is None:
                prose.append(line)
            for match in _FILE.finditer(line) if opening is None or opening[3] else ():
                if name not in (None, match[1].strip()):  # the same name again only speaks of the file
                    raise BadAnswer("file_without_code", name)
                name = match[1].strip()
            if opening is not None:
                if len(blocks) >= MAX_BLOCKS:
                    raise BadAnswer("too_many_files", f"more than {MAX_BLOCKS} fences")
                block, at = self._block(name, at, *opening)
                blocks.append(block)
                name = None
        if blocks and not blocks[-1].closed and blocks[-1].name and not blocks[-1].text.strip():
            name = blocks[-1].name
        if name is not None:
            raise BadAnswer("file_without_code", name)
        return blocks, "\n".join(prose)

    def _block(
        self, name: str | None, start: int, sign: str, language: str, indent: int, behind_words: bool
    ) -> tuple[Block, int]:
        """The block whose first line is number `start`, and the number of the line behind it."""
        first = next((line for line in self._lines[start : start + 20] if line.strip()), "")
        own = len(first) - len(first.lstrip())
        indent = own if behind_words else min(indent, own)
        named = _FILE.fullmatch(first.strip())
        if named is not None and name in (None, named[1].strip()):
            name, start = named[1].strip(), self._lines.index(first, start) + 1

        def block(end: int, glued: str | None = None, closed: bool = True) -> Block:
            lines = [_dedented(line, indent) for line in self._lines[start:end]]
            if glued is not None:
                lines.append(_dedented(glued, indent))
            return Block(name, language, lines, closed)

        ends = self._closing(start, sign)
        end = next(ends, len(self._lines))
        closed = end < len(self._lines)
        first_reading = block(end, closed=closed)
        checked = name.endswith(".py") if name else language in PYTHON
        if not checked or (closed and self._parses(first_reading)):
            return first_reading, end + 1
        for n in islice(ends, _ENDS_TRIED - 1):
            if self._left <= 0 or any(map(self._opens_another, range(end, n))):
                break  # two blocks are as good a reading
            if self._parses(longer := block(n)):
                return longer, n + 1
        for n in self._unclosed(start, sign, end):
            line = self._lines[n]
            is_mark = bool(_OWN_MARK.match(line))
            shorter = block(n) if is_mark else block(n, line.rstrip()[: -len(sign)])
            after = n if is_mark else n + 1
            if any(map(str.strip, shorter.lines)) and self._is_form(after, end, is_mark) and self._parses(shorter):
                return shorter, after
        return first_reading, end + 1

    def _closing(self, start: int, sign: str) -> Iterator[int]:
        """Numbers of the lines that hold a closing fence and nothing else."""
        runs = self._runs[sign[0]]
        for n, length in islice(runs, bisect_left(runs, (start, 0)), None):
            if length >= len(sign):
                yield n

    def _unclosed(self, start: int, sign: str, end: int) -> Iterator[int]:
        """Lines at which a block may end that no line of its own closes: a mark of our form, or code with the sign behind it."""
        tried = 0
        for n in range(start, end):
            line = self._lines[n].rstrip()
            if _FILE.fullmatch(line.strip()) or line.lstrip().startswith("<json>") or (line.endswith(sign) and line.count(sign) == 1):  # fmt: skip
                yield n
                tried += 1
                if tried == _ENDS_TRIED or self._left <= 0:
                    return

    def _is_form(self, start: int, end: int, is_mark: bool) -> bool:
        """Whether no code is lost when a block ends before line `start` and not at `end`: another opens there, or nothing but marks come."""
        if is_mark and end == len(self._lines):
            return True
        rest = range(start, end)
        marks = all(not self._lines[n].strip() or _OWN_MARK.match(self._lines[n]) for n in rest)
        return marks or any(map(self._opens_another, rest))

    def _opens_another(self, n: int) -> bool:
        opening = _opening(self._lines[n])
        return opening is not None and opening[1] != "" and opening[2] == 0

    def _parses(self, block: Block) -> bool:
        size = sum(map(len, block.lines)) + len(block.lines)
        self._left -= size
        if self._left < 0 or size > MAX_FILE:
            return False
        return tree_of(block.text.removeprefix("\ufeff")) is not None


def _opening(line: str) -> tuple[str, str, int, bool] | None:
    """Sign, language and indentation of a line that opens a block, and whether words stand before the sign."""
    if match := _FENCE.match(line):
        return match["sign"], match["language"].lower(), len(match["indent"]), False
    if late := fence_behind_words(line):
        return (*late, 0, True)
    return None


def _dedented(line: str, indent: int) -> str:
    return line[min(indent, len(line) - len(line.lstrip())) :]


def check_form(file: SourceFile, blocks: Sequence[Block]) -> None:
    """Raises `BadAnswer` for Python that does not parse where that may be the form's fault: no fence ends it, or it holds marks of the form."""
    if not file.name.endswith(".py") or tree_of(file.text) is not None:
        return
    if blocks and not blocks[-1].closed and blocks[-1].text.endswith(file.text):
        raise BadAnswer("fence_open", f"{file.name}: no fence ends it, and up to the end of the answer it is no Python")
    if any(b.name is None and b.language in PYTHON and not b.text.endswith(file.text) for b in blocks):
        raise BadAnswer("several_blocks", f"{file.name} is no Python, and another fence may be the rest of it")
    if mark := _MARK_IN_CODE.search(file.text):
        raise BadAnswer("marks_in_code", f"{file.name}: {mark[0].strip()}")
