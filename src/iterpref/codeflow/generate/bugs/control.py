"""Bugs in guards, branches, jumps and exceptions. Each function yields every edit of its kind, in document order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from iterpref.codeflow.generate.bugs.source import Edit, Source

_JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def _is_elif(source: Source, node: ast.AST) -> bool:
    return isinstance(node, ast.If) and source.text.startswith("elif", source.span(node)[0])


def missing_guard(source: Source) -> Iterator[Edit]:
    """The LLM forgets an edge case: the `if` that returns, raises or continues early is not there."""
    for node in source.find(ast.If):
        guards = isinstance(node.body[-1], _JUMPS) and len(node.body) <= 2 and not node.orelse
        alone = len(source.block(node)) == 1
        if guards and not alone and not _is_elif(source, node) and not source.drives_loop(node):
            yield source.remove(node)


def _else_line(source: Source, node: ast.If) -> int:
    """Offset where the lines of the branch after `node.body` begin, be it `else` or `elif`."""
    if _is_elif(source, node.orelse[0]):
        return source.line_start(source.span(node.orelse[0])[0])
    start, end = source.span(node.body[-1])[1], source.span(node.orelse[0])[0]
    found = [m for m in re.finditer(r"#[^\r\n]*|\belse\b", source.text[start:end]) if m[0] == "else"]
    return source.line_start(start + found[0].start())


def dropped_else(source: Source) -> Iterator[Edit]:
    """The LLM handles one case and forgets the other: an `elif`, an `else`, or the second half of a conditional."""
    for node in source.nodes:
        if isinstance(node, ast.IfExp):
            yield source.replace(node, source.text[slice(*source.outer(node.body))])
        elif isinstance(node, ast.If):
            if _is_elif(source, node):
                start, end = source.span(node)
                following = _else_line(source, node) if node.orelse else source.line_end(end)
                yield Edit(source.line_start(start), following, "")
            if node.orelse and not _is_elif(source, node.orelse[0]):
                yield Edit(_else_line(source, node), source.line_end(source.span(node.orelse[-1])[1]), "")


def _atoms(test: ast.expr) -> Iterator[ast.expr]:
    """The single conditions that `and` and `or` join."""
    if isinstance(test, ast.BoolOp):
        for value in test.values:
            yield from _atoms(value)
    else:
        yield test


def negated_condition(source: Source) -> Iterator[Edit]:
    """The LLM asks the opposite question: `if seen` for `if not seen`, `in` for `not in`."""
    flips = {
        ast.In: ("in", "not in"),
        ast.NotIn: (r"not\s+in", "in"),
        ast.Is: ("is", "is not"),
        ast.IsNot: (r"is\s+not", "is"),
    }
    tests: list[ast.expr] = []
    for node in source.nodes:
        if isinstance(node, (ast.If, ast.IfExp)):
            tests.append(node.test)
        elif isinstance(node, ast.comprehension):
            tests += node.ifs
    for atom in (atom for test in tests for atom in _atoms(test)):
        if isinstance(atom, ast.UnaryOp) and isinstance(atom.op, ast.Not):
            yield source.replace(atom, source.text[slice(*source.outer(atom.operand))])
        elif isinstance(atom, ast.Compare) and len(atom.ops) == 1 and type(atom.ops[0]) in flips:
            yield from source.operator(atom.left, atom.comparators[0], *flips[type(atom.ops[0])])
        elif isinstance(atom, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            start, _ = source.span(atom)
            yield Edit(start, start, "not ")


def missing_condition(source: Source) -> Iterator[Edit]:
    """The LLM tests only part of a condition: one operand of an `and` or `or` is missing."""
    for node in source.find(ast.BoolOp):
        spans = [source.outer(value) for value in node.values]
        for i in range(len(spans)):
            yield Edit(spans[0][0], spans[1][0], "") if i == 0 else Edit(spans[i - 1][1], spans[i][1], "")


def early_return(source: Source) -> Iterator[Edit]:
    """The LLM returns at the wrong depth: inside the loop for after it, or outside the `if` that asked for it."""
    for node in source.find(ast.Return):
        block, parent = source.block(node), source.parents[node]
        place = next(i for i, statement in enumerate(block) if statement is node)
        before = block[place - 1] if place else None
        align: ast.stmt | None = None
        if isinstance(before, (ast.For, ast.AsyncFor, ast.While)) and not before.orelse:
            align = before.body[0]
        elif before is not None and isinstance(parent, ast.If) and not parent.orelse and not source.drives_loop(node):
            align = parent if source.loop(node) else None
        start, _ = source.span(node)
        indent = source.indent(source.span(align)[0]) if align else None
        if indent is not None and source.indent(start) is not None:
            yield Edit(source.line_start(start), start, indent)


def wrong_jump(source: Source) -> Iterator[Edit]:
    """The LLM stops at the first item that it should skip, or skips where it should stop."""
    for node in source.nodes:
        if isinstance(node, ast.Continue):
            yield source.replace(node, "break")
        elif isinstance(node, ast.Break) and isinstance(source.loop(node), ast.For):
            yield source.replace(node, "continue")


def swallowed_exception(source: Source) -> Iterator[Edit]:
    """The LLM hides a failure: `None` for an exception, or a handler that does nothing."""
    for node in source.nodes:
        if isinstance(node, ast.Raise):
            yield source.replace(node, "pass" if isinstance(source.parents[node], ast.ExceptHandler) else "return None")
        elif isinstance(node, ast.ExceptHandler) and not isinstance(node.body[0], (ast.Raise, ast.Pass)):
            yield Edit(source.span(node.body[0])[0], source.span(node.body[-1])[1], "pass")


def missing_return(source: Source) -> Iterator[Edit]:
    """The LLM computes the answer with a call, often a recursive one, and does not return it."""
    for node in source.find(ast.Return):
        if isinstance(node.value, ast.Call):
            yield Edit(source.span(node)[0], source.outer(node.value)[0], "")
