"""The read-only files that a program may see: the interpreter, the system's libraries, the preloaded packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store")
# (path, where it leads) in tiers where `/box` is the only place to write to.
LINKS = (("/tmp", "/box/tmp"), ("/var", "/box"), ("/dev/shm", "/box/shm"), ("/dev/fd", "/proc/self/fd"))
# What the dynamic linker reads; nothing here tells whose machine this is.
ETC = ("/etc/ld.so.cache", "/etc/alternatives")


def visible(packages: Iterable[str]) -> list[str]:
    """Existing paths, none below another: what every run may read and execute. `packages`: folders of sys.path."""
    wanted = [*SYSTEM, *ETC, sys.base_prefix, sys.base_exec_prefix, *packages]
    # As named and as meant: sys.path may go through links.
    names = dict.fromkeys(path for name in wanted for path in (os.path.abspath(name), os.path.realpath(name)))
    found = [path for path in names if os.path.exists(path)]
    return [path for path in found if not any(path != other and below(path, other) for other in found)]


def links(shown: Iterable[str]) -> list[tuple[str, str]]:
    """Those of `LINKS` whose place is free: an environment below /tmp, say, keeps its place, and a program then finds its
    own temporary folder by TMPDIR only."""
    return [(link, target) for link, target in LINKS if not any(below(path, link) for path in shown)]


def below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
