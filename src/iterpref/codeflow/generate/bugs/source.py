"""A Python source seen as text and as a syntax tree at once, so that a bug can be a small edit of the text.

Positions are character offsets into the text (`ast` counts UTF-8 bytes from the start of a line).
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from iterpref.errors import UserError

N = TypeVar("N", bound=ast.AST)
Located = ast.expr | ast.stmt | ast.ExceptHandler | ast.keyword
Function = ast.FunctionDef | ast.AsyncFunctionDef

_NEWLINE = re.compile(r"\r\n?|\n")
_COMMENT = re.compile(r"#[^\r\n]*")
_MARKS = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
# An edit there is no bug of the program: types, decorators, and signatures (whose defaults have kinds of their own).
_CLOSED_FIELDS = frozenset({"annotation", "returns", "decorator_list", "type_params", "msg"})
_CLOSED_NODES = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.arguments)


@dataclass(frozen=True)
class Edit:
    """Characters [start, end) become `text`."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text after all edits, whose spans must not overlap and count in the text as given."""
    pieces, position = [], 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        pieces += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])


class Source:
    """`nodes` are the nodes inside functions where a bug may sit, in document order; `parents` leads upwards.

    Left out of `nodes`: docstrings, annotations, decorators, imports, f-strings, the arguments of `raise`, `__repr__`.
    Raises `UserError` when the text is no Python.
    """

    def __init__(self, text: str, name: str = "solution.py") -> None:
        try:
            self.tree = ast.parse(text, name)
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"{name}: expected Python source to put bugs into, but it does not parse: {error}; "
                "mend the reference solution"
            ) from error
        self.text = text
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []
        self._line_starts = [0, *(m.end() for m in _NEWLINE.finditer(text))]
        self._collect(self.tree, inside=False)

    def _collect(self, node: ast.AST, inside: bool) -> None:
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else (value,):
                if not isinstance(child, ast.AST) or isinstance(child, _MARKS):
                    continue
                self.parents[child] = node
                if name in _CLOSED_FIELDS or isinstance(child, _CLOSED_NODES) or _is_prose(child):
                    continue
                if inside or isinstance(child, (Function, ast.ClassDef)):
                    self.nodes.append(child)
                if not isinstance(child, ast.Raise):
                    self._collect(child, inside or isinstance(child, Function))

    # --- looking around ---

    def find(self, kind: type[N]) -> Iterator[N]:
        """The editable nodes of one type."""
        return (node for node in self.nodes if isinstance(node, kind))

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Parent, grandparent, ... up to the module."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def within_function(self, node: ast.AST) -> Iterator[ast.AST]:
        """The ancestors below the innermost `def` around the node."""
        for ancestor in self.ancestors(node):
            if isinstance(ancestor, Function):
                return
            yield ancestor

    def function(self, node: ast.AST) -> Function | None:
        """The innermost `def` around the node."""
        return next((a for a in self.ancestors(node) if isinstance(a, Function)), None)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The innermost statement that holds the node, itself included."""
        return next((a for a in (node, *self.ancestors(node)) if isinstance(a, ast.stmt)), None)

    def loop(self, node: ast.AST) -> ast.For | ast.AsyncFor | ast.While | None:
        """The innermost loop around the node in its own function."""
        loops = (a for a in self.within_function(node) if isinstance(a, (ast.For, ast.AsyncFor, ast.While)))
        return next(loops, None)

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The list of statements that this one stands in."""
        for _, value in ast.iter_fields(self.parents[statement]):
            if isinstance(value, list) and any(item is statement for item in value):
                return value
        raise ValueError(f"line {statement.lineno}: the statement stands in no block")

    def drives_loop(self, node: ast.AST) -> bool:
        """True where an edit would rather hang the program than make it wrong: a `while` waits for this statement."""
        statement = self.statement(node)
        named = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)} if statement else set()
        for ancestor in (node, *self.within_function(node)):
            if isinstance(ancestor, ast.While):
                waits_for = {n.id for n in ast.walk(ancestor.test) if isinstance(n, ast.Name)}
                if not waits_for or waits_for & named:
                    return True
        return False

    # --- text of nodes ---

    def line_of(self, offset: int) -> int:
        """1-based number of the line that holds the character at `offset`."""
        return bisect_right(self._line_starts, offset)

    def line_start(self, offset: int) -> int:
        """Offset of the first character of the line that holds `offset`."""
        return self._line_starts[self.line_of(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Offset after the line break of the line that holds `offset`."""
        line = self.line_of(offset)
        return self._line_starts[line] if line < len(self._line_starts) else len(self.text)

    def indent(self, offset: int) -> str | None:
        """The white space before `offset` on its line, None where something else stands there too."""
        before = self.text[self.line_start(offset) : offset]
        return None if before.strip() else before

    def _offset(self, line: int, column: int) -> int:
        start = self._line_starts[line - 1]
        # Every character takes at least one byte, so `column` characters hold the bytes we want.
        return start + len(self.text[start : start + column].encode()[:column].decode())

    def span(self, node: Located) -> tuple[int, int]:
        """[start, end) of the node's text."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def outer(self, node: ast.expr) -> tuple[int, int]:
        """[start, end) of an operand with the parentheses around it; not meant for the arguments of a call."""
        start, end = self.span(node)
        parent = self.parents[node]
        low, high = self.span(parent) if isinstance(parent, (ast.expr, ast.stmt)) else (0, len(self.text))
        while True:
            before, after = self.text[low:start].rstrip(), self.text[end:high]
            closing = re.match(r"\s*\)", after)
            if not before.endswith("(") or closing is None:
                return start, end
            start, end = low + len(before) - 1, end + closing.end()

    def of(self, node: Located) -> str:
        """The node's text."""
        start, end = self.span(node)
        return self.text[start:end]

    # --- edits ---

    def replace(self, node: Located, text: str) -> Edit:
        return Edit(*self.span(node), text)

    def swap(self, left: tuple[int, int], right: tuple[int, int], gap: str) -> Iterator[Edit]:
        """Exchanges two spans, where nothing but `gap` and white space lies between them."""
        between = self.text[left[1] : right[0]]
        first, second = self.text[slice(*left)], self.text[slice(*right)]
        if between.strip() == gap and first != second:
            yield Edit(left[0], right[1], second + between + first)

    def operator(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Edit]:
        """Replaces the operator (`old` is a regular expression) between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = _COMMENT.sub(lambda m: " " * len(m[0]), self.text[start:end])
        for found in re.finditer(old, gap):
            yield Edit(start + found.start(), start + found.end(), new)

    def remove(self, statement: ast.stmt) -> Edit:
        """Deletes the statement's lines; leaves `pass` where the block would be empty or the line is shared."""
        start, end = self.span(statement)
        first, last = self.line_start(start), self.line_end(end)
        rest = _COMMENT.sub("", self.text[end:last])
        if self.indent(start) is None or rest.strip() or len(self.block(statement)) == 1:
            return Edit(start, end, "pass")
        return Edit(first, last, "")


def _is_prose(node: ast.AST) -> bool:
    """Docstrings and other bare constants, and the method whose text people only look at."""
    if isinstance(node, Function):
        return node.name == "__repr__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def called(call: ast.AST | None) -> str:
    """The last part of what is called: `range` for `range(n)`, `copy` for `rows.copy()`; "" for anything else."""
    if isinstance(call, ast.Call):
        if isinstance(call.func, ast.Name):
            return call.func.id
        if isinstance(call.func, ast.Attribute):
            return call.func.attr
    return ""
