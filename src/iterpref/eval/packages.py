"""Which packages a program needs, and which of them are here."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Collection
from functools import lru_cache
from importlib.metadata import packages_distributions, version

from iterpref.codeflow.code import imported, tree_of

# What is worth importing before a run: a root of the left needs, at least, the modules on the right. Each set has a
# server of its own, so that there are few: the first entry that covers all roots is taken.
_WARM: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"numpy"}), ("numpy",)),
    (frozenset({"numpy", "pandas"}), ("numpy", "pandas")),
    (frozenset({"numpy", "pandas", "matplotlib"}), ("numpy", "pandas", "matplotlib.pyplot")),
    (
        frozenset({"numpy", "pandas", "matplotlib", "scipy", "sklearn", "seaborn"}),
        ("numpy", "pandas", "matplotlib.pyplot", "scipy.stats", "sklearn.linear_model", "seaborn"),
    ),
)
_KNOWN = _WARM[-1][0]


@lru_cache(maxsize=4096)
def third_party(source: str) -> frozenset[str]:
    """Roots of all modules that the source imports anywhere and that are not Python's own; none if it does not parse."""
    roots = {module.partition(".")[0] for module in imported(tree_of(source))}
    return frozenset(roots - sys.stdlib_module_names)


@lru_cache(maxsize=1024)
def is_installed(root: str) -> bool:
    """Whether this interpreter finds the package; nothing of it is imported."""
    try:
        return importlib.util.find_spec(root) is not None
    except (ImportError, ValueError):
        return False


def absent(roots: Collection[str]) -> list[str]:
    return sorted(root for root in roots if not is_installed(root))


def to_preload(roots: Collection[str]) -> tuple[str, ...]:
    """Modules to import before a run that needs these packages; those that are absent are left out."""
    here = {root for root in roots if is_installed(root)}
    known = here & _KNOWN
    if known:
        modules = next(modules for covered, modules in _WARM if known <= covered)
        return tuple(module for module in modules if is_installed(module.partition(".")[0]))
    # One name is enough to show the program this environment's packages.
    return tuple(sorted(here)[:1])


@lru_cache(maxsize=16)
def environment(roots: frozenset[str]) -> dict[str, str]:
    """Versions of Python and of those of these packages that are here: what a verdict depends on beside the program."""
    owners = packages_distributions()
    found = {root: version(owners[root][0]) for root in sorted(roots & owners.keys()) if is_installed(root)}
    return {"python": platform.python_version(), **found}
