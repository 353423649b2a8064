"""The real commands without a new Python for each: runs that can be killed at any moment, and commands in this process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Imports once, then a fork a run: twenty starts of Python would take most of the test's time.
FORKER = """
import json, os, sys
import iterpref.prepare, iterpref.data.masking, iterpref.models.policy, iterpref.codeflow.generate.setup, openai
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        sys.stdin.close()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        try:
            iterpref.prepare.main(json.loads(line))
        except SystemExit as error:
            os._exit(int(error.code or 0))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Runs:
    """Runs of `iterpref.prepare`, one after the other: `start`, perhaps a kill, then `status`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, command: list[str]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command[3:]) + "\n")
        self._process.stdin.flush()
        return self._line()

    def status(self) -> int:
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    @staticmethod
    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False


@pytest.fixture
def tables() -> Callable[[Path], dict[str, str]]:
    """The finished stages' files by their hash; measured durations, which live apart, are left out."""

    def hashes(data: Path) -> dict[str, str]:
        return {
            path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for stage in ("trajectories", "pairs", "tokens")
            for path in sorted((data / stage).glob("*/*.*"))
            if "timings" not in path.parts
        }

    return hashes


@pytest.fixture
def runs() -> Iterator[Runs]:
    with Runs() as started:
        yield started
