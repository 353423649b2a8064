"""The program in an answer, as the harnesses of EvalPlus, BigCodeBench and LiveCodeBench find it.

The rules are theirs, faults included, as a score depends on them: what is decorated, assigned to several names at once,
or a function without a `return` is lost when nothing but definitions is kept.
"""

from __future__ import annotations

import ast
import warnings

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def sanitize(text: str, entry_point: str) -> str:
    """EvalPlus: the longest run of lines that parses; of it the imports, and the definitions that `entry_point` needs."""
    code = longest_run(text)
    tree = _parse(code)
    if tree is None:
        return code
    imports: list[ast.stmt] = []
    definitions: dict[str, Definition] = {}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.append(node)
        elif (name := _defined(node)) is not None and name not in definitions:
            assert isinstance(node, Definition)
            definitions[name] = node
    names = _reached(entry_point, {name: _identifiers(node) for name, node in definitions.items()})
    kept = [*imports, *(node for name, node in definitions.items() if name in names)]
    return "\n".join(ast.get_source_segment(code, node) or "" for node in kept)


def longest_run(text: str) -> str:
    """Of all runs of at least two lines that parse, the first one with the most lines that are not blank; else the first line."""
    lines = text.split("\n")
    filled = [0]
    for line in lines:
        filled.append(filled[-1] + bool(line.strip()))
    runs = [
        (filled[last + 1] - filled[first], first, last)
        for first in range(len(lines))
        if _may_begin(lines[first])
        for last in range(first + 1, len(lines))
    ]
    # Most lines first, so that the first that parses is the answer.
    for count, first, last in sorted(runs, key=lambda run: (-run[0], run[1], run[2])):
        if count and _parse(code := "\n".join(lines[first : last + 1])) is not None:
            return code
    return lines[0]


def last_fence(text: str) -> str:
    """LiveCodeBench: the lines between the last two that hold a fence; empty when there are fewer than two."""
    lines = text.split("\n")
    fences = [i for i, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


def _may_begin(line: str) -> bool:
    return not line.strip() or not line[0].isspace()


def _parse(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape is the model's business
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defined(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef):
        return None if node.decorator_list else node.name
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        returns = any(isinstance(inner, ast.Return) for inner in ast.walk(node))
        return node.name if returns and not node.decorator_list else None
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    return target.id if isinstance(target, ast.Name) else None


def _identifiers(node: ast.AST) -> set[str]:
    """Every name in the text of the node, attributes and parameters included."""
    found: set[str] = set()
    for inner in ast.walk(node):
        for key in ("id", "attr", "arg", "name"):
            value = getattr(inner, key, None)
            if isinstance(value, str):
                found.add(value)
    return found


def _reached(entry_point: str, uses: dict[str, set[str]]) -> set[str]:
    reached, waiting = {entry_point}, [entry_point]
    while waiting:
        for name in uses.get(waiting.pop(), ()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached
