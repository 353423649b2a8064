"""The sandbox: which tiers hold on this machine, found out by running a program in each, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from iterpref.codeflow.sandbox.sharing import system_file
from iterpref.doctor.finding import Finding, words

PROC = Path("/proc")
LSM = Path("/sys/kernel/security/lsm")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
SAFE = ("namespaces", "landlock")  # what sandbox.tier=auto chooses from, the stronger one first
TIERS = (*SAFE, "plain", "bwrap")
UNSAFE = "sandbox.allow_unsafe=true"
# (file under /proc/sys, the value that forbids namespaces, one that allows them)
SYSCTLS = (
    *((f"user/max_{kind}_namespaces", "0", "15000") for kind in ("user", "mnt", "pid", "net", "ipc", "uts")),
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian's own
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu from 23.10 on
)
OPEN_CONTAINER = "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
ORDINARY_USER = "docker run --user 1000  # or start as an ordinary user otherwise"
PROGRAM = """
import os, socket

def reach(path, port, pid):
    reached = []
    try:
        open(path).close()
        reached.append("a file of ours")
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        reached.append("a port of ours")
    except OSError:
        pass
    try:
        os.kill(pid, 0)
        reached.append("our process")
    except OSError:
        pass
    return reached
"""


def check_sandbox() -> Iterator[Finding]:
    """One line for the tier that `sandbox.tier=auto` takes, one for each tier."""
    tried = {tier: attempt(tier) for tier in TIERS}
    auto, used = chosen(), next((tier for tier in SAFE if tried[tier] == ("", ())), None)
    if used is None:
        found = "no safe tier works here; with this override programs run without walls around files and network"
        yield Finding("Sandbox", "missing", found, UNSAFE)
    elif auto != used:
        yield Finding("Sandbox", "missing", f"sandbox.tier=auto is {auto} here, and that fails", f"sandbox.tier={used}")
    else:
        yield Finding("Sandbox", "ok", f"sandbox.tier=auto is {used} here")
    if runs_as_root():
        found = "programs run as root, as this root may not become another user"
        yield Finding("Sandbox user", "warning", found, ORDINARY_USER)
    for tier, (reason, reached) in tried.items():
        if reason:
            yield Finding(f"tier {tier}", "warning", words(reason), remedy(tier, reason, used))
        elif reached and tier != "plain":
            fallback = f"sandbox.tier={used}" if used else UNSAFE
            yield Finding(f"tier {tier}", "warning", f"does not hold: a program reached {', '.join(reached)}", fallback)
        else:
            seen = ", ".join(reached) or "no file, port or process of ours"
            yield Finding(f"tier {tier}", "ok", f"works; a program reached {seen}{_version(tier)}")


def attempt(tier: str) -> tuple[str, tuple[str, ...]]:
    """(why no program runs in the tier, or ""; what a program in it reached of ours)."""
    # All else of the report must stand where the sandbox cannot even be imported.
    from iterpref.codeflow.sandbox.pool import PooledSandbox
    from iterpref.codeflow.sandbox.protocol import FunctionCases, RunRequest
    from iterpref.codeflow.sandbox.tiers import probe
    from iterpref.errors import UserError
    from iterpref.schema import SourceFile, Verdict

    probed = probe(tier)
    if not probed.works:
        return probed.reason or "it does not say why", ()
    with ExitStack() as stack:
        try:
            sandbox = PooledSandbox(workers=1, tier=tier, allow_unsafe=True)
        except UserError as error:
            return str(error), ()
        stack.callback(sandbox.close)
        file = stack.enter_context(tempfile.NamedTemporaryFile())
        os.chmod(file.name, 0o644)  # nothing but the walls shall be in the way
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        call = (file.name, server.getsockname()[1], os.getpid())
        cases = FunctionCases(calls=(call,), expected=None, function="reach")
        result = sandbox.run(RunRequest((SourceFile("reach.py", PROGRAM),), cases))
    if result.verdict != Verdict.PASS or not result.values:
        return f"{result.verdict}: {result.detail}", ()
    return "", tuple(result.values[0])


def chosen() -> str | None:
    """What `sandbox.tier=auto` takes without running a program in it."""
    from iterpref.codeflow.sandbox.tiers import probe

    return next((tier for tier in SAFE if probe(tier).works), None)


def runs_as_root() -> bool:
    from iterpref.codeflow.sandbox.workspace import Users

    return os.geteuid() == 0 and Users().pick() is None


def remedy(tier: str, reason: str, used: str | None) -> str:
    """The one thing to do where a tier does not work; `used`: the tier that auto takes."""
    fallback = f"sandbox.tier={used}" if used else UNSAFE
    if sys.platform != "linux":
        return fallback
    if tier == "bwrap" and "not installed" in reason:
        return "sudo apt-get install bubblewrap"
    if tier in ("namespaces", "bwrap"):
        if tier == "namespaces" and runs_as_root():
            return ORDINARY_USER
        return forbidding_sysctl() or (OPEN_CONTAINER if in_container() else fallback)
    if tier == "landlock":
        return _landlock_remedy(fallback)
    return "export TMPDIR=DIR" if "temporary folder" in reason else fallback


def forbidding_sysctl() -> str:
    """The command that lifts the setting found to forbid namespaces here, until the next boot; "" if none does."""
    for name, forbids, allows in SYSCTLS:
        if system_file(PROC / "sys" / name) == forbids:
            return f"sudo sysctl -w {name.replace('/', '.')}={allows}"
    return ""


def in_container() -> bool:
    """Whether a container runtime, whose seccomp profile denies namespaces by default, started us."""
    return any(mark.exists() for mark in CONTAINER_MARKS)


def _landlock_remedy(fallback: str) -> str:
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    if version and tuple(map(int, version.groups())) < (5, 13):
        return f"{fallback}  # Landlock came with Linux 5.13; this is {platform.release()}"
    modules = system_file(LSM)
    if modules and "landlock" not in modules.split(","):
        return f"add lsm=landlock,{modules} to the kernel's command line, and boot"
    return OPEN_CONTAINER if in_container() else fallback


def _version(tier: str) -> str:
    if tier != "landlock":
        return ""
    from iterpref.codeflow.sandbox.child import landlock

    return f" (Landlock version {landlock.abi()})"


def coverage() -> dict[str, tuple[str, ...]]:
    """Tier -> what it does not cover here; empty where the sandbox cannot be imported."""
    try:
        from iterpref.codeflow.sandbox.coverage import NOT_COVERED, not_covered

        return {tier: not_covered(tier) for tier in NOT_COVERED}
    except Exception:
        return {}
