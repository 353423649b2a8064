"""Compiles what checks a program: its comparisons show the probe their values first.

Our own process compiles a suite once, for all versions that run on it, and sends the code along.
"""

from __future__ import annotations

import ast
import opcode
from collections.abc import Collection
from types import CodeType

PROBE = "__probe__"  # the name under which a test module finds the probe
METHODS: dict[type[ast.cmpop], str] = {ast.Eq: "equal", ast.In: "within"}
COMPARING = frozenset({opcode.opmap["COMPARE_OP"], opcode.opmap["CONTAINS_OP"]})


def label(name: str) -> str:
    """The file name in tracebacks of a test file."""
    return f"<tests>/{name}"


def compile_checks(name: str, text: str, hidden: Collection[str] = ()) -> CodeType:
    """Raises SyntaxError, ValueError (NUL), RecursionError or MemoryError (nested too deeply).

    `hidden`: builtins that the checks mean, and that functions of the program stand before.
    """
    source = text.encode("utf-8")
    code = compile(source, label(name), "exec", dont_inherit=True)
    if hidden or _compares(code):
        tree = ast.fix_missing_locations(_ProbeComparisons(hidden).visit(ast.parse(source, label(name))))
        code = compile(tree, label(name), "exec", dont_inherit=True)
    return code


def _compares(code: CodeType) -> bool:
    """Whether a comparison may be among the instructions: most suites leave them to unittest's own methods, and need
    not be compiled again."""
    # Instructions lie at even places; what looks like one at an inline cache's place costs a second look, no more.
    return not COMPARING.isdisjoint(code.co_code[::2]) or any(
        _compares(constant) for constant in code.co_consts if isinstance(constant, CodeType)
    )


class _ProbeComparisons(ast.NodeTransformer):
    """`a == b` becomes `__probe__.equal(a, b)`, for a bare `assert` and `assertTrue` see no values otherwise; an order, or a
    chain of comparisons, has its values shown one by one. So has a difference, as of `abs(f(x) - y) < 1e-6` the comparison
    sees what the values made of it."""

    def __init__(self, hidden: Collection[str]) -> None:
        self._hidden = hidden

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._hidden or not isinstance(node.ctx, ast.Load):
            return node
        return ast.copy_location(_of_probe("builtins", node.id), node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        method = METHODS.get(type(node.ops[0])) if len(node.ops) == 1 else None
        if method is not None:
            return _asked(node, method, node.left, node.comparators[0])
        if any(isinstance(op, (ast.Eq, ast.In, ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for op in node.ops):
            node.left = _probed(node.left)
            node.comparators = [_probed(value) for value in node.comparators]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        plain = isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)
        return _asked(node, "minus", node.left, node.right) if isinstance(node.op, ast.Sub) and not plain else node


def _asked(node: ast.expr, method: str, left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(func=_of_probe(method), args=[left, right], keywords=[]), node)


def _of_probe(*names: str) -> ast.expr:
    found: ast.expr = ast.Name(id=PROBE, ctx=ast.Load())
    for name in names:
        found = ast.Attribute(value=found, attr=name, ctx=ast.Load())
    return found


def _probed(value: ast.expr) -> ast.expr:
    if isinstance(value, ast.Constant):
        return value
    call = ast.Call(func=ast.Name(id=PROBE, ctx=ast.Load()), args=[value], keywords=[])
    return ast.copy_location(call, value)
