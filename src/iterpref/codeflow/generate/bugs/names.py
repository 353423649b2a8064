"""Bugs in which name, key, method or place is meant. Each function yields every edit of its kind, in document order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from iterpref.codeflow.generate.bugs.scope import Variable, fields_of, variables_of
from iterpref.codeflow.generate.bugs.source import Edit, Source, called

_SYMMETRIC = frozenset(
    {"isinstance", "issubclass", "min", "max", "gcd", "lcm", "hypot", "isclose", "print", "zip", "Decimal"}
)
_METHODS = {
    "append": "extend", "extend": "append", "appendleft": "append", "popleft": "pop", "startswith": "endswith",
    "endswith": "startswith", "keys": "values", "values": "keys", "lstrip": "rstrip", "rstrip": "lstrip",
    "find": "rfind", "rfind": "find", "upper": "lower", "lower": "upper",
    "issubset": "issuperset", "issuperset": "issubset",
    "union": "intersection", "intersection": "union", "ceil": "floor", "floor": "ceil", "isalpha": "isalnum",
    "isdigit": "isalnum", "isalnum": "isalpha", "isupper": "islower", "islower": "isupper", "split": "rsplit",
    "rsplit": "split", "partition": "rpartition", "rpartition": "partition", "bisect_left": "bisect_right",
    "bisect_right": "bisect_left", "match": "search", "search": "match", "fullmatch": "match", "ljust": "rjust",
    "rjust": "ljust", "combinations": "permutations", "permutations": "combinations", "setdefault": "get",
    "heappush": "heappop", "quantize": "normalize", "title": "capitalize", "capitalize": "title",
}  # fmt: skip
_BUILTINS = {"min": "max", "max": "min", "any": "all", "all": "any", "sum": "len", "round": "int"}
_LOOKUPS = frozenset({"get", "pop", "setdefault"})


def _others(source: Source, node: ast.Name) -> list[tuple[Variable, bool]]:
    """The other variables that have a value where a variable is read, latest first, and whether they are alike."""
    function, statement = source.function(node), source.statement(node)
    if function is None or statement is None:
        return []
    known = variables_of(source, function)
    family = next((v.family for v in known if v.name == node.id), None)
    ready = [v for v in known if family and v.name != node.id and v.ready <= source.span(statement)[0]]
    return [(v, v.family == family) for v in sorted(ready, key=lambda v: -v.ready)]


def _other_fields(source: Source, node: ast.Attribute) -> Iterator[Variable]:
    """The fields of one family with `self.x`, where the object has been built."""
    function = source.function(node)
    owner = source.parents[function] if function else None
    if not isinstance(owner, ast.ClassDef) or function is None or function.name == "__init__":
        return
    known = fields_of(owner)
    family = next((v.family for v in known if v.name == node.attr), None)
    yield from (v for v in known if v.family == family and v.name != node.attr)


def wrong_variable(source: Source) -> Iterator[Edit]:
    """The LLM reaches for a neighbour: another variable or field of the same kind."""
    for node in source.nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        parent = source.parents[node]
        is_callee = isinstance(parent, ast.Call) and parent.func is node
        if is_callee or source.drives_loop(node):
            continue
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                yield from (source.replace(node, f"self.{v.name}") for v in _other_fields(source, node))
        elif not isinstance(parent, ast.Return):
            yield from (source.replace(node, v.name) for v, alike in _others(source, node) if alike)


def stale_return(source: Source) -> Iterator[Edit]:
    """The LLM returns another local than the one it has just computed."""
    for node in source.find(ast.Return):
        if isinstance(node.value, ast.Name):
            for other, _ in _others(source, node.value)[:3]:
                yield source.replace(node.value, other.name)


def swapped_arguments(source: Source) -> Iterator[Edit]:
    """The LLM passes two neighbouring arguments in the wrong order."""
    for node in source.find(ast.Call):
        if called(node) in _SYMMETRIC or any(isinstance(a, ast.Starred) for a in node.args):
            continue
        for left, right in zip(node.args, node.args[1:], strict=False):
            yield from source.swap(source.span(left), source.span(right), ",")


def swapped_unpacking(source: Source) -> Iterator[Edit]:
    """The LLM takes a pair apart, or hands one back, in the wrong order."""
    for node in source.nodes:
        pairs: list[ast.expr | None] = []
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            pairs = [node.target]
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Tuple):
            pairs = list(node.targets)
        elif isinstance(node, ast.Return):
            pairs = [node.value]
        for pair in pairs:
            if isinstance(pair, ast.Tuple):
                for left, right in zip(pair.elts, pair.elts[1:], strict=False):
                    yield from source.swap(source.span(left), source.span(right), ",")


def _keys(source: Source) -> Iterator[tuple[ast.Constant, bool]]:
    """String literals that are keys, and whether they look up (True) or build a dictionary (False)."""
    for node in source.nodes:
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Subscript):
            found = [node.slice]
        elif isinstance(node, ast.Call) and called(node) in _LOOKUPS:
            found = list(node.args[:1])
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            found = [node.left]
        elif isinstance(node, ast.Dict):
            found = list(node.keys)
        for key in found:
            # Prefixes, escapes and joined literals are left alone.
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and source.of(key)[1:-1] == key.value != "":
                yield key, not isinstance(node, ast.Dict)


def wrong_key(source: Source) -> Iterator[Edit]:
    """The LLM misremembers a key: another one, singular for plural, the first element for the second."""
    keys = list(_keys(source))
    known = list(dict.fromkeys(str(key.value) for key, _ in keys))
    for key, looks_up in keys:
        name = str(key.value)
        neighbour = known[(known.index(name) + 1) % len(known)]
        misspelt = name[:-1] if name.endswith("s") and len(name) > 1 else f"{name}s"
        for wrong in (neighbour, misspelt) if looks_up and neighbour != name else (misspelt,):
            quote = source.of(key)[0]
            yield source.replace(key, f"{quote}{wrong}{quote}")
    for node in source.find(ast.Subscript):
        index = node.slice.operand if isinstance(node.slice, ast.UnaryOp) else node.slice
        if isinstance(index, ast.Constant) and type(index.value) is int:
            wrong_index = "0" if index is not node.slice else {0: "1", 1: "0"}.get(index.value, str(index.value - 1))
            yield source.replace(node.slice, wrong_index)


def wrong_method(source: Source) -> Iterator[Edit]:
    """The LLM calls a method's or a built-in's neighbour: `extend` for `append`, `all` for `any`."""
    for node in source.find(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            end = source.span(node.func)[1]
            yield Edit(end - len(node.func.attr), end, _METHODS[node.func.attr])
        elif isinstance(node.func, ast.Name) and node.func.id in _BUILTINS:
            yield source.replace(node.func, _BUILTINS[node.func.id])
