"""Our end of one fork server: starts it, hands it one run at a time, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from iterpref.codeflow.sandbox.child import wire
from iterpref.codeflow.sandbox.child.supervisor import PATIENCE
from iterpref.errors import UserError

CHILD = Path(__file__).parent / "child"
BOOT = """
import marshal, os, sys
size, data = int.from_bytes(os.read(0, 8), "big"), b""
while len(data) < size:
    data += os.read(0, size - len(data)) or sys.exit(4)
CODES = marshal.loads(data)
exec(CODES["harness"], {"CODES": CODES})
"""
# Not `-I`: it would make Python ignore PYTHONHASHSEED. Nothing is in the environment but this, so `-s -P` isolate as well.
PYTHON = ("-s", "-S", "-P", "-B", "-c", BOOT)
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",  # for programs that ask for it
    "LD_BIND_NOW": "1",  # names that the linker looks up late, each forked child would look up again
    "MALLOC_ARENA_MAX": "2",  # else each thread reserves 64 MiB of the address space limit
    # A library's own threads would not live through the fork, and give other sums on another number of cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
START_S = 120.0  # for a busy machine to import what is preloaded
GRACE_S = 15.0  # beyond the longest that a run may take: time to kill and report on a busy machine
MAX_REPORT = 256 << 20  # bytes; a supervisor's report is bounded by its limits, so more is not one


@cache
def bundle() -> bytes:
    """The child's modules as bytecode, by name; compiled once a process."""
    files = (path for path in CHILD.glob("*.py") if path.stem != "__init__")
    return marshal.dumps(
        {file.stem: compile(file.read_bytes(), f"<sandbox>/{file.name}", "exec", dont_inherit=True) for file in files}
    )


class ServerError(Exception):
    """The server could not be started, or died without a report: no verdict."""


class Server:
    """One fork server. One thread at a time may call `run`; `close` may be called from any thread.

    `command`: what starts a program within outer walls, without the program. Raises `ServerError` when the tier's walls
    cannot be put up, and `UserError` when a module that is to be preloaded cannot be imported.
    """

    def __init__(self, setup: dict[str, Any], command: Sequence[str] = ()) -> None:
        # Among the arguments: marks the server's processes for `_sweep`.
        self._marker = f"iterpref-{secrets.token_hex(8)}"
        self._lock = threading.Lock()
        self._closed = False
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        try:
            self._process = subprocess.Popen(
                [*command, interpreter(), *PYTHON, self._marker],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=ENVIRONMENT,
                cwd="/",
                bufsize=0,
                umask=0o077,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._errors.close()
            raise ServerError(f"{type(error).__name__}: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)  # a server that reads no more must not hold us for ever
        try:
            self._write(_part(bundle()) + _part(json.dumps(setup).encode()), time.monotonic() + START_S)
            answer = json.loads(self._line(time.monotonic() + START_S))
        except (OSError, ValueError) as error:
            words = self._last_words()
            self.close()
            raise ServerError(f"the fork server did not start: {words or error}") from error
        if "preload" in answer:
            self.close()
            raise UserError(
                f"sandbox: preload {answer['preload']!r}: expected a module that can be imported here, got {answer['error']}"
            )
        if "ready" not in answer:
            self.close()
            raise ServerError(str(answer.get("error")))

    def run(self, limits: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
        """The report of one run; raises `ServerError`, after which the server is of no more use."""
        deadline = time.monotonic() + limits["wall_s"] * PATIENCE + GRACE_S
        try:
            self._write(wire.RUN + _part(json.dumps(limits).encode()) + _part(marshal.dumps(task)), deadline)
            size = int.from_bytes(self._read(8, deadline), "big")
            if size > MAX_REPORT:
                raise ValueError(f"a report of {size} bytes")
            report: dict[str, Any] = json.loads(self._read(size, deadline))
            return report
        except (OSError, ValueError) as error:
            words = self._last_words()
            self.close()
            raise ServerError(f"the fork server gave no report: {words or error}") from error

    @property
    def alive(self) -> bool:
        return not self._closed and self._process.poll() is None

    def cancel(self) -> None:
        """Hangs up: the run that is going on, if any, ends, and so does the server."""
        with self._lock:
            if not self._closed and self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()

    def close(self) -> None:
        """Ends the server and all that it started; waits for it."""
        self.cancel()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        clean = _ended(self._process, 2.5)
        if not clean:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._out_close()
        self._errors.close()
        if not clean or self._process.returncode != 0:
            _sweep(self._marker)

    def _out_close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _last_words(self) -> str:
        _ended(self._process, 0.2)
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            return self._errors.read()[-2000:].decode("utf-8", "replace").strip()[-300:]
        return ""

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            _wait(self._in, select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._in, view) :]

    def _read(self, size: int, deadline: float) -> bytes:
        parts, left = [], size
        while left:
            _wait(self._out, select.POLLIN, deadline)
            part = os.read(self._out, min(left, 1 << 20))
            if not part:
                raise OSError("it ended")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _line(self, deadline: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._read(1, deadline)
        return line


def interpreter() -> str:
    """The interpreter's own path, not that of a virtual environment's link: its libraries lie beside it."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _part(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise OSError("it did not answer in time")


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _sweep(marker: str) -> None:
    """Kills every process that carries the marker, after a server that could not do it itself."""
    deadline = time.monotonic() + 2.0
    find = _marked_linux if sys.platform == "linux" else _marked
    while (pids := find(marker)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _marked_linux(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                zombie = b"Z" in (entry / "stat").read_bytes().rpartition(b")")[2][:3]
                if not zombie and marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def _marked(marker: str) -> list[int]:
    listing = subprocess.run(["ps", "-Aww", "-o", "pid=,command="], capture_output=True, text=True, check=False)
    rows = (row.split(None, 1) for row in listing.stdout.splitlines() if marker in row)
    return [int(row[0]) for row in rows if int(row[0]) != os.getpid()]
