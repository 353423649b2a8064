"""Bugs in numbers and their operators. Each function yields every edit of its kind, in document order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from decimal import Decimal

from iterpref.codeflow.generate.bugs.source import Edit, Source, called

_TEXT: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>", ast.And: "and", ast.Or: "or",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_OPERATORS = {
    "+": "-", "-": "+", "*": "+", "/": "//", "//": "/", "%": "//", "**": "*",
    "&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<", "and": "or", "or": "and",
}  # fmt: skip
_COMPARISONS = {
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",),
}  # fmt: skip
# What a number is taken for when two units or conventions are mixed up.
_MIX_UPS = {
    7: "5",
    12: "10",
    24: "12",
    60: "100",
    100: "10",
    360: "365",
    365: "360",
    1000: "1024",
    1024: "1000",
    3600: "60",
}
_TIGHT = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.List, ast.Tuple)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


def _integer(node: ast.AST | None) -> int | None:
    """The value of an integer literal, its sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _integer(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _shifted(source: Source, node: ast.expr, delta: int) -> str:
    """The text of `node + delta`, as short as a person would write it: `n - 1` shifted by 1 is `n`."""
    value = _integer(node)
    if value is not None:
        return str(value + delta)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        step = _integer(node.right)
        if step is not None:
            left = source.text[slice(*source.outer(node.left))]
            total = delta + (step if isinstance(node.op, ast.Add) else -step)
            return left if total == 0 else f"{left} {'+' if total > 0 else '-'} {abs(total)}"
    simple = isinstance(node, _TIGHT) or (isinstance(node, ast.BinOp) and isinstance(node.op, _ARITHMETIC))
    text = source.of(node) if simple else f"({source.of(node)})"
    return f"{text} {'+' if delta > 0 else '-'} {abs(delta)}"


def off_by_one(source: Source) -> Iterator[Edit]:
    """The LLM counts one too far or one too short: in a range, an enumeration, a threshold or a `+ 1`."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name):
            if node.func.id == "range":
                stop = node.args[min(1, len(node.args) - 1)]
                yield source.replace(stop, _shifted(source, stop, -1))
                yield source.replace(stop, _shifted(source, stop, 1))
                if len(node.args) > 1:
                    yield source.replace(node.args[0], _shifted(source, node.args[0], 1))
            elif node.func.id == "enumerate" and len(node.args) == 1:
                start = next((k.value for k in node.keywords if k.arg == "start"), None)
                if start is not None:
                    yield source.replace(start, _shifted(source, start, -1))
                elif not isinstance(node.args[0], ast.GeneratorExp):
                    end = source.span(node.args[0])[1]
                    yield Edit(end, end, ", 1")
            elif node.func.id == "enumerate":
                yield source.replace(node.args[1], _shifted(source, node.args[1], -1))
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            bound = node.comparators[0]
            if (_integer(bound) or 0) > 1:
                yield source.replace(bound, _shifted(source, bound, 1))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and _integer(node.right) == 1:
            if isinstance(source.parents[node], ast.Slice) or source.drives_loop(node):
                continue
            yield source.replace(node, _shifted(source, node, -1 if isinstance(node.op, ast.Add) else 1))


def slice_boundary(source: Source) -> Iterator[Edit]:
    """The LLM takes one element too many or too few in a slice."""
    for node in source.find(ast.Slice):
        if node.lower is None and node.upper is not None and node.step is None:
            start = source.span(node)[0]
            yield Edit(start, start, "1")
        for bound in (node.lower, node.upper):
            if bound is not None:
                for delta in (1, -1):
                    # Past 0 an index counts from the other end: nobody slips by that much.
                    if _integer(bound) != (0 if delta == -1 else -1):
                        yield source.replace(bound, _shifted(source, bound, delta))


def wrong_comparison(source: Source) -> Iterator[Edit]:
    """The LLM confuses strict and inclusive, turns a comparison round, or tests for the opposite."""
    for node in source.find(ast.Compare):
        waits = any(isinstance(a, ast.While) and a.test is node for a in source.within_function(node))
        operands = [node.left, *node.comparators]
        for left, op, right in zip(operands, node.ops, node.comparators, strict=False):
            old = _TEXT.get(type(op), "")
            for new in _COMPARISONS.get(old, ())[: 1 if waits else None]:
                yield from source.operator(left, right, old, new)


def _is_text(node: ast.expr) -> bool:
    """Operands that have no arithmetic: there another operator only ever raises."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return (
        text or isinstance(node, (ast.JoinedStr, ast.List, ast.ListComp, ast.Tuple)) or called(node) in ("str", "join")
    )


def wrong_operator(source: Source) -> Iterator[Edit]:
    """The LLM writes a neighbouring operator: `+` for `-`, `/` for `//`, `or` for `and`."""
    for node in source.nodes:
        if isinstance(node, ast.BoolOp):
            old = _TEXT[type(node.op)]
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from source.operator(left, right, rf"\b{old}\b", _OPERATORS[old])
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _TEXT and not source.drives_loop(node):
            left = node.left if isinstance(node, ast.BinOp) else node.target
            right = node.right if isinstance(node, ast.BinOp) else node.value
            old = _TEXT[type(node.op)]
            if not _is_text(left) and not _is_text(right):
                pattern = "".join(f"\\{character}" for character in old)
                yield from source.operator(left, right, pattern, _OPERATORS[old])


def swapped_operands(source: Source) -> Iterator[Edit]:
    """The LLM subtracts or divides the wrong way round."""
    for node in source.find(ast.BinOp):
        directed = isinstance(node.op, (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow))
        # `a - b - c` swapped as text would be `c - a - b`: another mistake than this one.
        if (
            directed
            and not isinstance(node.left, ast.BinOp)
            and not _is_text(node.left)
            and not source.drives_loop(node)
        ):
            yield from source.swap(source.outer(node.left), source.outer(node.right), _TEXT[type(node.op)])


def wrong_constant(source: Source) -> Iterator[Edit]:
    """The LLM remembers a conversion factor or a rate wrongly: 100 seconds a minute, 0.02 for 0.2."""
    for node in source.nodes:
        operands: tuple[ast.expr, ...] = ()
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)):
            operands = (node.left, node.right)
        for operand in operands:
            yield from _misremembered(source, operand)
    for statement in source.tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            yield from _misremembered(source, statement.value)


def _misremembered(source: Source, node: ast.expr) -> Iterator[Edit]:
    if not isinstance(node, ast.Constant):
        return
    if type(node.value) is int and node.value > 1:
        yield source.replace(node, _MIX_UPS.get(node.value, str(node.value + 1)))
    elif type(node.value) is float and node.value != 0:
        yield source.replace(node, str(Decimal(repr(node.value)) / 10))
