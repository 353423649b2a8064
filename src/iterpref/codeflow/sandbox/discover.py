"""Counts the tests of a suite without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from iterpref.errors import UserError
from iterpref.schema import SourceFile

ROOTS = frozenset({"TestCase", "IsolatedAsyncioTestCase"})


def count_tests(files: Sequence[SourceFile]) -> int:
    """Number of test methods that `unittest` would run: those of the module-level TestCase classes of the files.

    Inherited methods count once for every class that inherits them. Base classes are found by name over all the
    files. Tests made while the module runs (`setattr` in a loop) are invisible here. Raises `UserError` when a file
    does not parse.
    """
    modules = [list(_classes(_parse(file).body)) for file in files if file.name.endswith(".py")]
    known = {node.name: node for classes in modules for node in classes}
    total = 0
    for classes in modules:
        # A second class of the same name replaces the first one in its module.
        for node in {node.name: node for node in classes}.values():
            if _is_test_case(node, known, frozenset()):
                total += len(_methods(node, known, frozenset()))
    return total


def _parse(file: SourceFile) -> ast.Module:
    try:
        return ast.parse(file.text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UserError(f"test file {file.name!r}: expected Python source, got {error}; mend the suite") from error


def _classes(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for name in ("body", "orelse", "finalbody"):
                yield from _classes(getattr(node, name, []))


def _bases(node: ast.ClassDef) -> list[str]:
    names = []
    for base in node.bases:
        if isinstance(base, ast.Attribute):
            names.append(base.attr)
        elif isinstance(base, ast.Name):
            names.append(base.id)
    return names


def _is_test_case(node: ast.ClassDef, known: dict[str, ast.ClassDef], seen: frozenset[str]) -> bool:
    if node.name in seen:
        return False
    seen |= {node.name}
    return any(_is_test_case(known[base], known, seen) if base in known else base in ROOTS for base in _bases(node))


def _methods(node: ast.ClassDef, known: dict[str, ast.ClassDef], seen: frozenset[str]) -> set[str]:
    if node.name in seen:
        return set()
    found = {
        item.name
        for item in node.body
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and item.name.startswith("test")
    }
    for base in _bases(node):
        if base in known:
            found |= _methods(known[base], known, seen | {node.name})
    return found
