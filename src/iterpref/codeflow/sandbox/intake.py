"""From a request to what a fork server is told; what cannot be run is found here, before anything is started."""

from __future__ import annotations

from functools import lru_cache
from types import CodeType
from typing import Any

from iterpref.codeflow.sandbox.child import tagged
from iterpref.codeflow.sandbox.child.checks import compile_checks
from iterpref.codeflow.sandbox.protocol import Asserts, FunctionCases, RunRequest, StdioCases, n_tests
from iterpref.codeflow.sandbox.workspace import BadFile, check_names
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite

REPORT_MB = 8  # MiB of what a suite may tell
VALUES_MB = 64  # MiB of what calls may return


class UnfitSolution(Exception):
    """A solution that cannot be run: `detail` goes into the verdict ERROR, `message` to the developer."""

    def __init__(self, detail: str, message: str) -> None:
        super().__init__(detail)
        self.detail, self.message = detail, message


def check(request: RunRequest) -> None:
    """Raises `UnfitSolution` for the solution's faults, and `UserError` for those of the tests."""
    tests = request.tests
    if isinstance(tests, TestSuite) and tests.framework != "unittest":
        raise UserError(f"test framework: expected 'unittest', got {tests.framework!r}")
    if n_tests(tests) < 1:
        name = "n_tests" if isinstance(tests, TestSuite) else "cases"
        raise UserError(f"tests: expected at least 1 test, got {name}={n_tests(tests)}; count them anew")
    try:
        check_names(request.files, tests.files if isinstance(tests, TestSuite) else ())
        for file in request.files:
            file.text.encode("utf-8")
    except BadFile as error:
        raise UnfitSolution(str(error), str(error)) from error
    except UnicodeEncodeError as error:
        raise UnfitSolution("compile", f"a lone surrogate in the source ({error.reason})") from error
    if not isinstance(tests, TestSuite) and not any(file.name.endswith(".py") for file in request.files):
        raise UnfitSolution("no Python file", "the solution has no Python file")


def limits_of(request: RunRequest) -> dict[str, Any]:
    """What the supervisor reads of a run."""
    judged_outside = isinstance(request.tests, (FunctionCases, StdioCases))
    return {**vars(request.limits), "report_mb": VALUES_MB if judged_outside else REPORT_MB}


def task_of(request: RunRequest) -> dict[str, Any]:
    """What the test process reads; it holds no expected value of cases that are judged outside."""
    tests = request.tests
    entry: dict[str, Any]
    checks: tuple[SourceFile, ...] = ()
    stdin = None
    if isinstance(tests, TestSuite):
        entry, checks = {"kind": "suite"}, tests.files
    elif isinstance(tests, Asserts):
        entry, checks = {"kind": "asserts"}, (SourceFile(_free_name(request.files), f"{tests.setup}\n{tests.code}"),)
    elif isinstance(tests, FunctionCases):
        calls = [("expression", c) if isinstance(c, str) else ("arguments", _arguments(c)) for c in tests.calls]
        entry = {"kind": "calls", "calls": calls, "function": tests.function, "setup": tests.setup}
    else:
        entry, stdin = {"kind": "program"}, tests.inputs[0]
    files: list[tuple[str, str, bool, CodeType | None]] = [
        (file.name, file.text, False, None) for file in request.files
    ]
    files += [(file.name, file.text, True, _compiled(file.name, file.text)) for file in checks]
    return {
        **vars(request.limits),
        "files": files,
        "entry": entry,
        "stdin": stdin,
        "coverage": request.measure_coverage,
    }


def _arguments(call: tuple[Any, ...]) -> list[Any]:
    try:
        return tagged.encode(call, VALUES_MB << 20)
    except tagged.TooLarge as error:
        raise UserError(f"function cases: expected arguments that can be sent, got {error}") from error


@lru_cache(maxsize=256)
def _compiled(name: str, text: str) -> CodeType | None:
    """The code of a file of checks, which many versions of a solution will run on; None where it is no Python, as the
    child then finds out and says."""
    if not name.endswith(".py"):
        return None
    try:
        return compile_checks(name, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _free_name(files: tuple[SourceFile, ...]) -> str:
    name = "asserts.py"
    while any(file.name.casefold() == name for file in files):
        name = f"_{name}"
    return name
