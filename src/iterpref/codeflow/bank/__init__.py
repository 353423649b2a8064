"""The bank: tasks written for this package, one readable Python file each, under `tasks/<category>/<name>.py`.

A file is the instruction (its docstring), the reference solution, the line `MARK`, and the frozen unittest tests.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from functools import cache
from pathlib import Path

from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.errors import UserError
from iterpref.schema import Problem, SourceFile, TestSuite

MARK = "# --- tests ---"

_HERE = Path(__file__).parent
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def load_bank(root: Path = _HERE) -> list[Problem]:
    """Every task of `root/tasks/<category>/*.py`, sorted by task_id, with the splits of `root/splits.json`.

    Read once per process. Raises `UserError` for a broken task file, a broken splits.json, or one naming unknown tasks.
    """
    return list(_load(root))  # a list of the caller's own: the cached tuple stays as it is


@cache
def _load(root: Path) -> tuple[Problem, ...]:
    splits = _read_splits(root / "splits.json")
    paths = {_task_id(path): path for path in root.glob("tasks/*/*.py")}
    if unknown := sorted(splits.keys() - paths.keys()):
        raise UserError(
            f"{root / 'splits.json'}: every entry must be a task of the bank, but there is no file for "
            f"{', '.join(unknown)}; remove the entry or add tasks/<category>/<name>.py."
        )
    return tuple(read_task(paths[task_id], splits.get(task_id, "train")) for task_id in sorted(paths))


def read_task(path: Path, split: str = "train") -> Problem:
    """One task file as a `Problem`: prompt = instruction + signatures, reference `solution.py`, `test_solution.py`.

    Raises `UserError` with file and line when the file is not of the bank's form.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except SyntaxError as error:
        raise _broken(path, error.lineno or 1, f"expected valid Python, got a syntax error: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise _broken(path, 1, f"expected UTF-8 text: {error}") from error
    lines = text.split("\n")
    marks = [number for number, line in enumerate(lines, start=1) if line == MARK]
    if len(marks) != 1:
        raise _broken(path, marks[1] if marks else 1, f"expected the line {MARK!r} exactly once, found {len(marks)}")
    mark = marks[0]
    instruction = ast.get_docstring(tree, clean=False)
    if not instruction or not instruction.strip():
        raise _broken(path, 1, "expected the instruction as the module's docstring")
    body = tree.body[1:]
    solution = [node for node in body if node.lineno < mark]
    tests = [node for node in body if node.lineno > mark]

    used = {node.id for top in tests for node in ast.walk(top) if isinstance(node, ast.Name)}
    imported = sorted(used & {name for node in solution for name in _names(node)})
    if not imported:
        raise _broken(path, mark, "expected tests that use a top-level name of the solution, they use none")

    # Whatever stands between docstring and marker is the solution, comments included.
    reference = "\n".join(lines[tree.body[0].end_lineno : mark - 1]).strip("\n") + "\n"
    judge = f"from solution import {', '.join(imported)}\n\n" + "\n".join(lines[mark:]).strip("\n") + "\n"
    suite = (SourceFile("test_solution.py", judge),)
    n_tests = count_tests(suite)
    if n_tests == 0:
        raise _broken(path, mark, "expected test methods in a unittest.TestCase below the marker, found none")
    signatures = _Signatures(path, text).render(solution, used)
    return Problem(
        task_id=_task_id(path),
        prompt=f"{inspect.cleandoc(instruction)}\n\nUse this signature:\n\n```python\n{signatures}\n```",
        tests=TestSuite(suite, framework="unittest", n_tests=n_tests),
        reference=(SourceFile("solution.py", reference),),
        category=path.parent.name,
        split=split,
    )


def _task_id(path: Path) -> str:
    return f"bank/{path.parent.name}/{path.stem}"


def _broken(path: Path, line: int, problem: str) -> UserError:
    return UserError(f"{path}:{line}: {problem}; a task file is docstring, solution, {MARK!r}, tests.")


def _read_splits(path: Path) -> dict[str, str]:
    """{task_id: split} for the tasks that are not in train."""
    expected = f'{path}: expected {{"validation": [task_id, ...], "test": [task_id, ...]}}'
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{expected}, got {error}; restore the file.") from error
    if not isinstance(rows, dict) or set(rows) != {"validation", "test"}:
        raise UserError(f"{expected}, got {str(rows)[:80]}; use exactly these two keys.")
    splits: dict[str, str] = {}
    for split, task_ids in rows.items():
        if not isinstance(task_ids, list) or not all(isinstance(task_id, str) for task_id in task_ids):
            raise UserError(f"{expected}, got {str(task_ids)[:80]} for {split!r}; list task ids as strings.")
        for task_id in task_ids:
            if task_id in splits:
                raise UserError(
                    f"{path}: every task belongs to one split, but {task_id} is listed twice; keep one entry."
                )
            splits[task_id] = split
    return splits


def _names(node: ast.stmt) -> list[str]:
    """The names that a function, a class or an assignment binds; imports bind nothing of the solution's own."""
    if isinstance(node, (*_FUNCTION, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


class _Signatures:
    """What a user would show of a solution: headers without bodies, in the file's own formatting."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.encode("utf-8").split(b"\n")  # ast counts columns in UTF-8 bytes

    def render(self, solution: list[ast.stmt], used: set[str]) -> str:
        """Public functions and classes, and what they or the tests mention, in source order."""
        mentioned = set(used)
        blocks: list[str] = []
        # Backwards, because what a signature mentions (a constant, a type alias) stands above it.
        for node in reversed(solution):
            names = _names(node)
            public = isinstance(node, (*_FUNCTION, ast.ClassDef)) and not node.name.startswith("_")
            if not public and (isinstance(node, _FUNCTION) or mentioned.isdisjoint(names)):
                continue
            block = self._block(node)
            mentioned |= set(re.findall(r"\w+", block))
            blocks.append(block)
        return "\n\n".join(reversed(blocks))

    def _block(self, node: ast.stmt) -> str:
        if isinstance(node, _FUNCTION):
            return self._function(node, indent="")
        if not isinstance(node, ast.ClassDef):
            return self._slice(node, node)
        parts: list[ast.expr | ast.keyword] = [*node.bases, *node.keywords]
        arguments = ", ".join(self._slice(part, part) for part in parts)
        header = f"{self._decorators(node, '')}class {node.name}{f'({arguments})' if arguments else ''}:"
        members = [self._member(member) for member in node.body]
        return "\n".join([header, *filter(None, members)]) if any(members) else f"{header} ..."

    def _member(self, node: ast.stmt) -> str:
        indent = "    "
        if isinstance(node, _FUNCTION):
            dunder = node.name.startswith("__") and node.name.endswith("__")
            return indent + self._function(node, indent) if dunder or not node.name.startswith("_") else ""
        names = _names(node) if isinstance(node, (ast.Assign, ast.AnnAssign)) else []
        return indent + self._slice(node, node) if any(not name.startswith("_") for name in names) else ""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str) -> str:
        if node.returns is None:
            raise _broken(self._path, node.lineno, f"expected a fully typed signature, {node.name} has no return type")
        return f"{self._decorators(node, indent)}{self._slice(node, node.returns)}: ..."

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, indent: str) -> str:
        return "".join(f"@{self._slice(item, item)}\n{indent}" for item in node.decorator_list)

    def _slice(self, first: ast.stmt | ast.expr | ast.keyword, last: ast.stmt | ast.expr | ast.keyword) -> str:
        """The source from the start of `first` to the end of `last`."""
        assert last.end_lineno is not None
        rows = self._lines[first.lineno - 1 : last.end_lineno]
        rows[-1] = rows[-1][: last.end_col_offset]
        rows[0] = rows[0][first.col_offset :]
        return b"\n".join(rows).decode("utf-8")
