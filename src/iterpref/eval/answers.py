"""The program in what a model has answered.

A *program* is text that Python parses and that does more than evaluate expressions, so that neither a line of prose nor
a printed result counts. The rules, in order; the first that yields something holds:

1. the first fenced block that is a program, among those marked `python`, `py`, `python3` or not marked at all;
2. the longest program that the last block begins with, when the answer ended before that block was closed;
3. all that stands before the first fence, if it is a program: an answer without fences, or to a prompt that opened one;
4. the longest fenced block, marked as in rule 1 if there is one, even though it is no program;
5. the longest program that starts at the first line that reads like a definition, an import or a decorator, and ends at
   the end of a line;
6. the whole answer, which then fails as it should.

A fence is a line of three or more backticks or tildes; spaces may lead it, and that many are taken off the lines of its
block. It is closed by a bare line of at least as many of the same sign, or by the end of the answer.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from iterpref.codeflow.code import tree_of

# Nothing is given back, so that a long line behind a mark is looked at once.
_OPENING = re.compile(r"(?P<indent>[ \t]*)(?P<sign>`{3,}+|~{3,}+)[ \t]*+\{?\.?(?P<language>[^\s`:{}]*+)[^`]*+$")
_PYTHON = ("", "python", "py", "python3")
_START = re.compile(r"def \w|async def \w|class \w+\s*[(:]|import [\w.]+|from [\w.]+ import\b|@\w")


@dataclass(frozen=True)
class _Block:
    language: str  # in lower case; empty when the fence names none
    text: str
    closed: bool


def extract_code(answer: str) -> str:
    """The code by the rules above: lines end in LF, none is empty at either end; "" for white space alone."""
    text = answer.replace("\r\n", "\n").replace("\r", "\n")
    code = _choose(text).strip("\n")
    return code + "\n" if code.strip() else ""


def _choose(text: str) -> str:
    head, blocks = _split(text)
    python = [block for block in blocks if block.language in _PYTHON]
    for block in python:
        if _is_program(block.text):
            return block.text
    if python and not python[-1].closed and (begun := _longest_program(python[-1].text)):
        return begun
    if _is_program(head):
        return head
    if blocks:
        return max((block.text for block in python or blocks), key=len)
    return _longest_program(_from_first_start(text)) or text


def _split(text: str) -> tuple[str, list[_Block]]:
    """What stands before the first fence, and the fenced blocks."""
    head: list[str] = []
    blocks: list[_Block] = []
    opening: re.Match[str] | None = None
    inside: list[str] = []
    for line in text.split("\n"):
        if opening is None:
            opening, inside = _OPENING.match(line), []
            if opening is None and not blocks:
                head.append(line)
        elif _closes(line, opening["sign"]):
            blocks.append(_Block(opening["language"].lower(), "\n".join(inside), closed=True))
            opening = None
        else:
            indent = len(opening["indent"])
            inside.append(line[:indent].lstrip() + line[indent:])
    if opening is not None:
        blocks.append(_Block(opening["language"].lower(), "\n".join(inside), closed=False))
    return "\n".join(head), blocks


def _closes(line: str, sign: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(sign) and set(bare) == {sign[0]}


def _from_first_start(text: str) -> str:
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if _START.match(line)), len(lines))
    return "\n".join(lines[first:])


def _longest_program(text: str) -> str:
    """The longest run of whole lines from the beginning that is a program; empty if there is none."""
    lines = text.split("\n")
    runs = ("\n".join(lines[:end]) for end in range(len(lines), 0, -1))
    return next((run for run in runs if _is_program(run)), "")


def _is_program(text: str) -> bool:
    tree = tree_of(text)
    return tree is not None and any(not isinstance(node, ast.Expr) for node in tree.body)
