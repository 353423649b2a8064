"""The examples of docs/extending.md, as a user has them: files that register themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iterpref.registry import BENCHMARKS, LINKS, LOCALISERS, MASKS, SOURCES, import_plugins

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="package", autouse=True)
def examples() -> Iterator[Path]:
    """Registered for these tests, and for no others."""
    registries = (LINKS, MASKS, LOCALISERS, SOURCES, BENCHMARKS)
    forget()
    before = {registry: set(registry) for registry in registries}
    import_plugins([str(path) for path in sorted(EXAMPLES.glob("*.py"))])
    yield EXAMPLES
    for registry in registries:
        for name in set(registry) - before[registry]:
            registry.remove(name)
    forget()


def forget() -> None:
    """A file that was imported before is not run again, and the tests of this package need not come one after the other."""
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and Path(file).parent == EXAMPLES:
            del sys.modules[name]
