"""The tier `bwrap`: bubblewrap puts up the walls, a fresh set for each run. Slower than our own, and not ours.

The same child runs inside: what bubblewrap does not do (limits, the filter of system calls, judging) is as elsewhere.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path

from iterpref.codeflow.sandbox.child import files
from iterpref.codeflow.sandbox.child.namespaces import BOX, USER
from iterpref.codeflow.sandbox.server import ServerError, interpreter

STAGE = Path(__file__).parent / "child" / "stage.py"


@cache
def executable() -> str:
    """bubblewrap's own path: of this environment, else of the system. Raises `ServerError` where there is none."""
    found = shutil.which("bwrap", path=os.path.dirname(sys.executable)) or shutil.which("bwrap")
    if found is None:
        raise ServerError("bubblewrap is not installed: expected `bwrap` on the PATH")
    return os.path.realpath(found)


def command(packages: list[str], disk_mb: int, uid: int | None) -> list[str]:
    """What starts a program, named after it, inside of bubblewrap's walls. `uid`: whom root becomes first."""
    shown = files.visible(packages)
    options = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        "--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox", "--chdir", "/", "--proc", "/proc",
    ]  # fmt: skip
    for path in shown:
        options += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    for path in files.DEVICES:
        options += ["--dev-bind", path, path]
    # The one place to write to, and what leads there.
    options += ["--size", str(disk_mb << 20), "--tmpfs", BOX]
    for link, target in files.links(shown):
        options += ["--symlink", target, link]
    options += ["--remount-ro", "/"]
    start = [executable(), *options, "--"]
    if uid is None:
        return start
    # As root we would be root's user to the kernel, whom no process limit holds.
    return [interpreter(), "-I", "-S", str(STAGE), str(uid), str(len(shown)), *shown, *start]
