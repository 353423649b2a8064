"""Names of a task's files, the folder that a run lives in, and the user that it runs as."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from iterpref.codeflow.sandbox.child.confine import FIRST_OWN_UID
from iterpref.codeflow.sandbox.child.workplace import remove
from iterpref.errors import UserError
from iterpref.schema import SourceFile

NOBODY = 65534
OWN_UID_BITS = 29  # numbers below the signed 32 bits that all tools can read
NEEDED_CAPABILITIES = (0, 1, 5, 6, 7)  # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


class BadFile(Exception):
    """A file of the solution that cannot be written as asked; the message is the verdict's detail."""


def check_names(files: Sequence[SourceFile], tests: Sequence[SourceFile]) -> None:
    """Raises `BadFile` for a solution's fault and `UserError` for one of the suite, before anything is written."""
    for file in tests:
        if not _is_plain_name(file.name):
            raise UserError(
                f"test file name {file.name!r}: expected a relative path of plain parts, such as 'test_a.py'"
            )
        try:
            file.text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"test file {file.name!r}: expected text, got a lone surrogate; mend the suite") from error
    taken = {file.name.casefold() for file in tests}
    for file in files:
        if not _is_plain_name(file.name):
            raise BadFile(f"file name {file.name[:80]!r}")
        folded = file.name.casefold()
        # A file cannot be a folder as well: "a" beside "a/b.py".
        if any(folded == name or name.startswith(f"{folded}/") or folded.startswith(f"{name}/") for name in taken):
            raise BadFile(f"file name {file.name[:80]!r} twice")
        taken.add(folded)


def _is_plain_name(name: str) -> bool:
    parts = name.split("/")
    return (
        name.isprintable()  # neither NUL nor a lone surrogate
        and "\\" not in name
        and ":" not in parts[0]
        and len(name.encode()) <= 1000
        and all(part not in ("", ".", "..") and len(part.encode()) <= 200 for part in parts)
    )


class Users:
    """Whom runs run as: when we are root, each run gets a number of its own, which no account has.

    One user a run keeps RLIMIT_NPROC, signals and left-over files of neighbours apart. Where only some numbers are
    mapped (a rootless container) all runs share `nobody`; where root may not step down at all, `pick` gives None.
    """

    def __init__(self) -> None:
        self._own = self._shared = False
        if os.geteuid() == 0 and sys.platform == "linux" and _may_step_down():
            ranges = [tuple(map(int, row.split())) for row in _read("/proc/self/uid_map").splitlines()]
            self._own = not ranges or any(first <= FIRST_OWN_UID and first + n >= 1 << 31 for first, _, n in ranges)
            self._shared = any(first <= NOBODY < first + n for first, _, n in ranges)

    @property
    def own(self) -> bool:
        return self._own

    def pick(self) -> int | None:
        if self._own:
            return FIRST_OWN_UID + secrets.randbits(OWN_UID_BITS)
        return NOBODY if self._shared else None


def _may_step_down() -> bool:
    """Root of a container may lack what it takes to become another user, and to clean up after that one."""
    effective = next((row for row in _read("/proc/self/status").splitlines() if row.startswith("CapEff:")), "CapEff: 0")
    return all(int(effective.split()[1], 16) >> bit & 1 for bit in NEEDED_CAPABILITIES)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def base_folder(drops: bool) -> Path:
    """Where run folders go: the temporary folder, or, where another user cannot enter that one, a public one."""
    for name in (tempfile.gettempdir(), *SHARED_FOLDERS):
        path = Path(name).resolve()
        if path.is_dir() and (not drops or all(p.stat().st_mode & 0o001 for p in (path, *path.parents))):
            return path
    raise UserError(f"expected a temporary folder that every user may enter, found none; tried {SHARED_FOLDERS}")


class RunFolder:
    """A fresh folder on the machine's own disk, for tiers that have no other. Use as a context manager."""

    def __init__(self, base: Path, uid: int | None, own_uid: bool) -> None:
        self._uid = uid if own_uid else None
        self.path = Path(tempfile.mkdtemp(prefix="iterpref-run-", dir=base))
        if uid is not None:
            os.chown(self.path, uid, uid)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder, also when the program took away rights or nested thousands of folders."""
        _remove(self.path)
        if self._uid is not None:
            _remove_files_of(self._uid)


def _remove(path: Path) -> None:
    """Removes whatever stands at `path`; follows no link, as the program may have put one there."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            remove(str(path))


def _remove_files_of(uid: int) -> None:
    """What a run left in the folders that everyone may write to; its user number tells it from everything else."""
    for folder in SHARED_FOLDERS:
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(folder)):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == uid:
                        _remove(Path(entry.path))
