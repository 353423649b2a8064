"""The examples of docs/extending.md, as a user has them: files that register themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from iterpref.registry import import_plugins

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="session", autouse=True)
def examples() -> Path:
    import_plugins([str(path) for path in sorted(EXAMPLES.glob("*.py"))])
    return EXAMPLES
