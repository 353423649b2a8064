"""What a run does with the task: a unittest suite, free-form asserts, calls whose values leave, or a whole program.

The first two judge inside, under seals and canaries; the last two only tell what came out, and are judged outside.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import json
import os
import sys
import threading
import unittest
from collections.abc import Callable
from time import perf_counter

from . import tagged, untagged, wire
from .checks import compile_checks
from .collector import flush, microseconds_since
from .module_seals import hidden_builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from .collector import Collector
    from .lines import Coverage
    from .modules import TaskFile
    from .probe import Probe
    from .seals import Seals

LEAVE = os._exit
# Characters of what all calls return together; after that only digests leave. With the last value, whose letters may
# take up to twelve bytes each in JSON, less than a report may have (`intake.VALUES_MB`).
ALL_VALUES = 12 << 20
LOAD = unittest.TestLoader().loadTestsFromTestCase  # of a loader of our own: everybody finds unittest's by its name


class Task:
    """What an entry needs; made in the test process before any code of the task runs."""

    def __init__(
        self,
        files: list[TaskFile],
        emit: Callable[..., None],
        collector: Collector,
        seals: Seals,
        probe: Probe,
        canaries: unittest.TestSuite,
        coverage: Coverage | None,
        leave: Callable[[int], object] = LEAVE,
    ) -> None:
        self.files, self.emit, self.collector, self.seals = files, emit, collector, seals
        self.probe, self.canaries, self.coverage, self._leave = probe, canaries, coverage, leave

    def finish(self, broken: str, with_canaries: bool) -> None:
        """The last words: nothing of the task, `atexit` included, has a say after them."""
        if broken:
            self.emit(wire.TAMPER, broken)
        self.emit(wire.CANARIES)
        if with_canaries:
            self.collector.be_silent()
            self.canaries.run(self.collector)  # type: ignore[arg-type]
        flush()
        counts = self.coverage.counts() if self.coverage is not None else ()
        self.emit(wire.DONE, *(str(count) for count in counts))
        self._leave(0)

    def give_up(self, error: BaseException) -> None:
        """An exception that nothing catches ends the run."""
        self.collector.abort(error)
        flush()
        self._leave(0)


def run_suite(task: Task, codes: dict[str, CodeType], entry: dict[str, Any]) -> None:
    """Imports the test modules and runs all they hold."""
    tests = [file for file in task.files if file.is_test]
    task.seals.add_named((codes[file.path] for file in tests), {file.module.partition(".")[0] for file in task.files})
    if task.coverage is not None:
        task.coverage.start()
    try:
        modules = [_import(file.module) for file in tests]
        # A TestCase that the solution defines, or that another test file lends, is none of this module's tests.
        # Once each, also where a class has two names.
        classes = dict.fromkeys(
            item
            for module, file in zip(modules, tests, strict=True)
            for _, item in sorted(vars(module).items())
            if isinstance(item, type) and item.__module__ == file.module
        )
        solution = {file.label for file in task.files if not file.is_test}
        own_equalities = any("addTypeEqualityFunc" in file.text for file in tests)
        foreign = task.seals.add_tests(classes, own_equalities, solution)
        for module, file in zip(modules, tests, strict=True):
            if vars(module) is not file.namespace:
                foreign = foreign or f"sys.modules[{file.module!r}]"
            for name in hidden_builtins(vars(module), codes[file.path]):  # by `from solution import *`
                del vars(module)[name]
        loaded = zip(modules, tests, strict=True)
        foreign = foreign or task.seals.add_modules(
            (file.module, vars(module), codes[file.path]) for module, file in loaded
        )
        suite = unittest.TestSuite(LOAD(item) for item in classes if issubclass(item, unittest.TestCase))
        suite.run(task.collector)  # type: ignore[arg-type]
    except BaseException as error:  # KeyboardInterrupt and SystemExit pass through unittest
        task.give_up(error)
    unprobed = any(vars(module).get("__probe__") is not task.probe for module in modules)
    broken = task.seals.broken(everything=True) or foreign or ("probe" if unprobed else "")
    task.finish(broken, with_canaries=True)


def run_asserts(task: Task, codes: dict[str, CodeType], entry: dict[str, Any]) -> None:
    """One test: the checks, in the namespace of the solution's first file."""
    checks = next(file for file in task.files if file.is_test)
    task.seals.add_named([codes[checks.path]], {file.module.partition(".")[0] for file in task.files})
    namespace: dict[str, Any] = {}
    run, code = exec, codes[checks.path]

    class Asserts(unittest.TestCase):  # made before any code of the task could have a hand in it
        def runTest(self) -> None:  # noqa: N802
            run(code, namespace)

    test = Asserts()
    try:
        namespace = _solution(task)
        if type(namespace) is not dict:  # one of a class of its own would answer the checks as it likes
            namespace = dict(namespace)
    except BaseException as error:
        task.give_up(error)
    # A solution's own `abs` or `range` must not stand in for the one that the checks compare with.
    if hidden := hidden_builtins(namespace, code):
        code = compile_checks(checks.name, checks.text, hidden)
    namespace["__probe__"] = task.probe
    namespace["__builtins__"] = builtins  # Python looks there before it looks anywhere
    try:
        task.seals.add_tests([Asserts], own_equalities=False)
        unittest.TestSuite([test]).run(task.collector)  # type: ignore[arg-type]
    except BaseException as error:
        task.give_up(error)
    unprobed = namespace.get("__probe__") is not task.probe or namespace.get("__builtins__") is not builtins
    task.finish(task.seals.broken(everything=True) or ("probe" if unprobed else ""), with_canaries=True)


