"""Losses, mask rules, localisers, task sources and benchmarks by name: ours, and anybody's.

    @LINKS.register("cautious")
    def cautious(k_plus_P, k_minus_P, config): ...

The schema asks these registries which names there are, so that `loss.link=cautious` is an option like any other from then on: in
a notebook's next cell, or on a command line that names the file first (`plugins=[my_loss.py]`). docs/extending.md has an example
of each. What stages and runs are keyed by covers the source of what was added: a changed rule is a new rule.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from iterpref.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Collection[str]):
    """Functions by name. `built_in` are ours, which the module `home` registers when it is first needed; all others are added."""

    def __init__(self, option: str, home: str, built_in: Sequence[str]) -> None:
        self.option, self._home, self.built_in = option, home, tuple(built_in)
        self._functions: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """A decorator; the same name again replaces what was added under it, so that a notebook's cell can be run twice."""

        def add(function: F) -> F:
            if name in self.built_in and function.__module__ != self._home:
                raise UserError(f"{self.option}={name} is built in: give yours another name")
            if not name.replace("_", "").isalnum() or not name.islower():
                raise UserError(f"{self.option}={name}: a name of small letters, digits and underscores was expected")
            self._functions[name] = function
            return function

        return add

    def remove(self, name: str) -> None:
        """Forgets what was added under the name; ours stay."""
        if self.is_added(name):
            self._functions.pop(name, None)

    def get(self, name: str) -> Callable[..., Any]:
        if name not in self._functions and name in self.built_in:
            importlib.import_module(self._home)
        if name not in self._functions:
            raise UserError(
                f"{self.option}={name} is none of {', '.join(self)}: name the file that registers it, plugins=[FILE.py]"
            )
        return self._functions[name]

    def is_added(self, name: str) -> bool:
        """Whether the name is somebody's, and not ours."""
        return name not in self.built_in

    def is_local(self, name: str) -> bool:
        """Whether only this process knows it: it was defined in a notebook or a script, which no other process imports."""
        return self.is_added(name) and self.get(name).__module__ == "__main__"

    def digest(self, name: str) -> str | None:
        """What the result of an added function depends on, besides its arguments: its source. None for our own, whose results our
        tests hold still."""
        if not self.is_added(name):
            return None
        function = self.get(name)
        try:
            # The file, not the function alone: what it calls stands beside it. A cell is a file of its own.
            source = (
                inspect.getsource(sys.modules[function.__module__])
                if not self.is_local(name)
                else inspect.getsource(function)
            )
        except (OSError, TypeError, KeyError):
            source = repr((function.__code__.co_code, function.__code__.co_consts, function.__code__.co_names))
        return hashlib.sha256(source.encode()).hexdigest()[:16]

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter((*self.built_in, *(name for name in self._functions if name not in self.built_in)))

    def __len__(self) -> int:
        return len(list(iter(self)))


LINKS = Registry("loss.link", "iterpref.losses", ("sigmoid", "hinge", "ipo"))
MASKS = Registry(
    "mask.chosen or mask.rejected", "iterpref.data.masking", ("full", "fence", "focal", "diff_aug", "soft")
)
LOCALISERS = Registry("pairs.diff", "iterpref.data.diff", ("lcs", "ndiff", "prefix_suffix", "token_lcs"))
# Functions of their section's config: task sources return a list of `Problem`, benchmarks a `Benchmark`.
SOURCES = Registry("problems.source", "iterpref.codeflow.problems", ("bank", "jsonl", "hub", "features"))
BENCHMARKS = Registry(
    "benchmark.name", "iterpref.eval.tasks",
    ("none", "bank", "humaneval", "mbpp", "humaneval_plus", "mbpp_plus", "bigcodebench", "livecodebench"),
)  # fmt: skip


def added_sources(**names: tuple[Registry, str]) -> dict[str, str]:
    """{option: digest} of those that are somebody's: what goes into a key beside the names. Empty for our own."""
    digests = {option: registry.digest(name) for option, (registry, name) in names.items()}
    return {option: digest for option, digest in digests.items() if digest is not None}


def import_plugins(names: Sequence[str]) -> None:
    """Imports what registers itself: files (`folder/my_loss.py`) and modules; raises `UserError` for what cannot be found or imported."""
    for name in names:
        path = Path(name).expanduser()
        try:
            if name.endswith(".py"):
                _import_file(path)
            else:
                importlib.import_module(name)
        except (OSError, ImportError) as error:
            raise UserError(
                f"plugins={name} cannot be imported: {error}; a module or a file FILE.py was expected"
            ) from None


def _import_file(path: Path) -> None:
    known = f"iterpref_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if known in sys.modules:
        return
    if not path.is_file():
        raise UserError(f"plugins={path}: there is no such file")
    spec = importlib.util.spec_from_file_location(known, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known]
        raise
