"""Bugs in what a variable holds and when it changes. Each function yields every edit of its kind, in document order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from iterpref.codeflow.generate.bugs.source import Edit, Function, Source, called

_MUTATORS = (
    "append", "appendleft", "add", "extend", "update", "insert", "pop", "popleft", "remove", "discard", "sort", "clear",
    "reverse",
)  # fmt: skip
_EMPTY = frozenset({"list", "dict", "set"})
_COPIERS = frozenset({"copy", "deepcopy", "list", "dict", "set"})
_STORED = (ast.Name, ast.Attribute, ast.Subscript)
_INFINITIES = frozenset({"inf", "-inf", "math.inf", "-math.inf", "float('inf')", "float('-inf')", "-float('inf')"})


def _is_empty(node: ast.AST | None) -> bool:
    """`[]`, `{}`, `list()`, `dict()`, `set()`."""
    if isinstance(node, ast.Call):
        return called(node) in _EMPTY and not node.args
    return (isinstance(node, ast.List) and not node.elts) or (isinstance(node, ast.Dict) and not node.keys)


def _wrong_starts(source: Source, node: ast.expr) -> Iterator[str]:
    """What somebody might start from by mistake in place of this literal."""
    if ast.unparse(node) in _INFINITIES:
        yield "0"
    elif isinstance(node, ast.List) and len(node.elts) < 2:
        yield "[]" if node.elts else "[0]"
    elif isinstance(node, ast.UnaryOp) and source.of(node) == "-1":
        yield "0"
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield str(not value)
        elif isinstance(value, int):
            yield "0" if value == 1 else str(value + 1)
        elif isinstance(value, float):
            yield "0.0" if value == 1 else str(value + 1)
        elif isinstance(value, str):
            yield '" "' if value != " " else '""'


def _binds(statement: ast.AST) -> str:
    """The one variable or `self` attribute that a plain assignment binds, else ""."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr | None = statement.targets[0]
    else:
        target = statement.target if isinstance(statement, ast.AnnAssign) and statement.value else None
    return ast.unparse(target) if isinstance(target, (ast.Name, ast.Attribute)) else ""


def wrong_initial_value(source: Source) -> Iterator[Edit]:
    """The LLM starts an accumulator, a flag or a best-so-far from the wrong value."""
    for node in source.nodes:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not _binds(node) or node.value is None:
            continue
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            if not source.loop(node):
                yield source.replace(node.value, "0")
        elif not source.drives_loop(node):
            yield from (source.replace(node.value, text) for text in _wrong_starts(source, node.value))


def wrong_default(source: Source) -> Iterator[Edit]:
    """The LLM gives a parameter or a field another default than was asked for."""
    for node in source.nodes:
        defaults: list[ast.expr | None] = []
        if isinstance(node, Function):
            defaults = [*node.args.defaults, *node.args.kw_defaults]
        elif isinstance(node, ast.ClassDef):
            defaults = [s.value for s in node.body if isinstance(s, ast.AnnAssign)]
        for default in defaults:
            if default is not None:
                yield from (source.replace(default, text) for text in _wrong_starts(source, default))


def _guarded(statement: ast.stmt) -> tuple[str, ast.expr] | None:
    """`p`, and the empty value it gets for `None`, where a statement reads `p = p or []` or any of its longer forms."""
    if isinstance(statement, ast.If) and len(statement.body) == 1 and not statement.orelse:
        assign, name = statement.body[0], ast.unparse(statement.test).removesuffix(" is None")
        empty = assign.value if isinstance(assign, ast.Assign) and _binds(assign) == name else None
        return (name, empty) if empty is not None and _is_empty(empty) else None
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        choices = [(value.values[0], value.values[1])]
    else:
        choices = [(value.body, value.orelse), (value.orelse, value.body)] if isinstance(value, ast.IfExp) else []
    return next(((p.id, empty) for p, empty in choices if isinstance(p, ast.Name) and _is_empty(empty)), None)


