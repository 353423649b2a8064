"""System calls that the standard library lacks. Each raises OSError with the call's name."""

from __future__ import annotations

import ctypes
import os
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 20
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

ON_LINUX = sys.platform == "linux"
# Made before the fork: a child that makes objects pays for every page that they touch.
_CAPSET_HEADER = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_libc = ctypes.CDLL(None, use_errno=True)


def failure(what: str) -> OSError:
    """What the last call of a library that was opened with `use_errno` failed by."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _check(result: int, what: str) -> None:
    if result < 0:
        raise failure(what)


def prctl(option: int, value: int) -> None:
    """A hardening, and no more: nothing happens off Linux, and a kernel that refuses is no error."""
    if ON_LINUX:
        _libc.prctl(option, value, 0, 0, 0)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), f"setns({kind:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    values = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*values, flags, None if data is None else data.encode()), f"mount {target}")


def detach(target: str) -> None:
    """Unmounts a whole tree, whoever still uses it."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root: its number is known for {sorted(_PIVOT_ROOT)}, not for {os.uname().machine}")
    _check(_libc.syscall(number, os.fsencode(new), os.fsencode(old)), "pivot_root")


def drop_capabilities() -> None:
    """Gives up every capability for good."""
    _check(_libc.capset(_CAPSET_HEADER, _NO_CAPABILITIES), "capset")