def run_calls(task: Task, codes: dict[str, CodeType], entry: dict[str, Any]) -> None:
    """Each call's value leaves as tagged plain data; an exception ends its call only."""
    encode, dumps, emit = tagged.encode, json.dumps, task.emit
    try:
        namespace = _solution(task)
        if entry["setup"]:
            exec(compile(entry["setup"], "<setup>", "exec", dont_inherit=True), namespace)
    except BaseException as error:
        task.give_up(error)
    function = namespace.get(entry["function"])
    if entry["function"] and function is None:
        task.give_up(NameError(f"name {entry['function']!r} is not defined"))
    left = ALL_VALUES
    for i, (kind, call) in enumerate(entry["calls"]):
        name = f"case {i}"
        emit(wire.START, name)
        started = perf_counter()
        try:
            if kind == "expression":
                value = eval(compile(call, "<call>", "eval", dont_inherit=True), namespace)
            else:
                value = function(*untagged.decode(call))  # type: ignore[misc]
            # Encoded while a failure of it is still this call's own.
            try:
                text = dumps(encode(value, min(left, tagged.MAX_CHARS)))
            except tagged.TooLong:
                text = dumps(tagged.digest(value))
            left -= len(text)
            emit(wire.VALUE, str(i), text)
        except (KeyboardInterrupt, SystemExit) as error:
            task.give_up(error)
        except BaseException as error:
            task.collector.error(name, error)
        emit(wire.STOP, name, microseconds_since(started))
    task.finish("", with_canaries=False)


def run_program(task: Task, codes: dict[str, CodeType], entry: dict[str, Any]) -> None:
    """The first file as `__main__`; how it ends is its own affair, what it printed is judged outside."""
    main = sys.modules["__main__"]
    file = _first(task)
    main.__file__ = sys.argv[0] = file.path
    status = 0
    try:
        exec(codes[file.path], vars(main))
    except SystemExit as error:
        status = _status(error.code)
    except BaseException as error:
        task.collector.abort(error)
        status = 1
    # Here no exception holds the program's frames any more.
    _leave(status, vars(main))


def _status(code: object) -> int:
    """Of a process that ends by `SystemExit(code)`."""
    if code is None or isinstance(code, int):
        return int(code or 0)
    with contextlib.suppress(Exception):  # there may be no standard error any more
        sys.stderr.write(f"{code}\n")
    return 1


def _leave(status: int, namespace: dict[str, Any]) -> None:
    """As the interpreter itself ends a program, taking apart the program's own module, and none of the server's."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        flush()
        # A file that nobody closed is written when its object goes, and a destructor may print.
        for name in sorted(namespace.keys() - {"__builtins__"}, key=lambda name: name[:1] != "_"):
            namespace[name] = None
        gc.collect()
    finally:
        flush()
        LEAVE(status & 0xFF)


def _solution(task: Task) -> dict[str, Any]:
    return vars(_import(_first(task).module))


def _first(task: Task) -> TaskFile:
    return next(file for file in task.files if not file.is_test)


def _import(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


ENTRIES: dict[str, Callable[[Task, dict[str, Any], dict[str, Any]], None]] = {
    "suite": run_suite,
    "asserts": run_asserts,
    "calls": run_calls,
    "program": run_program,
}
