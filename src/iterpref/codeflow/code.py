"""The Python inside a completion: its fences, what each line holds, and whether two programs are one to the interpreter.

Everything here rests on the running interpreter's own tokenizer and parser: a program of a newer (or older) Python may not
parse, and then is text. Nothing raises on strange text.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from iterpref.data.diff import split_lines
from iterpref.schema import SourceFile

# Longer programs are not parsed: the rules are about answers of a model, and a parser's memory is some hundred times its text.
MAX_CHARACTERS = 500_000
# Nothing is given back: a line of minified code behind a mark would otherwise be tried from each of its characters.
_FENCE = re.compile(r" {0,3}+(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`]*+$")
_PYTHON = re.compile(r"i?python[\d.]*|py3?|pycon")
_F_STRING = re.compile(r"[rR]?[fF]")  # has an effect; its own token type from Python 3.12 on
_CLOSERS_TRIED = 8  # of a fence whose code has fences in a text of its own


@dataclass(frozen=True)
class Block:
    """Lines [start, end) of a completion, which are one program; `code` is their text."""

    start: int
    end: int
    code: str


@dataclass(frozen=True)
class Completion:
    """A completion and its Python: `fenced` (by fences), `bare` (all of it is code), or `none` with the reason."""

    text: str
    blocks: tuple[Block, ...]
    kind: str
    reason: str = ""


def of_files(files: Sequence[SourceFile]) -> Completion:
    """Files as a model would write them: a python fence; several files each under their `<file>` name."""
    pieces: list[str] = []
    blocks: list[Block] = []
    line = 0
    for file in files:
        code = file.text if file.text.endswith("\n") else file.text + "\n"
        head = "```python\n" if len(files) == 1 else f"<file>{file.name}</file>\n```python\n"
        start = line + head.count("\n")
        blocks.append(Block(start, start + code.count("\n"), code))
        pieces.append(f"{head}{code}```")
        line = blocks[-1].end + 1
    return Completion("\n".join(pieces), tuple(blocks), "fenced")


def of_text(text: str) -> Completion:
    """Anyone's completion: the blocks of its python fences; without fences the whole text where that parses."""
    if len(text) > MAX_CHARACTERS:
        return Completion(text, (), "none", f"longer than {MAX_CHARACTERS} characters")
    lines = split_lines(text)
    fences = [(i, *found) for i, line in enumerate(lines) if (found := _fence(line.rstrip()))]
    if fences:
        blocks, languages = _fenced(lines, fences)
        if blocks:
            return Completion(text, tuple(blocks), "fenced")
        return Completion(text, (), "none", f"no Python between its fences ({', '.join(sorted(languages)) or 'text'})")
    tree = tree_of(text)
    # A title in quotes or behind "#" parses as well, and is none.
    if tree and any(not _is_text(node) for node in tree.body):
        return Completion(text, (Block(0, len(lines), text),), "bare")
    return Completion(
        text, (), "none", f"no fence, and the text is no Python that {'does anything' if tree else 'parses'}"
    )


def _fence(line: str) -> tuple[str, str] | None:
    """Mark and language of a line that is a fence."""
    if found := _FENCE.match(line):
        return found[1], found[2].lower()
    return fence_behind_words(line)


def fence_behind_words(line: str) -> tuple[str, str] | None:
    """Mark and language of a fence that words stand before, as in "Here it is: ```python": one that opens, with its language."""
    words, mark, language = line.rpartition("```")
    late = words.strip() and "`" not in words and _PYTHON.fullmatch(language.strip().lower())
    return (mark, language.strip().lower()) if late else None


def as_bare(completion: Completion) -> Completion:
    """The completion taken for code without fences, because its counterpart is: so is a program that does not parse."""
    if completion.kind != "none" or _FENCE.search(completion.text) or len(completion.text) > MAX_CHARACTERS:
        return completion
    return Completion(completion.text, (Block(0, len(split_lines(completion.text)), completion.text),), "bare")


def _fenced(lines: Sequence[str], fences: Sequence[tuple[int, str, str]]) -> tuple[list[Block], set[str]]:
    blocks: list[Block] = []
    others: set[str] = set()
    at = 0
    while at < len(fences):
        opening, mark, language = fences[at]
        # A closing fence is as long as the opening one and names no language; an answer cut off has none.
        closers = (n for n in range(at + 1, len(fences)) if fences[n][1].startswith(mark) and not fences[n][2])
        ends = [(n, fences[n][0]) for n in islice(closers, _CLOSERS_TRIED)] or [(len(fences), len(lines))]
        after, end = ends[0]
        if not language or _PYTHON.fullmatch(language):
            block = _block(lines, opening + 1, end)
            if len(ends) > 1 and not tree_of(block.code):
                # The first closing fence may stand in a docstring: the block is the shortest that parses.
                for later, line in ends[1:]:
                    longer = _block(lines, opening + 1, line)
                    if tree_of(longer.code):
                        after, block = later, longer
                        break
            if language or (block.code.strip() and tree_of(block.code)):
                blocks.append(block)
        else:
            others.add(language)
        at = after + 1
    return blocks, others


