"""Files out of what a model has answered: read strictly, mended where only one reading is left, refused otherwise.

    <file>NAME</file>
    ```python
    ...
    ```
    <json>{"file_names": ["NAME"], "packages": []}</json>

What is mended: a single fence without a name, or the only one of several that defines what the tests use; a missing `<json>`;
trailing commas in it; and what `fences` mends. A name is untrusted: a plain relative path, or the answer is refused, and with it
this row and no other. What is read is what the model wrote, a wrong program too; a text that only our reading made wrong is none.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.code import tree_of
from iterpref.codeflow.generate.fences import MAX_FILE, PYTHON, BadAnswer, Block, check_form, scan, spoken
from iterpref.schema import SourceFile

MAX_ANSWER = 1_000_000  # characters
MAX_FILES = 20
MAX_NAME = 200
_JSON = re.compile(r"<json>(.*?)(?:</json>|\Z)", re.DOTALL)
_ONLY_JSON = re.compile(r"\s*<json>(\{[^{}]*\})</json>\s*\Z")
_LONGEST_JSON = 5000
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?<!\.)\Z")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?\Z", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_PACKAGE = re.compile(r"[A-Za-z][\w.\-]*")
_CUT = "it was cut, mostly by the limit on its tokens: generate.max_tokens"


@dataclass(frozen=True)
class Answer:
    files: tuple[SourceFile, ...]  # the solution, as the model ordered it
    tests: tuple[SourceFile, ...]
    packages: tuple[str, ...]  # as declared: top names in lower case


def parse_answer(
    text: str,
    *,
    cut: bool = False,
    name: str = "solution.py",
    wanted: Sequence[str] = (),
    with_tests: bool = False,
    several: bool = False,
) -> Answer:
    """The answer's files; raises `BadAnswer`.

    Args:
        cut: the answer did not come to an end of its own, as far as the server says.
        name: of a file that the answer does not name.
        wanted: names that the tests use: of several fences without a name, the one that defines them is the file.
        with_tests: the answer must hold tests; otherwise what it holds of them is left out.
        several: the program has several files: one without a name must define what the tests use.
    """
    if len(text) > MAX_ANSWER:
        raise BadAnswer("answer_too_long", f"{len(text)} characters")
    text = spoken(text)
    if not text.strip():
        raise BadAnswer("answer_cut", f"{_CUT}, before it said anything") if cut else BadAnswer("empty_answer")
    blocks, prose = scan(text)
    declared = _declaration(blocks, prose)
    named = [block for block in blocks if block.name is not None]
    if cut and (not blocks or not blocks[-1].closed or (len(named) > 0 and declared is None)):
        raise BadAnswer("answer_cut", _CUT)
    pairs = [(str(b.name), b.text) for b in named] or _unnamed(text, blocks, name, wanted, with_tests, several)
    files = _checked(pairs)
    for file in files:
        if cut and file.name.endswith(".py") and tree_of(file.text) is None:
            raise BadAnswer("answer_cut", _CUT)
        check_form(file, blocks)
    packages: tuple[str, ...] = ()
    if declared is not None:
        packages = _packages(declared)
        _agree(declared, files)
    tests = tuple(f for f in files if is_test_name(f.name))
    solution = tuple(f for f in files if not is_test_name(f.name))
    python = [f.text for f in solution if f.name.endswith(".py")]
    if not any(map(_says_something, python)):
        raise BadAnswer("no_code", "no Python file beside the tests" if tests else "no Python file")
    if all(_only_tests(text, wanted) for text in python):
        raise BadAnswer("no_code", "tests alone")
    return Answer(solution, tests, packages)


def _says_something(text: str) -> bool:
    """Whether a program has a statement: not so `...`, which our own form has in its place."""
    tree = tree_of(text)
    empty = all(isinstance(n, ast.Pass) or _is_constant(n) for n in tree.body) if tree else False
    return not empty


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _only_tests(text: str, wanted: Sequence[str]) -> bool:
    """Whether a file holds tests and nothing that they could test."""
    tree = tree_of(text)
    if tree is None or defined(text) & set(wanted):
        return False
    rest = [
        n for n in tree.body if not (isinstance(n, (ast.Import, ast.ImportFrom)) or _is_constant(n) or _runs_tests(n))
    ]
    return bool(rest) and all(map(_is_test, rest))


def _runs_tests(node: ast.stmt) -> bool:
    """`unittest.main()`, mostly below `if __name__ == "__main__"`."""
    return isinstance(node, (ast.Expr, ast.If)) and {"unittest", "main"} <= _words(node)


def _is_test(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or any("TestCase" in _words(base) for base in node.bases)
    return isinstance(node, ast.Assert) or (isinstance(node, ast.FunctionDef) and node.name.startswith("test"))


def _words(tree: ast.AST) -> set[str]:
    """Names and attributes; by a walk, which no depth of a tree stops."""
    return {getattr(n, "id", "") or getattr(n, "attr", "") for n in ast.walk(tree)}


def is_test_name(name: str) -> bool:
    *folders, last = name.lower().split("/")
    return last.startswith("test_") or last.endswith("_test.py") or last == "tests.py" or "tests" in folders


def _declaration(blocks: list[Block], prose: str) -> dict[str, Any] | None:
    """What `<json>` says, also where the model has put it into a fence; None when there is none."""
    texts = [match[1].strip() for match in _JSON.finditer(prose)]
    fenced = [b for b in blocks if b.name is None and b.language in ("json", "") and b.text.lstrip().startswith("{")]
    if texts == [""] or (not texts and fenced and fenced[-1].language == "json"):
        texts = [fenced[-1].text] if fenced else texts
    for block in fenced:
        if block.text in texts:
            blocks.remove(block)
    if not texts:
        return None
    if len(texts) > 1:
        raise BadAnswer("json_twice")
    value = read_json(texts[0])
    if not isinstance(value, dict):
        raise BadAnswer("json_malformed", texts[0])
    return value


def read_json(text: str) -> Any:
    """JSON, or what becomes JSON when commas before a closing bracket go; None for anything else."""
    for attempt in (text, re.sub(r",\s*([}\]])", r"\1", text)):
        try:
            return json.loads(attempt)
        except (ValueError, RecursionError):
            continue
    return None


def only_json(text: str) -> dict[str, Any] | None:
    """The flat JSON object of an answer that is one `<json>` line and nothing else; None for any other answer."""
    match = _ONLY_JSON.match(text) if len(text) < _LONGEST_JSON else None
    value = read_json(match[1]) if match else None
    return value if isinstance(value, dict) else None


def _packages(declared: dict[str, Any]) -> tuple[str, ...]:
    value = declared.get("packages", [])
    if not isinstance(value, list) or not all(isinstance(p, str) for p in value) or len(value) > 50:
        raise BadAnswer("packages_malformed", value)
    names = []
    for text in value:
        match = _PACKAGE.match(text.strip())
        if match is None:
            raise BadAnswer("packages_malformed", text)
        names.append(match[0].split(".")[0].lower())
    return tuple(dict.fromkeys(names))


def _agree(declared: dict[str, Any], files: Sequence[SourceFile]) -> None:
    names = declared.get("file_names")
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise BadAnswer("json_malformed", names)
    if len(files) > 1 and {n.strip().removeprefix("./") for n in names} != {f.name for f in files}:
        raise BadAnswer("file_names_disagree", f"{sorted(names)} and {sorted(f.name for f in files)}")


def _unnamed(
    text: str, blocks: Sequence[Block], name: str, wanted: Sequence[str], with_tests: bool, several: bool
) -> list[tuple[str, str]]:
    python = [block for block in blocks if block.language in PYTHON]
    if not python:
        if blocks or not defined(text):
            raise BadAnswer("no_code")
        return [(name, text.strip("\n") + "\n")]
    if with_tests and len(python) == 2:
        tests = [block for block in python if _reads_like_tests(block.text)]
        if len(tests) == 1:
            code = next(block for block in python if block is not tests[0])
            return [(name, code.text), (f"test_{name}", tests[0].text)]
    if len(python) > 1:
        # A usage example beside the program, say: the one that the tests can use is the program.
        python = [block for block in python if defined(block.text) >= set(wanted) and defined(block.text)]
    if len(python) != 1:
        raise BadAnswer("several_blocks", "no file names, and more than one fence that may be the file")
    if several and not defined(python[0].text) >= set(wanted):
        raise BadAnswer("file_unnamed", "the program has several files, and this may be any of them")
    return [(name, python[0].text)]


def _reads_like_tests(text: str) -> bool:
    return bool(re.search(r"^\s*(import unittest|from unittest|assert\b|def test_)", text, re.MULTILINE))


def defined(text: str) -> set[str]:
    """Top-level functions, classes and variables of a program; empty for what does not parse."""
    tree = tree_of(text)
    names: set[str] = set()
    for node in tree.body if tree else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    return names


def _checked(pairs: Sequence[tuple[str, str]]) -> tuple[SourceFile, ...]:
    """Plain names, each once; texts that a file can hold."""
    if len(pairs) > MAX_FILES:
        raise BadAnswer("too_many_files", len(pairs))
    files: dict[str, SourceFile] = {}
    for raw, text in pairs:
        name, text = raw.removeprefix("./"), text.removeprefix("\ufeff")
        parts = name.split("/")
        if len(name) > MAX_NAME or not all(_PART.match(p) and not _RESERVED.match(p) for p in parts):
            raise BadAnswer("bad_file_name", raw)
        if len(text) > MAX_FILE:
            raise BadAnswer("file_too_long", f"{name}: {len(text)} characters")
        if match := CONTROL.search(text):
            raise BadAnswer("control_characters", f"{name}: {match[0]}")
        folded = name.casefold()
        earlier = files.get(folded)
        if earlier is not None and earlier != SourceFile(name, text):
            raise BadAnswer("file_twice", name)
        if any(other.startswith(f"{folded}/") or folded.startswith(f"{other}/") for other in files):
            raise BadAnswer("bad_file_name", f"{name} is a file and a folder")
        files[folded] = SourceFile(name, text)
    return tuple(files.values())
