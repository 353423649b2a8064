"""The program in an answer, as the harnesses of EvalPlus, BigCodeBench and LiveCodeBench find it.

The rules are theirs, faults included, as a score depends on them: of a program whose function is decorated, say, nothing but
the imports is left. All of the text is judged where nothing would be left.
"""

from __future__ import annotations

import ast

from iterpref.codeflow.code import tree_of

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def evalplus_program(text: str, entry_point: str) -> str:
    """EvalPlus: the longest run of lines that parses; of it the imports, and the definitions that `entry_point` needs,
    functions without a `return` aside."""
    code = longest_run(text)
    return _needed(code, entry_point, returning=True).strip() or code


def bigcodebench_program(text: str, entry_point: str) -> str:
    """BigCodeBench: as EvalPlus, with any function; lines at the end that are not indented and name `entry_point` go."""
    lines = _needed(longest_run(text.strip()), entry_point, returning=False).splitlines()
    end = len(lines)
    for i in reversed(range(len(lines))):
        if lines[i].startswith(" "):
            break
        if entry_point in lines[i]:
            end = i
    return "\n".join(lines[:end]).strip() or longest_run(text)


def _needed(code: str, entry_point: str, returning: bool) -> str:
    """Imports first, then, in their order, the definitions that are reached from `entry_point`; "" for what does not parse."""
    tree = tree_of(code)
    imports: list[ast.stmt] = []
    definitions: dict[str, Definition] = {}
    for node in tree.body if tree else ():
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
            imports.append(node)
        elif isinstance(node, Definition) and (name := _defined(node, returning)) and name not in definitions:
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
        if count and tree_of(code := "\n".join(lines[first : last + 1])) is not None:
            return code
    return lines[0]


def last_fence(text: str) -> str:
    """LiveCodeBench: the lines between the last two that hold a fence; empty when there are fewer than two."""
    lines = text.split("\n")
    fences = [i for i, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


def _may_begin(line: str) -> bool:
    return not line.strip() or not line[0].isspace()


def _defined(node: Definition, returning: bool) -> str | None:
    """The name by which the harnesses know a definition; None for what they do not take for one."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.decorator_list:
            return None
        lost = returning and not isinstance(node, ast.ClassDef)
        return node.name if not lost or any(isinstance(inner, ast.Return) for inner in ast.walk(node)) else None
    # Of an assignment the first bare name: in `a.b = c` that is c.
    sides = [node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value]
    return next((side.id for side in sides if isinstance(side, ast.Name)), None)


def _identifiers(node: ast.AST) -> set[str]:
    """Every name in the text of the node, attributes and parameters included."""
    found: set[str] = set()
    for inner in ast.walk(node):
        for key in ("id", "attr", "arg", "name", "asname", "module", "rest"):
            if isinstance(value := getattr(inner, key, None), str):
                found.update(value.split("."))
        if isinstance(inner, (ast.Global, ast.Nonlocal)):
            found.update(inner.names)
    return found


def _reached(entry_point: str, uses: dict[str, set[str]]) -> set[str]:
    reached, waiting = {entry_point}, [entry_point]
    while waiting:
        for name in uses.get(waiting.pop(), ()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached
