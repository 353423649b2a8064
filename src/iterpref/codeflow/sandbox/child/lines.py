"""Line coverage of the solution: which of its executable lines ran."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Coverage:
    """Watches the code objects of the solution's files from `start` on.

    `executable[path]` holds the lines that carry bytecode, docstrings left out.
    """

    def __init__(self) -> None:
        self.executable: dict[str, set[int]] = {}
        self._run: dict[str, set[int]] = {}

    def add(self, path: str, tree: ast.Module, code: CodeType) -> None:
        self.executable[path] = _lines(code) - _docstrings(tree) - {0}
        self._run[path] = set()

    def start(self) -> None:
        if sys.version_info >= (3, 12):
            _monitor(self._run)
        else:
            import threading  # here: a run without coverage need not pay for it

            tracer = _tracer(self._run)
            sys.settrace(tracer)
            threading.settrace(tracer)

    def counts(self) -> tuple[int, int]:
        """(executable lines that ran, executable lines)"""
        if sys.version_info < (3, 12):
            sys.settrace(None)
        run = sum(len(self._run[path] & lines) for path, lines in self.executable.items())
        return run, sum(len(lines) for lines in self.executable.values())


def _monitor(run: Mapping[str, set[int]]) -> None:
    """Python 3.12 on: each line calls back once and then costs nothing."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    tool = monitoring.COVERAGE_ID

    def on_line(code: CodeType, line: int) -> Any:
        lines = run.get(code.co_filename)
        if lines is not None:
            lines.add(line)
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "iterpref")
    monitoring.register_callback(tool, monitoring.events.LINE, on_line)
    monitoring.set_events(tool, monitoring.events.LINE)


def _tracer(run: Mapping[str, set[int]]) -> Callable[[FrameType, str, Any], Any]:
    """Python 3.11: a trace function that leaves frames of other files alone."""

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        lines = run.get(frame.f_code.co_filename)
        if lines is None:
            return None
        lines.add(frame.f_lineno)
        return trace

    return trace


def _lines(code: CodeType) -> set[int]:
    found = {line for _, _, line in code.co_lines() if line is not None}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _lines(constant)
    return found


def _docstrings(tree: ast.Module) -> set[int]:
    """Lines of docstrings: modules and classes store them with bytecode that says nothing about the tests."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found
