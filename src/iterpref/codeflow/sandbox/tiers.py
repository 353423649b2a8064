"""Which walls this machine gives, found out by putting them up, and what each of them does not cover."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from iterpref.codeflow.sandbox import bwrap
from iterpref.codeflow.sandbox.child import wire
from iterpref.codeflow.sandbox.intake import limits_of, task_of
from iterpref.codeflow.sandbox.protocol import FunctionCases, Limits, RunRequest
from iterpref.codeflow.sandbox.server import Server, ServerError
from iterpref.codeflow.sandbox.workspace import RunFolder, Users, base_folder
from iterpref.errors import UserError
from iterpref.schema import SourceFile

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
    """Runs a program in the tier, for some walls are put up by its own process only; once a process."""
    request = RunRequest((SourceFile("solution.py", ""),), FunctionCases(("1 + 1",), (2,)), Limits(wall_s=60, cpu_s=30))
    users = Users()
    try:
        server = start(tier, (), users, request.limits.disk_mb)
        try:
            with ExitStack() as stack:
                here = place(tier, request.limits, users, None, stack)
                report = server.run(limits_of(request) | {"folder": here["folder"]}, task_of(request) | here)
        finally:
            server.close()
    except (ServerError, OSError, UserError) as error:
        return Probe(tier, False, str(error))
    told = [frame[0] for frame in report["frames"]]
    return Probe(
        tier, wire.DONE in told, "" if wire.DONE in told else f"a program did not run: {report['stderr'][-300:]}"
    )


def place(tier: str, limits: Limits, users: Users, n_processes: int | None, stack: ExitStack) -> dict[str, Any]:
    """Where a run lives and who it is, in tiers where that is not the server's business; `stack` cleans up.

    `n_processes`: limit for all of our user's processes together, where runs have no user of their own.
    """
    if tier in OWN_FILES:
        return {"uid": None, "own_uid": False, "nproc": None, "folder": None}
    uid = users.pick()
    folder = stack.enter_context(RunFolder(base_folder(uid is not None), uid, users.own)).path
    nproc = limits.processes if users.own else n_processes
    return {"uid": uid, "own_uid": users.own, "nproc": nproc, "folder": str(folder)}


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
