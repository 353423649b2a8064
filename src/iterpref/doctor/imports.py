"""What the heavy packages say about themselves, a line of JSON each.

A process of its own: a torch that was built for another processor or another driver may end its process, or hang.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

PATIENCE_S = 60.0  # a cold disk


def _torch() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count() if cuda else 0)]
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "mps": torch.backends.mps.is_available(),
        "gpus": [
            {"name": gpu.name, "memory_gib": gpu.total_memory / 2**30, "capability": [gpu.major, gpu.minor]}
            for gpu in gpus
        ],
    }


def _imported(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"version": importlib.import_module(name).__version__}


def _wandb_mode() -> dict[str, Any]:
    from iterpref.tracking import wandb_mode

    return {"mode": wandb_mode("auto")}


ASKED: dict[str, Callable[[], dict[str, Any]]] = {
    "torch": _torch,
    **{name: _imported(name) for name in ("triton", "transformers", "lightning", "datasets", "wandb")},
    "wandb mode": _wandb_mode,
}


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # what the packages print is not our answer
    for name, ask in ASKED.items():
        try:
            answer = ask()
        except (Exception, SystemExit) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(out, json.dumps({name: answer}).encode() + b"\n")


class Answers:
    """Starts the process at once; `answer` waits for it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from iterpref.doctor.imports import main; main()"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._lock = threading.Lock()
        self._said: dict[str, dict[str, Any]] | None = None

    def answer(self, name: str) -> dict[str, Any]:
        """What the package said; `{"error": ...}` if it cannot be imported; `{"untried": ...}` if one before it ended
        the process."""
        with self._lock:
            if self._said is None:
                self._said = self._wait()
        return self._said[name]

    def _wait(self) -> dict[str, dict[str, Any]]:
        try:
            out, _ = self._process.communicate(timeout=PATIENCE_S)
            end = f"ended Python, status {self._process.returncode}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
            end = f"took more than {PATIENCE_S:g} s"
        said: dict[str, dict[str, Any]] = {}
        for line in out.splitlines():
            said.update(json.loads(line))
        culprit, *rest = [name for name in ASKED if name not in said] or [""]
        unsaid = {name: {"untried": f"importing {culprit} {end}"} for name in rest}
        return {**said, culprit: {"error": f"importing it {end}"}, **unsaid}


@cache
def answers() -> Answers:
    """One process for all checks."""
    return Answers()
