"""Which walls this machine gives, found out by putting them up, and what each of them does not cover."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from iterpref.codeflow.sandbox import bwrap
from iterpref.codeflow.sandbox.child import files
from iterpref.codeflow.sandbox.server import Server, ServerError
from iterpref.codeflow.sandbox.workspace import Users
from iterpref.errors import UserError

EMBEDDED = ("namespaces", "landlock", "plain")  # of our own fork server, the strongest first
OWN_FILES = ("namespaces", "bwrap")  # tiers in which a run has a file system of its own


@dataclass(frozen=True)
class Probe:
    """What became of one attempt to put a tier up."""

    tier: str
    works: bool
    reason: str  # the machine's own words where it does not


@cache
def probe(tier: str) -> Probe:
    """Starts a server of the tier and ends it again; once a process."""
    try:
        start(tier, (), Users(), disk_mb=16).close()
    except ServerError as error:
        return Probe(tier, False, str(error))
    return Probe(tier, True, "")


def choose(tier: str, allow_unsafe: bool) -> str:
    """The tier to use: `auto` is the strongest that works. Raises `UserError` where only an unsafe one is left."""
    if tier == "plain":
        if not allow_unsafe:
            raise UserError(
                "sandbox.tier=plain hides neither files nor network from the programs that it runs: "
                "add sandbox.allow_unsafe=true if you trust them, or use sandbox.tier=auto"
            )
        return tier
    wanted = EMBEDDED[:-1] if tier == "auto" else (tier,)
    probes = [probe(name) for name in wanted]
    for result in probes:
        if result.works:
            return result.tier
    reasons = "; ".join(f"{result.tier}: {result.reason}" for result in probes)
    if allow_unsafe and tier == "auto":
        return "plain"
    raise UserError(
        f"no safe sandbox on this machine ({reasons}). `python -m iterpref.doctor` tells what to mend; with "
        "sandbox.allow_unsafe=true programs run without walls around files and network"
    )


def start(tier: str, preload: tuple[str, ...], users: Users, disk_mb: int) -> Server:
    """A server of the tier, whose runs may fill `disk_mb` MiB; raises `ServerError` where the machine does not give it."""
    if tier != "plain" and sys.platform != "linux":
        raise ServerError(f"needs Linux, got {sys.platform}")
    packages = package_folders() if preload else []
    uid = users.pick()
    setup = {
        "tier": tier,
        "preload": preload,
        "packages": packages,
        "uid": uid,
        "own_uid": users.own,
        "disk_mb": disk_mb,
        "warm": tier != "bwrap",  # what is used once need not be imported ahead
    }
    return Server(setup, bwrap.command(packages, disk_mb, uid) if tier == "bwrap" else ())


def package_folders() -> list[str]:
    """Folders of installed packages, this environment's first; programs see them when something is preloaded."""
    names = ("site-packages", "dist-packages")
    return [path for path in sys.path if os.path.basename(path) in names and Path(path).is_dir()]


def readable(preload: bool) -> list[str]:
    """What programs may read, for a report."""
    return files.visible(package_folders() if preload else [])
