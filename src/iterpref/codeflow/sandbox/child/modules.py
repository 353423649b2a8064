"""Compiles the task's files and imports them: tests from memory (their source is nowhere on disk), solutions alike.

Also pins what an import would draw from the clock or the kernel: the seed of `random`, the names of `tempfile`.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType, SimpleNamespace

from . import checks
from .lines import Coverage
from .probe import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TaskFile:
    """One .py file: where it would lie, and the module it makes."""

    def __init__(self, folder: str, name: str, text: str, is_test: bool, compiled: CodeType | None = None) -> None:
        self.path, self.name, self.text, self.is_test = f"{folder}/{name}", name, text, is_test
        self._compiled = compiled
        self.namespace: dict[str, Any] | None = None  # of the module that was made of it
        # What tracebacks call it: the same in every run for a test, which is compiled ahead.
        self.label = checks.label(name) if is_test else self.path
        *parents, stem = name.removesuffix(".py").split("/")
        self.is_package = stem == "__init__" and bool(parents)
        parts = parents if self.is_package else [*parents, stem]
        # A dot in a stem would read as a package.
        self.module = ".".join(part.replace(".", "_") for part in parts)

    def compile(self, coverage: Coverage | None) -> CodeType:
        """Raises SyntaxError, ValueError (NUL), RecursionError or MemoryError (nested too deeply)."""
        if self._compiled is not None:
            return self._compiled
        if self.is_test:
            return checks.compile_checks(self.name, self.text)
        source = self.text.encode("utf-8")
        code = compile(source, self.label, "exec", dont_inherit=True)
        if coverage is not None:
            coverage.add(self.label, ast.parse(source, self.label), code)
        return code


class TaskImporter:
    """Finder and loader of the task's modules, in front of all others."""

    def __init__(self, folder: str, files: Sequence[TaskFile], codes: Mapping[str, CodeType], probe: Probe) -> None:
        self._folder = folder
        self._files = {file.module: file for file in files}
        self._codes = codes
        self._probe = probe
        # A folder of tests without an __init__.py exists in memory only, and is a package all the same.
        parents = (name.rpartition(".")[0] for name in self._files)
        self._folders = {
            ".".join(parts[:i]) for parent in parents if parent for parts in [parent.split(".")]
            for i in range(1, len(parts) + 1)
        } - self._files.keys()  # fmt: skip

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        # Of a package of somebody else's, such as unittest, a task's file is no part.
        own = path is None or any(str(folder).startswith(self._folder) for folder in path)
        file = self._files.get(name) if own else None
        loader: Any = self  # import asks a loader for its methods, not for its class
        if file is not None:
            spec = ModuleSpec(name, loader, origin=file.path, is_package=file.is_package)
            spec.has_location = True
            if file.is_package:
                spec.submodule_search_locations = [os.path.dirname(file.path)]
            return spec
        if own and name in self._folders:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [f"{self._folder}/{name.replace('.', '/')}"]
            return spec
        if name in AFTER_IMPORT:
            found = PathFinder.find_spec(name, path)
            if found is not None and found.loader is not None:
                loader = _Pinned(found.loader, AFTER_IMPORT[name])
                found.loader = loader
            return found
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """None asks for an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        file = self._files[module.__name__]
        if file.is_test:
            vars(module)[checks.PROBE] = self._probe
        file.namespace = file.namespace or vars(module)
        exec(self._codes[file.path], vars(module))

    def get_source(self, name: str) -> str | None:
        """For `inspect` and tracebacks; a test's source is not to be had."""
        file = self._files[name]
        return None if file.is_test else file.text

    def get_code(self, name: str) -> CodeType | None:
        """For `runpy`."""
        file = self._files[name]
        return None if file.is_test else self._codes[file.path]

    def get_filename(self, name: str) -> str:
        return self._files[name].path

    def get_data(self, path: str) -> bytes:
        """For `pkgutil`; files beside the modules lie on the disk."""
        with open(path, "rb") as file:
            return file.read()

    def get_resource_reader(self, name: str) -> Any:
        """For `importlib.resources`."""
        from importlib.readers import FileReader  # here: it takes milliseconds

        return FileReader(SimpleNamespace(path=self.get_filename(name)))  # type: ignore[arg-type]

    def is_package(self, name: str) -> bool:
        return self._files[name].is_package


class _Pinned:
    """A loader that sets a standard module's hidden state right after the module's own code."""

    def __init__(self, loader: Any, pin: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._pin = pin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._pin(module)


def _pin_random(module: Any) -> None:
    module.seed(0)


def _pin_tempfile(module: Any) -> None:
    names = module._RandomNameSequence()
    names._rng, names._rng_pid = module._Random(0), os.getpid()
    module._name_sequence = names


AFTER_IMPORT: dict[str, Callable[[ModuleType], None]] = {
    "random": _pin_random,
    "numpy.random": _pin_random,
    "tempfile": _pin_tempfile,
}


def pin(*names: str) -> None:
    """The same for modules that are loaded already. `random` keeps its state through a fork, `tempfile` does not."""
    for name in names:
        if name in sys.modules:
            AFTER_IMPORT[name](sys.modules[name])


def install(importer: TaskImporter, files: Sequence[TaskFile], folder: str, at_start: Collection[str]) -> None:
    """Puts the task first on the path, and forgets modules that we loaded and that the task's files replace."""
    sys.meta_path.insert(0, importer)  # type: ignore[arg-type]
    sys.path.insert(0, folder)
    for file in files:
        name = file.module.partition(".")[0]
        if name in sys.modules and name not in at_start and name != "unittest":
            for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                del sys.modules[loaded]
