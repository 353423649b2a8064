"""Bugs in what is done to a value on its way. Each function yields every edit of its kind, in document order."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from iterpref.codeflow.generate.bugs.source import Edit, Source, called

_CASTS = frozenset({"int", "float", "str", "bool", "abs", "round", "list", "tuple", "set", "Decimal", "Fraction"})
_CLEANERS = frozenset(
    {
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "casefold",
        "title",
        "capitalize",
        "removeprefix",
        "removesuffix",
        "splitlines",
    }
)
_ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.JoinedStr, ast.GeneratorExp)
_DISPLAYS = (ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Set, ast.SetComp)
_OPEN = (ast.Assign, ast.AnnAssign, ast.Return, ast.Call, ast.keyword, ast.List, ast.Dict, ast.Tuple)


def _bare(source: Source, call: ast.Call, argument: ast.expr) -> str:
    """An argument as it must be written when the call around it goes."""
    text = source.of(argument)
    closed = isinstance(argument, (*_ATOMS, *_DISPLAYS))
    plain = isinstance(source.parents[call], _OPEN) and "\n" not in text and "\r" not in text
    return text if closed or plain else f"({text})"


def missing_conversion(source: Source) -> Iterator[Edit]:
    """The LLM forgets to convert or to clean a value: `int(...)`, `round(...)`, `.strip()`, `.lower()`."""
    for node in source.find(ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _CASTS and node.args:
            if not isinstance(node.args[0], ast.Starred):
                yield source.replace(node, _bare(source, node, node.args[0]))
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _CLEANERS:
            yield Edit(source.outer(node.func.value)[1], source.span(node)[1], "")


def missing_default(source: Source) -> Iterator[Edit]:
    """The LLM forgets that there may be nothing: `d.get(k)` for `d.get(k, 0)`, `max(xs)` for `max(xs, default=0)`."""
    for node in source.find(ast.Call):
        if called(node) in ("get", "pop", "next", "getattr") and len(node.args) > 1:
            keeps, default = node.args[-2], node.args[-1]
        elif called(node) in ("min", "max", "sum") and node.args and node.keywords and node.keywords[-1].arg != "key":
            keeps, default = (*node.args, *(k.value for k in node.keywords))[-2:]
        else:
            continue
        yield Edit(source.span(keeps)[1], source.span(default)[1], "")


def wrong_sort(source: Source) -> Iterator[Edit]:
    """The LLM sorts by the wrong thing or in the wrong direction: no `key`, no tie-break, no `reverse`."""
    for node in source.nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and source.of(node.slice) == "::-1":
            yield source.replace(node, source.of(node.value))
        elif isinstance(node, ast.Call) and called(node) == "reversed" and len(node.args) == 1:
            yield source.replace(node, _bare(source, node, node.args[0]))
        elif isinstance(node, ast.Call) and called(node) in ("sorted", "sort", "min", "max"):
            yield from _wrong_order(source, node)


def _without(source: Source, parts: Sequence[ast.expr | ast.keyword], i: int) -> Edit:
    """Drops one of several comma-separated parts, and the comma with it."""
    start, end = source.span(parts[i])
    if i > 0:
        return Edit(source.span(parts[i - 1])[1], end, "")
    return Edit(start, source.span(parts[1])[0] if len(parts) > 1 else end, "")


def _wrong_order(source: Source, call: ast.Call) -> Iterator[Edit]:
    parts: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    names = [part.arg if isinstance(part, ast.keyword) else "" for part in parts]
    for i, part in enumerate(parts):
        if isinstance(part, ast.keyword) and part.arg in ("key", "reverse"):
            yield _without(source, parts, i)
            if isinstance(part.value, ast.Lambda):
                yield from _wrong_key_function(source, part.value.body)
    # `**options` has the name None, and may hold a direction.
    if called(call) in ("sorted", "sort") and "reverse" not in names and None not in names:
        if not parts:
            end = source.span(call)[1] - 1
            yield Edit(end, end, "reverse=True")
        elif not isinstance(parts[-1], ast.GeneratorExp):
            end = source.span(parts[-1])[1]
            yield Edit(end, end, ", reverse=True")


def _wrong_key_function(source: Source, body: ast.expr) -> Iterator[Edit]:
    elements = body.elts if isinstance(body, ast.Tuple) else [body]
    for element in elements:
        if isinstance(element, ast.UnaryOp) and isinstance(element.op, ast.USub):
            yield source.replace(element, source.text[slice(*source.outer(element.operand))])
    if isinstance(body, ast.Tuple) and len(elements) > 1:
        yield _without(source, elements, len(elements) - 1)
        yield from source.swap(source.span(elements[0]), source.span(elements[1]), ",")
