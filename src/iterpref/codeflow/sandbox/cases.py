"""Turns free-form checks into cases that are judged outside of the program's process, wherever their form allows it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Set
from typing import Any

from iterpref.codeflow.sandbox.compare import Close, Truth, Values
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
    `assert CALL is True | False | None`, `assert CALL`, `assert not CALL`, `assert math.isclose(CALL, NUMBER)` and
    `assert abs(CALL - NUMBER) < NUMBER`; a message is dropped. Imports in front of the checks go to the setup. All or nothing: a statement between two checks
    may matter to the second. Values agree as Python's `==` has it. A text that does not parse stays as it is: it fails
    where it runs.

    What leaves the sandbox must be the program's answer, not an opinion on it: a check that compares in there, as
    `assert all(a == b for a, b in zip(f(2), [4]))` or `assert isinstance(f(2), int)` do, would be judged by what the
    program itself can replace. Those stay `Asserts`, which are under seals.
    """
    asserts = Asserts(code, setup)
    try:
        statements = ast.parse(code).body
        of_tests = _bound([*ast.parse(setup).body, *statements])
    except (SyntaxError, ValueError, RecursionError):
        return asserts
    imports: list[str] = []
    calls: list[str] = []
    expected: list[Any] = []
    for statement in statements:
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and not calls:
            imports.append(ast.unparse(statement))
            continue
        case = _case(statement.test, of_tests) if isinstance(statement, ast.Assert) else None
        if case is None:
            return asserts
        calls.append(ast.unparse(case[0]))
        expected.append(case[1])
    if not calls:
        return asserts
    return FunctionCases(
        tuple(calls), tuple(expected), setup="\n".join([setup, *imports]).strip(), compare=Values("equal")
    )


def _case(test: ast.expr, of_tests: Set[str]) -> tuple[ast.expr, Any] | None:
    """(expression, expected value) of one check. `of_tests`: names that the tests themselves bind."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return (test.operand, Truth(False)) if _is_answer(test.operand, of_tests) else None
    if isinstance(test, ast.Call):
        return (test, Truth(True)) if _is_answer(test, of_tests) else _close(test, of_tests)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, right = test.left, test.comparators[0]
    if isinstance(test.ops[0], (ast.Lt, ast.LtE)):
        return _near(left, right, of_tests)
    if isinstance(test.ops[0], ast.Is) and isinstance(right, ast.Constant) and right.value in (True, False, None):
        return (ast.Compare(left, [ast.Is()], [right]), Truth(True)) if _is_answer(left, of_tests) else None
    if not isinstance(test.ops[0], ast.Eq):
        return None
    for expression, literal in ((left, right), (right, left)):
        if _calls(expression) and not _is_literal(expression) and not _compares(expression):
            try:
                value = _literal(literal)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
            # Of two possible answers an opinion is as good as a guess.
            return (expression, value) if not isinstance(value, bool) or _is_answer(expression, of_tests) else None
    return None


def _is_answer(expression: ast.expr, of_tests: Set[str]) -> bool:
    """Whether it is the program that says if this is true: a call of a function of its own, which compares nothing."""
    if not isinstance(expression, ast.Call) or _compares(expression):
        return False
    root = _root(expression)
    return bool(root) and root not in of_tests and not hasattr(builtins, root)


def _root(node: ast.expr) -> str:
    """The name that an expression starts from: `a` of `a.b(1).c`; "" where it starts from none."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _close(test: ast.Call, of_tests: Set[str]) -> tuple[ast.expr, Any] | None:
    """`math.isclose(CALL, NUMBER, rel_tol=..., abs_tol=...)`, either way round."""
    if ast.unparse(test.func) not in ("math.isclose", "isclose") or _root(test) not in of_tests or len(test.args) != 2:
        return None
    left, right = test.args
    try:
        tolerances = {str(keyword.arg): float(_literal(keyword.value)) for keyword in test.keywords}
        for expression, literal in ((left, right), (right, left)):
            if _calls(expression) and _is_literal(literal) and not _compares(expression):
                return expression, Close(float(_literal(literal)), **tolerances)
    except (ValueError, TypeError, OverflowError):
        pass
    return None


def _near(distance: ast.expr, most: ast.expr, of_tests: Set[str]) -> tuple[ast.expr, Any] | None:
    """`abs(CALL - NUMBER) < NUMBER`, or `<=`; also with the difference the other way round, and with `math.fabs`."""
    if not isinstance(distance, ast.Call) or len(distance.args) != 1 or distance.keywords:
        return None
    name, difference = ast.unparse(distance.func), distance.args[0]
    known = (name == "abs" and name not in of_tests) or (name == "math.fabs" and "math" in of_tests)
    if not known or not isinstance(difference, ast.BinOp) or not isinstance(difference.op, ast.Sub):
        return None
    try:
        for expression, literal in ((difference.left, difference.right), (difference.right, difference.left)):
            if _calls(expression) and _is_literal(literal) and not _compares(expression):
                return expression, Close(float(_literal(literal)), rel_tol=0.0, abs_tol=float(_literal(most)))
    except (ValueError, TypeError, OverflowError):
        pass
    return None


def _bound(statements: Iterable[ast.stmt]) -> frozenset[str]:
    """Names that the tests import, define or assign."""
    found: set[str] = set()
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


def _compares(expression: ast.expr) -> bool:
    return any(isinstance(node, ast.Compare) for node in ast.walk(expression))


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
