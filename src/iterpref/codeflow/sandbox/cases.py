"""Turns free-form checks into cases that are judged outside of the program's process, wherever their form allows it."""

from __future__ import annotations

import ast
from typing import Any

from iterpref.codeflow.sandbox.compare import Truth, Values
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases

CONSTRUCTORS = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "list": list,
    "dict": dict,
    "float": float,
    "complex": complex,
}


def split(code: str, setup: str = "") -> FunctionCases | Asserts:
    """`FunctionCases` when every statement of `code` compares an expression with a literal, else `Asserts`.

    The forms, `CALL` being an expression with a call in it: `assert CALL == LITERAL` either way round,
    `assert CALL is True | False | None`, `assert CALL` and `assert not CALL`; a message is dropped. Imports in front of
    the checks go to the setup. All or nothing: a statement between two checks may matter to the second. Values agree
    as Python's `==` has it. A text that does not parse stays as it is: it fails where it runs.
    """
    asserts = Asserts(code, setup)
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError):
        return asserts
    imports: list[str] = []
    calls: list[str] = []
    expected: list[Any] = []
    for statement in statements:
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and not calls:
            imports.append(ast.unparse(statement))
            continue
        case = _case(statement.test) if isinstance(statement, ast.Assert) else None
        if case is None:
            return asserts
        calls.append(ast.unparse(case[0]))
        expected.append(case[1])
    if not calls:
        return asserts
    return FunctionCases(
        tuple(calls), tuple(expected), setup="\n".join([setup, *imports]).strip(), compare=Values("equal")
    )


def _case(test: ast.expr) -> tuple[ast.expr, Any] | None:
    """(expression, expected value) of one check."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and _calls(test.operand):
        return test.operand, Truth(False)
    if isinstance(test, ast.Call) and _calls(test):
        return test, Truth(True)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, right = test.left, test.comparators[0]
    if isinstance(test.ops[0], ast.Is) and isinstance(right, ast.Constant) and right.value in (True, False, None):
        return (ast.Compare(left, [ast.Is()], [right]), Truth(True)) if _calls(left) else None
    if not isinstance(test.ops[0], ast.Eq):
        return None
    for expression, literal in ((left, right), (right, left)):
        if _calls(expression) and not _is_literal(expression):
            try:
                return expression, _literal(literal)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
    return None


def _calls(expression: ast.expr) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(expression))


def _is_literal(expression: ast.expr) -> bool:
    try:
        _literal(expression)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def _literal(node: ast.expr) -> Any:
    """The value of a literal, of `set([...])` and its like included; raises ValueError for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONSTRUCTORS:
        if node.keywords or len(node.args) > 2:
            raise ValueError("no literal")
        return CONSTRUCTORS[node.func.id](*(_literal(argument) for argument in node.args))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_literal(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("no literal")
        keys = [_literal(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_literal, node.values), strict=True))
    return ast.literal_eval(node)