def _block(lines: Sequence[str], start: int, end: int) -> Block:
    return Block(start, end, "".join(line + "\n" for line in lines[start:end]))


def parse(code: str) -> ast.Module | str:
    """The syntax tree, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is doubtful in a task's code ("\\d") is no news about ours
            return ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"


def tree_of(code: str) -> ast.Module | None:
    """The syntax tree, or None for what does not parse."""
    tree = parse(code)
    return tree if isinstance(tree, ast.Module) else None


def imported(tree: ast.Module | None) -> list[str]:
    """Modules that a program imports, anywhere in it, in their order."""
    found: list[str] = []
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return found


def same_trees(first: ast.Module, second: ast.Module, docstrings: str = "compare") -> bool:
    """Equal node by node, positions apart; with `docstrings="ignore"` statements that are only a text do not count.

    With its own stack: a tree may be deeper than the interpreter's.
    """
    stack: list[tuple[object, object]] = [(first, second)]
    while stack:
        a, b = stack.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.AST):
            # `kind` is the u of u"text".
            stack += [(getattr(a, f, None), getattr(b, f, None)) for f in a._fields if f not in ("ctx", "kind")]
        elif isinstance(a, list) and isinstance(b, list):
            if docstrings == "ignore":
                a, b = _without_docstrings(a), _without_docstrings(b)
            if len(a) != len(b):
                return False
            stack += zip(a, b, strict=True)
        elif a != b:
            return False
    return True


def _is_text(node: object) -> bool:
    """Whether a statement is only a text, as a docstring is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _without_docstrings(nodes: list[object]) -> list[object]:
    kept = [n for n in nodes if not _is_text(n)]
    # A body of a docstring alone does what `pass` does.
    return kept or ([ast.Pass()] if nodes else [])


def line_kinds(code: str) -> list[str]:
    """What each line holds: `blank`, `comment`, `docstring` (a statement that is only a text) or `code`.

    By tokens, so that `#` in a text is no comment. Where the tokenizer gives up, what is left is judged by its looks.
    """
    lines = split_lines(code)
    kinds = ["" for _ in lines]
    logical: list[tokenize.TokenInfo] = []
    for token in _tokens(lines):
        if token.type == tokenize.COMMENT:
            _mark(kinds, token, "comment", weak=True)
        elif token.type == tokenize.NEWLINE:
            only_text = all(t.type == tokenize.STRING and not _F_STRING.match(t.string) for t in logical)
            for t in logical:
                _mark(kinds, t, "docstring" if only_text else "code")
            logical = []
        elif token.type not in _LAYOUT:
            logical.append(token)
    for token in logical:
        _mark(kinds, token, "code")
    return [kind or _by_looks(line) for kind, line in zip(kinds, lines, strict=True)]


def code_tokens(code: str) -> list[tuple[int, str]] | None:
    """Type and text of every token but comments and blank lines, indentation by depth; None where it cannot be tokenised."""
    found: list[tuple[int, str]] = []
    for token in _tokens(split_lines(code)):
        if token.type == tokenize.ERRORTOKEN:
            return None
        if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE):
            found.append((token.type, ""))
        elif token.type == tokenize.ENDMARKER:
            return found
        elif token.type not in (tokenize.COMMENT, tokenize.NL):
            found.append((token.type, token.string))
    return None


_LAYOUT = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING)


def _tokens(lines: Sequence[str]) -> Iterator[tokenize.TokenInfo]:
    # A carriage return or form feed would count as a line of its own in some releases of the tokenizer.
    text = "".join(line.rstrip("\r").replace("\r", " ").replace("\f", " ") + "\n" for line in lines)
    try:
        yield from tokenize.generate_tokens(io.StringIO(text, newline="\n").readline)
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError, MemoryError):
        return


def _mark(kinds: list[str], token: tokenize.TokenInfo, kind: str, weak: bool = False) -> None:
    for row in range(token.start[0] - 1, min(token.end[0], len(kinds))):
        if not (weak and kinds[row]):
            kinds[row] = kind


def _by_looks(line: str) -> str:
    stripped = line.strip()
    return "blank" if not stripped else "comment" if stripped.startswith("#") else "code"


def first_fence(text: str) -> int | None:
    """The character at which the line of the first fence begins, or None."""
    at = 0
    for line in split_lines(text):
        if _FENCE.match(line.rstrip()):
            return at
        at += len(line) + 1
    return None