def mutable_default(source: Source) -> Iterator[Edit]:
    """The LLM puts `[]` or `{}` in the signature, where the code guarded a default of `None`."""
    for function in source.nodes:
        if not isinstance(function, Function):
            continue
        positional = [*function.args.posonlyargs, *function.args.args]
        with_default = positional[len(positional) - len(function.args.defaults) :]
        defaults = {p.arg: d for p, d in zip(with_default, function.args.defaults, strict=True)}
        defaults |= {p.arg: d for p, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if d}
        for statement in function.body:
            name, empty = _guarded(statement) or ("", None)
            default = defaults.get(name)
            if empty is None or not isinstance(default, ast.Constant) or default.value is not None:
                continue
            drop = source.remove(statement)
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value and _binds(statement) != name:
                drop = source.replace(statement.value, name)
            start, end = source.span(default)
            yield Edit(start, drop.end, source.of(empty) + source.text[end : drop.start] + drop.text)


def shared_reference(source: Source) -> Iterator[Edit]:
    """The LLM hands on the object itself where a copy was needed."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "copy" and not node.args:
                yield source.replace(node, source.of(node.func.value))
            elif called(node) in _COPIERS and len(node.args) == 1 and isinstance(node.args[0], _STORED):
                yield source.replace(node, source.of(node.args[0]))
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            if node.slice.lower is node.slice.upper is node.slice.step is None:
                yield source.replace(node, source.of(node.value))
        elif isinstance(node, ast.ListComp) and (count := _repeats(node)) is not None:
            times = (
                source.of(count) if isinstance(count, (*_STORED, ast.Constant, ast.Call)) else f"({source.of(count)})"
            )
            yield source.replace(node, f"[{source.of(node.elt)}] * {times}")


def _repeats(node: ast.ListComp) -> ast.expr | None:
    """`n`, where the comprehension makes n lists or dictionaries that are alike: `[[] for _ in range(n)]`."""
    rows = node.generators[0]
    if not isinstance(rows.iter, ast.Call) or called(rows.iter) != "range" or len(rows.iter.args) != 1:
        return None
    names = [n.id for n in ast.walk(node.elt) if isinstance(n, ast.Name)]
    alike = isinstance(rows.target, ast.Name) and rows.target.id not in names
    mutable = isinstance(node.elt, (ast.List, ast.Dict, ast.BinOp, ast.ListComp)) or _is_empty(node.elt)
    return rows.iter.args[0] if alike and mutable and not rows.ifs and len(node.generators) == 1 else None


def missing_update(source: Source) -> Iterator[Edit]:
    """The LLM forgets the line that moves things on: the increment, the `append`, `previous = current`."""
    for node in source.nodes:
        if not isinstance(node, ast.stmt) or source.drives_loop(node):
            continue
        updates = isinstance(node, ast.AugAssign)
        if isinstance(node, ast.Expr):
            updates = called(node.value) in _MUTATORS
        elif isinstance(node, ast.Assign):
            function = source.function(node)
            stores = isinstance(node.targets[0], ast.Subscript)
            sets = isinstance(node.targets[0], ast.Attribute) and function is not None and function.name != "__init__"
            value = ast.unparse(node.value)
            updates = stores or sets or _before_loop(source, node).get(_binds(node), value) != value
        if updates:
            yield source.remove(node)


def _before_loop(source: Source, node: ast.stmt) -> dict[str, str]:
    """What each variable bound before the innermost loop, in the loop's own block, was last set to."""
    loop = source.loop(node)
    if loop is None:
        return {}
    before = [s for s in source.block(loop) if s.lineno < loop.lineno and isinstance(s, (ast.Assign, ast.AnnAssign))]
    return {_binds(s): ast.unparse(s.value) for s in before if _binds(s) and s.value}


def missing_reset(source: Source) -> Iterator[Edit]:
    """The LLM keeps state across rounds: a reset inside the loop is missing, or stands before the loop."""
    for node in source.find(ast.Assign):
        if _before_loop(source, node).get(_binds(node)) == ast.unparse(node.value) and not source.drives_loop(node):
            yield source.remove(node)
        loop = source.loop(node)
        starts = isinstance(node.value, ast.Constant) or _is_empty(node.value)
        if loop is None or loop.body[0] is not node or len(loop.body) == 1 or not _binds(node) or not starts:
            continue
        head, (start, end) = source.span(loop)[0], source.span(node)
        top, bottom, indent = source.line_start(head), source.line_end(end), source.indent(head)
        if indent is not None and source.indent(start) is not None:
            yield Edit(top, bottom, indent + source.text[start:bottom] + source.text[top : source.line_start(start)])
