"""Which variables a function has, since when, and which are alike: what a wrong name could have been."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from iterpref.codeflow.generate.bugs.source import Function, Source, called

_ALIKE = {
    "int": "number", "float": "number", "len": "number", "sum": "number", "abs": "number", "round": "number",
    "list": "list", "sorted": "list", "split": "list", "dict": "dict", "defaultdict": "dict", "Counter": "dict",
    "set": "set", "frozenset": "set", "str": "str", "strip": "str", "lower": "str", "upper": "str", "join": "str",
    "Sequence": "list", "Iterable": "list", "Mapping": "dict", "range": "number",
}  # fmt: skip
_DISPLAYS: dict[type, str] = {
    ast.List: "list", ast.ListComp: "list", ast.Dict: "dict", ast.DictComp: "dict", ast.Set: "set", ast.SetComp: "set",
    ast.BinOp: "number", ast.JoinedStr: "str", ast.Compare: "bool", ast.Tuple: "tuple",
}  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """`ready`: offset from which on it has a value. `family`: variables of one family are easily confused."""

    name: str
    ready: int
    family: str


def _family_of_type(annotation: ast.expr) -> str:
    head = ast.unparse(annotation).split("[")[0]
    return _ALIKE.get(head, head)


def _family_of_value(value: ast.expr | None) -> str:
    if isinstance(value, ast.Constant):
        kind = type(value.value).__name__
        return _ALIKE.get(kind, kind)
    if isinstance(value, ast.Call):
        return _ALIKE.get(called(value), called(value))
    return _DISPLAYS.get(type(value), "other")


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, those of inner functions, classes and comprehensions left out."""
    inner = (Function, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, inner):
            yield child
            yield from _own(child)


def _targets(target: ast.expr, ready: int, family: str) -> Iterator[Variable]:
    if isinstance(target, ast.Name):
        yield Variable(target.id, ready, family)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            # Names unpacked together are confused with each other.
            yield from _targets(element, ready, f"unpacked at {ready}")


def _bindings(source: Source, function: Function) -> Iterator[Variable]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg not in ("self", "cls"):
            family = _family_of_type(argument.annotation) if argument.annotation else "parameter"
            yield Variable(argument.arg, source.span(function.body[0])[0], family)
    for node in _own(function):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _targets(node.target, source.span(node)[1], _family_of_type(node.annotation))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _targets(target, source.span(node)[1], _family_of_value(node.value))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            family = "number" if called(node.iter) == "range" else "item"
            yield from _targets(node.target, source.span(node.body[0])[0], family)


@lru_cache(maxsize=64)
def variables_of(source: Source, function: Function) -> tuple[Variable, ...]:
    """Parameters and locals of a function by their first binding, in the order in which they are bound."""
    found: dict[str, Variable] = {}
    for variable in _bindings(source, function):
        found.setdefault(variable.name, variable)
    return tuple(found.values())


def _attributes(function: Function) -> Iterator[Variable]:
    types = {a.arg: a.annotation for a in (*function.args.args, *function.args.kwonlyargs)}
    for node in _own(function):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
        if annotation is None and isinstance(node.value, ast.Name):
            annotation = types.get(node.value.id)
        family = _family_of_type(annotation) if annotation else _family_of_value(node.value)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                yield Variable(target.attr, 0, family)


@lru_cache(maxsize=64)
def fields_of(owner: ast.ClassDef) -> tuple[Variable, ...]:
    """The data attributes of a class: annotated in its body, or set on `self` in `__init__`."""
    found: dict[str, Variable] = {}
    for statement in owner.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            found.setdefault(name, Variable(name, 0, _family_of_type(statement.annotation)))
        elif isinstance(statement, Function) and statement.name == "__init__":
            for variable in _attributes(statement):
                found.setdefault(variable.name, variable)
    return tuple(found.values())
