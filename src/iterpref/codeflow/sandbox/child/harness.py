"""Start of a fork server: `python -s -S -P -B -c BOOT MARKER`, with code, setup and requests on standard input.

BOOT runs this file with `CODES`, the bytecode of its neighbours: nothing of ours lies in a folder that a task could
import from.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

CODES = globals()["CODES"]  # module name -> code object; BOOT put it there
AT_START = frozenset(sys.modules)  # what every Python has loaded; a task's file may stand in for what came later
PACKAGE = "_harness"


class Importer:
    """Finds our own modules, as long as it is on `sys.meta_path`."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        loader: Any = self  # import asks a loader for its methods, not for its class
        if name == PACKAGE:
            return ModuleSpec(name, loader, is_package=True)
        own = name.removeprefix(f"{PACKAGE}.")
        return ModuleSpec(name, loader) if own != name and own in CODES else None

    def create_module(self, spec: ModuleSpec) -> None:
        """None asks for an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ != PACKAGE:
            exec(CODES[module.__name__.removeprefix(f"{PACKAGE}.")], vars(module))


def main() -> None:
    importer = Importer()
    sys.meta_path.insert(0, importer)
    from _harness.server import serve

    def forget() -> None:
        """A program finds nothing of ours by name."""
        sys.meta_path.remove(importer)
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.modules["__main__"] = type(sys)("__main__")

    begin = serve(AT_START, forget)
    # Only a forked test process comes back here, so that no frame below it holds anything of the zygote's.
    begin()


main()
