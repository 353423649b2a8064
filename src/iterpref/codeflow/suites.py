"""Frozen tests of every kind: how they are kept, how they run, and what makes a suite unfit to judge anything.

| framework  | files                                   | runs as |
|------------|-----------------------------------------|---------|
| `unittest` | test modules                            | a suite beside the solution, judged inside |
| `asserts`  | `checks.py`, and `setup.py` before it   | function cases where their form allows it (judged outside), else free-form asserts |
| `stdio`    | `cases.json`: inputs and outputs        | the program on each input, judged outside |
"""

from __future__ import annotations

import ast
import builtins
import json
import sys
from collections.abc import Sequence
from functools import lru_cache

from iterpref.codeflow.code import imported, tree_of
from iterpref.codeflow.generate.answer import BadAnswer, defined
from iterpref.codeflow.sandbox.cases import split
from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.codeflow.sandbox.protocol import StdioCases, Tests
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite

CHECKS, SETUP, CASES = "checks.py", "setup.py", "cases.json"
NO_TESTS = TestSuite((), "none", 0)  # of a task whose tests its author writes


def asserts_suite(code: str, setup: str = "") -> TestSuite:
    """Free-form checks that run in the solution's namespace. Raises `UserError` for checks that are no Python."""
    for text in (code, setup):
        if tree_of(text) is None:
            raise UserError(f"tests: expected Python, got {text!r:.80}")
    files = (SourceFile(SETUP, setup),) if setup.strip() else ()
    return TestSuite((*files, SourceFile(CHECKS, code)), "asserts", max(count_asserts(code), 1))


def stdio_suite(inputs: Sequence[str], outputs: Sequence[str]) -> TestSuite:
    """Standard inputs, and what the program must print for each."""
    StdioCases(tuple(inputs), tuple(outputs))
    text = json.dumps({"inputs": list(inputs), "outputs": list(outputs)})
    return TestSuite((SourceFile(CASES, text),), "stdio", len(inputs))


@lru_cache(maxsize=1024)  # each version of a task asks again
def as_tests(suite: TestSuite) -> Tests:
    """What the sandbox runs."""
    texts = {file.name: file.text for file in suite.files}
    if suite.framework == "asserts":
        return split(texts[CHECKS], texts.get(SETUP, ""))
    if suite.framework == "stdio":
        cases = json.loads(texts[CASES])
        return StdioCases(tuple(cases["inputs"]), tuple(cases["outputs"]))
    return suite


def for_coverage(suite: TestSuite, solution: Sequence[SourceFile]) -> TestSuite | None:
    """A unittest suite that runs what `suite` runs, to measure coverage on; its verdict means nothing."""
    if suite.framework == "unittest":
        return suite
    if suite.framework != "asserts":
        return None
    texts = {file.name: file.text for file in suite.files}
    module = solution[0].name.removesuffix(".py").replace("/", ".")
    code = (
        f"import importlib, unittest\nCODE = {texts.get(SETUP, '') + chr(10) + texts[CHECKS]!r}\n"
        "class Checks(unittest.TestCase):\n    def test_checks(self):\n"
        f"        exec(CODE, vars(importlib.import_module({module!r})))\n"
    )
    return TestSuite((SourceFile("test_coverage_of_checks.py", code),), "unittest", 1)


@lru_cache(maxsize=1024)  # each answer to a task asks again
def module_of(suite: TestSuite) -> str | None:
    """The file that the tests import, where they import one that is not Python's own: `solution.py`."""
    own = {file.name.removesuffix(".py") for file in suite.files}
    for file in suite.files:
        for module in imported(tree_of(file.text)):
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names and top not in own:
                return f"{module.replace('.', '/')}.py"
    return None


@lru_cache(maxsize=1024)
def wanted_names(suite: TestSuite) -> tuple[str, ...]:
    """Names that the tests take from the solution, as far as their text shows it."""
    names: set[str] = set()
    for file in suite.files if suite.framework in ("unittest", "asserts") else ():
        tree = tree_of(file.text)
        if tree is None:
            continue
        if suite.framework == "asserts":
            called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            imports = {
                a.asname or a.name
                for n in ast.walk(tree)
                if isinstance(n, (ast.Import, ast.ImportFrom))
                for a in n.names
            }
            names |= called - bound - imports - defined(file.text) - set(dir(builtins))
        module = module_of(suite)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and f"{(node.module or '').replace('.', '/')}.py" == module:
                names |= {alias.name for alias in node.names if alias.name != "*"}
    return tuple(sorted(names))


