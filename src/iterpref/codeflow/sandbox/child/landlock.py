"""Landlock: a process gives up all files but those below a few paths, and TCP, for good and without being root.

Source: landlock(7) and Documentation/userspace-api/landlock.rst; ABI versions 1 to 7 (Linux 5.13 to 6.15). A newer
kernel is used as version 7.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable

from .linux import PR_SET_NO_NEW_PRIVS, failure

LATEST = 7
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_QUERY_VERSION, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_FIRST_VERSION = (1 << 13) - 1  # these, removing and making: all that version 1 knows
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_UNIX_SOCKET, _SIGNAL = 1 << 0, 1 << 1
_LOG_SAME_EXEC_OFF, _LOG_SUBDOMAINS_OFF = 1 << 0, 1 << 2

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

# Looked up here once: in a fresh child that would cost more than the calls. macOS has no prctl.
_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _syscall = getattr(_libc, "prctl", None), _libc.syscall


def abi() -> int:
    """The kernel's Landlock version; 0 where there is none, or where it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_syscall(_CREATE_RULESET, None, 0, _QUERY_VERSION)))


def handled(abi: int) -> tuple[int, int, int]:
    """What a ruleset takes away at a version: bits for files, for network and for scopes (struct landlock_ruleset_attr)."""
    files = _FIRST_VERSION
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        files |= right if abi >= since else 0
    network = _BIND_TCP | _CONNECT_TCP if abi >= 4 else 0
    scopes = _ABSTRACT_UNIX_SOCKET | _SIGNAL if abi >= 6 else 0
    return files, network, scopes


def restrict(read_only: Iterable[str], writable: Iterable[str], devices: Iterable[str], abi: int) -> None:
    """Takes all but these files from this thread and from all that it starts, for good; sets no_new_privs.

    `read_only`: may be read, listed and executed. `writable`: all that, and made, changed, moved and removed below, but
    no device files. `devices`: character devices to read and to write, without their ioctl commands. Folders stand for
    all below them; paths that do not exist, or that this process cannot reach, give nothing. Before version 2 no file
    can be moved or linked from one folder to another (EXDEV).
    `abi`: what `abi()` said, or less. Raises OSError for 0, and where the kernel refuses.
    """
    if abi < 1:
        raise OSError(f"Landlock: expected a version from 1, got {abi}; this kernel cannot fence files")
    files, network, scopes = handled(abi)
    everything = files & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
    ruleset = _call("landlock_create_ruleset", _CREATE_RULESET, struct.pack("=QQQ", files, network, scopes), 24, 0)
    try:
        for paths, rights in ((read_only, _READ), (writable, everything), (devices, _READ_FILE | _WRITE_FILE)):
            for path in paths:
                _allow(ruleset, path, rights)
        if _prctl is None or _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise failure("prctl(PR_SET_NO_NEW_PRIVS)")
        # What a program tries is its own affair: it must not fill the machine's audit log.
        quiet = _LOG_SAME_EXEC_OFF | _LOG_SUBDOMAINS_OFF if abi >= 7 else 0
        _call("landlock_restrict_self", _RESTRICT_SELF, ruleset, quiet)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _ON_A_FILE  # the kernel takes no other for a file
        rule = struct.pack("=Qi", rights, descriptor)
        _call(f"landlock_add_rule for {path}", _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _call(what: str, number: int, *arguments: int | bytes) -> int:
    result = int(_syscall(number, *arguments))
    if result < 0:
        raise failure(what)
    return result
