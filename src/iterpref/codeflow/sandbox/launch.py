"""Starts one child, waits for its report, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

CHILD = Path(__file__).parent / "child"
BOOT = """
import marshal, os, sys
size, data = int.from_bytes(os.read(0, 8), "big"), b""
while len(data) < size:
    data += os.read(0, size - len(data)) or sys.exit(4)
CODES = marshal.loads(data)
exec(CODES["harness"], {"CODES": CODES})
"""
GRACE_S = 10.0  # beyond the wall limit: time for the child to start, kill and report on a busy machine
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # else each thread reserves 64 MiB of the address space limit
}


@cache
def bundle() -> bytes:
    """The child's modules as bytecode, by name; compiled once a process."""
    files = (path for path in CHILD.glob("*.py") if path.stem != "__init__")
    return marshal.dumps(
        {file.stem: compile(file.read_bytes(), str(file), "exec", dont_inherit=True) for file in files}
    )


class LaunchError(Exception):
    """The child could not be started, or died without a report: no verdict."""


class Launch:
    """One child process. `cancel` may be called from any thread."""

    def __init__(self, folder: Path, uid: int | None) -> None:
        self._folder, self._uid = str(folder), uid
        self._lock = threading.Lock()
        # The supervisor watches the other end: it ends everything when we cancel, die, or are killed. PR_SET_PDEATHSIG
        # would fire when the thread that started the child ends, and macOS has no such thing.
        self._reading, self._lifeline = os.pipe()

    def cancel(self) -> None:
        with self._lock:
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1

    def run(self, config: dict[str, Any]) -> dict[str, Any]:
        """The child's report; raises `LaunchError`."""
        nonce = secrets.token_hex(16)
        message = b"".join(
            len(part).to_bytes(8, "big") + part for part in (bundle(), json.dumps(config).encode(), nonce.encode())
        )
        process = None
        clean = False
        try:
            if self._lifeline < 0:
                raise LaunchError("cancelled")
            # The folder among the arguments marks the run's processes for `_sweep`.
            process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", "-c", BOOT, self._folder, str(self._reading)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**ENVIRONMENT, "HOME": self._folder, "TMPDIR": self._folder},
                cwd="/",
                umask=0o077,
                start_new_session=True,
                pass_fds=(self._reading,),
            )
            out, err = process.communicate(message, timeout=config["wall_s"] + GRACE_S)
            report = _parse(out, nonce)
            if report is None:
                last = err.decode("utf-8", "replace").strip()[-300:]
                raise LaunchError(f"the child ended with {process.returncode} and no report: {last}")
            clean = True
            return report
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LaunchError(f"{type(error).__name__}: {error}") from error
        finally:
            self.cancel()
            os.close(self._reading)
            if process is not None:
                _end(process)
            if process is not None and (not clean or sys.platform != "linux"):
                self._sweep()

    def _sweep(self) -> None:
        """Kills every process that carries our folder's name, after a supervisor that could not do it itself."""
        deadline = time.monotonic() + 2.0
        find = self._marked_linux if sys.platform == "linux" else self._marked
        while (pids := find()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def _marked_linux(self) -> list[int]:
        marker = self._folder.encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if b"Z" in (entry / "stat").read_bytes().rpartition(b")")[2][:3]:
                        continue
                    mine = self._uid is not None and b"\nUid:\t%d\t" % self._uid in (entry / "status").read_bytes()
                    if mine or marker in (entry / "cmdline").read_bytes() or marker in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue  # ended meanwhile, or another user's
        return found

    def _marked(self) -> list[int]:
        listing = subprocess.run(["ps", "-AwwE", "-o", "pid=,command="], capture_output=True, text=True, check=False)
        rows = (row.split(None, 1) for row in listing.stdout.splitlines() if self._folder in row)
        return [int(row[0]) for row in rows if int(row[0]) != os.getpid()]


def _end(process: subprocess.Popen[bytes]) -> None:
    """The cancelled supervisor gets a moment to kill the program; then its group goes, whatever it does."""
    try:
        process.wait(timeout=2.5)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _parse(data: bytes, nonce: str) -> dict[str, Any] | None:
    try:
        report = json.loads(data)
    except ValueError:
        return None
    return report if isinstance(report, dict) and report.get("nonce") == nonce else None