def freeze(tests: Sequence[SourceFile], solution: Sequence[SourceFile]) -> TestSuite:
    """The suite that a model has written for its own program; raises `BadAnswer` for one that cannot judge it."""
    tests = [file for file in tests if file.name.endswith(".py")]
    if not tests:
        raise BadAnswer("tests_missing")
    trees = [(file, tree_of(file.text)) for file in tests]
    for file, tree in trees:
        if tree is None:
            raise BadAnswer("tests_do_not_compile", file.name)
    modules = {file.name.removesuffix(".py").replace("/", ".") for file in solution if file.name.endswith(".py")}
    tops = modules | {module.split(".")[0] for module in modules}
    used = [name for _, tree in trees for name in imported(tree)]
    if not any(name in tops or name.split(".")[0] in tops for name in used):
        raise BadAnswer("tests_do_not_import_solution", f"they import {sorted(set(used))}")
    if "pytest" in {name.split(".")[0] for name in used}:
        raise BadAnswer("tests_need_pytest")
    if not any(count_asserts(file.text) for file in tests):
        raise BadAnswer("tests_assert_nothing")
    if n_tests := count_tests(tests):
        return TestSuite(tuple(tests), "unittest", n_tests)
    if len(tests) > 1:
        raise BadAnswer("tests_of_several_files", "without a unittest class in any")
    return asserts_suite(_calling_its_functions(tests[0].text))


def count_asserts(text: str) -> int:
    """Checks whose outcome depends on something: `assert f(2) == 4`, `self.assertEqual(...)`, but no `assert True`."""
    tree = tree_of(text)
    return sum(_checks(node) for node in ast.walk(tree)) if tree else 0


def _checks(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return _varies(node.test)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("self", "cls")):
        return False
    name = node.func.attr
    # What `assertRaises` checks may stand in a `with` below it.
    return name.startswith(("assertRaises", "assertWarns", "assertLogs")) or (
        name.startswith("assert") and any(_varies(argument) for argument in node.args)
    )


def _varies(node: ast.AST) -> bool:
    return any(isinstance(child, (ast.Name, ast.Call, ast.Attribute)) for child in ast.walk(node))


def _calling_its_functions(text: str) -> str:
    """`def test_x(): ...` as pytest would run it: called, unless the program does so itself."""
    tree = tree_of(text)
    assert tree is not None
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test")]
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    left = [f for f in functions if f.name not in called]
    if any(f.args.args or f.args.posonlyargs or f.args.kwonlyargs or f.decorator_list for f in left):
        raise BadAnswer("tests_need_pytest", "test functions with arguments or decorators")
    return "\n".join([text.rstrip("\n"), *(f"{f.name}()" for f in left), ""])


def stub(files: Sequence[SourceFile], suite: TestSuite) -> tuple[SourceFile, ...] | None:
    """The solution with every function emptied (`return None`), or a program that prints nothing: what tests must fail.

    None where there is nothing to empty.
    """
    empty = (lambda text: "pass\n") if suite.framework == "stdio" else _emptied
    emptied = tuple(SourceFile(f.name, empty(f.text)) if f.name.endswith(".py") else f for f in files)
    same = all(tree_of(a.text) is None or _dump(a) == _dump(b) for a, b in zip(files, emptied, strict=True))
    return None if same else emptied


def _dump(file: SourceFile) -> str:
    tree = tree_of(file.text)
    return ast.dump(tree) if tree else file.text


class _Emptier(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = [ast.Return(ast.Constant(None))]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.body = [ast.Return(ast.Constant(None))]
        return node


def _emptied(text: str) -> str:
    tree = tree_of(text)
    return ast.unparse(ast.fix_missing_locations(_Emptier().visit(tree))) + "\n" if tree else text
