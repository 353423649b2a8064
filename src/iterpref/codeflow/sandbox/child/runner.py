# ruff: noqa: PT009, PT027
"""The test process: imports the task, runs its suite, then tests that must fail, and tells each event at once."""

from __future__ import annotations

import _sitebuiltins
import builtins
import os
import sys
import unittest
from collections.abc import Callable, Collection

from . import confine, wire
from .collector import Collector, flush
from .describe import headline
from .guard import Probe, Seals, harden_assertions
from .lines import Coverage
from .modules import TaskFile, TaskImporter, install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any


class Canary(unittest.TestCase):
    """Every one of these must fail, through the same unittest and the same collector as the suite."""

    def test_equal(self) -> None:
        self.assertEqual(1, 2)

    def test_almost_equal(self) -> None:
        self.assertAlmostEqual(1.0, 2.0)

    def test_true(self) -> None:
        self.assertTrue(False)

    def test_raises(self) -> None:
        with self.assertRaises(ValueError):
            pass

    def test_bare_assert(self) -> None:
        raise AssertionError

    def test_listed_equal(self) -> None:
        self.assertEqual([1, [2]], [1, [3]])


LEAVE = os._exit
LOAD = unittest.defaultTestLoader.loadTestsFromTestCase
N_CANARIES = LOAD(Canary).countTestCases()


def prepare(
    config: dict[str, Any], descriptors: tuple[int, int, int], token: bytes, at_start: Collection[str]
) -> Callable[[], None]:
    """Puts up the walls and seals the judge; the returned function runs the task and ends the process."""
    os.setsid()
    emit = wire.make_emit(confine.take_descriptors(*descriptors), token)
    os.chdir(config["folder"])
    confine.set_limits(config)
    confine.drop_privileges(config["uid"])
    # `site` is not loaded, and a program may well say exit().
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    sys.argv[:] = [""]
    files = [TaskFile(config["folder"], name, text, is_test) for name, text, is_test in config["files"]]
    tests = [file for file in files if file.is_test]
    probe = Probe([file.path for file in tests], any("ANY" in file.text for file in tests))
    harden_assertions(probe)
    seals = Seals([Collector, Probe, Seals, Canary], any("addTypeEqualityFunc" in file.text for file in tests))
    sources = {file.path: (file.name, file.text.splitlines()) for file in files}
    collector = Collector(emit, sources, seals, long_names=len(tests) > 1)
    coverage = Coverage() if config["coverage"] else None
    canaries = LOAD(Canary)

    def begin() -> None:
        emit(wire.READY)
        codes = compile_all(files, coverage, emit)
        install(TaskImporter(config["folder"], files, codes, probe), files, config["folder"], at_start)
        if coverage is not None:
            coverage.start()
        modules = run_suite(tests, collector, seals)
        broken = seals.broken(everything=True) or _unprobed(modules, probe)
        if broken:
            emit(wire.TAMPER, broken)
        emit(wire.CANARIES)
        canaries.run(collector)  # type: ignore[arg-type]
        flush()
        emit(wire.DONE, *(str(count) for count in (coverage.counts() if coverage is not None else ())))
        LEAVE(0)  # no code of the task, `atexit` included, has a say after the last test

    return begin


def compile_all(files: list[TaskFile], coverage: Coverage | None, emit: Callable[..., None]) -> dict[str, CodeType]:
    """Code objects by path; ends the process at the first file that is not Python."""
    codes = {}
    for file in files:
        try:
            codes[file.path] = file.compile(coverage)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            emit(wire.COMPILE, f"{file.name}: {headline(error)}")
            LEAVE(0)
    return codes


def run_suite(tests: list[TaskFile], collector: Collector, seals: Seals) -> list[Any]:
    """Imports the test modules and runs all they hold; ends the process on an exception that no test catches."""
    try:
        modules = [_import(file.module) for file in tests]
        # A TestCase that the solution defines, or that another test file lends, is none of this module's tests.
        # Once each, also where a class has two names.
        classes = dict.fromkeys(
            item
            for module in modules
            for _, item in sorted(vars(module).items())
            if isinstance(item, type) and item.__module__ == module.__name__
        )
        seals.add_tests(classes)
        suite = unittest.TestSuite(LOAD(item) for item in classes if issubclass(item, unittest.TestCase))
        suite.run(collector)  # type: ignore[arg-type]
    except BaseException as error:  # KeyboardInterrupt and SystemExit pass through unittest
        collector.abort(error)
        flush()
        LEAVE(0)
    return modules


def _import(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def _unprobed(modules: list[Any], probe: Probe) -> str:
    return next(("probe" for module in modules if vars(module).get("__probe__") is not probe), "")
