"""The programs that the sandbox benchmark and its soak run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.util import find_spec

from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.sandbox.protocol import FunctionCases, Limits, RunRequest
from iterpref.schema import SourceFile, Verdict


@dataclass(frozen=True)
class Workload:
    """Requests that all pass, to be taken in turn."""

    name: str
    requests: tuple[RunRequest, ...]
    lacks: str = ""  # a module that is not installed here: nothing can be measured

    @property
    def preload(self) -> tuple[str, ...]:
        return self.requests[0].preload


def function(text: str, limits: Limits = Limits(), preload: tuple[str, ...] = (), expected: object = 45) -> RunRequest:
    """The source of `f`, called once with 10."""
    return RunRequest(
        (SourceFile("solution.py", text),), FunctionCases(("f(10)",), (expected,)), limits, preload=preload
    )


def workloads() -> list[Workload]:
    """The four kinds of task that a data set has."""
    bank = [RunRequest(p.reference, p.tests) for p in load_bank()]
    random.Random(0).shuffle(bank)  # by category some are slower: each round shall have its share of them
    cases = FunctionCases(tuple((n,) for n in range(20)), tuple(n * (n - 1) // 2 for n in range(20)), "f")
    calls = RunRequest((SourceFile("solution.py", "def f(n):\n    return sum(range(n))\n"),), cases)
    numpy = function("import numpy as np\n\ndef f(n):\n    return int(np.arange(n).sum())\n", preload=("numpy",))
    pandas = function(
        "import pandas as pd\n\ndef f(n):\n    return int(pd.DataFrame({'a': range(n)}).sum()['a'])\n",
        preload=("numpy", "pandas"),
    )
    return [
        Workload("unittest, our bank", tuple(bank)),
        Workload("20 function cases", (calls,)),
        _needing("numpy preloaded", numpy),
        _needing("numpy, pandas preloaded", pandas),
    ]


def _needing(name: str, request: RunRequest) -> Workload:
    absent = [module for module in request.preload if find_spec(module) is None]
    return Workload(name, (request,), ", ".join(absent))


# 1 MiB as a program prints it, line by line; and the same without a word.
LOUD = function(
    "def f(n):\n    for _ in range(1024):\n        print('x' * 1023)\n    return 45\n", Limits(output_kb=2048)
)
QUIET = function("def f(n):\n    for _ in range(1024):\n        'x' * 1023\n    return 45\n", Limits(output_kb=2048))
NAP = "import time\n\ndef f(n):\n    time.sleep(0.3)\n    return 45\n"  # keeps a worker busy while others start

_LITTER = """
import time

def f(n):
    for folder in (".", "/tmp", "/var/tmp", "/dev/shm"):
        try:
            with open(f"{folder}/{TOKEN}-{time.time_ns()}", "w") as file:
                file.write("left behind")
        except OSError:
            pass
    return 45
"""
_DAEMON = """
import os, time

def f(n):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    os.wait()
    return 45
"""


Kind = tuple[str, int, RunRequest, Verdict]  # name, how many of 200 runs, request, the verdict that it must get


def soak_mix(token: str) -> list[Kind]:
    """All kinds of program. The name of every file that they leave behind begins with `token`."""
    suite = next(p for p in load_bank() if len(p.tests.files) == 1)
    quick = Limits(wall_s=1.0, cpu_s=0.3)
    return [
        ("unittest", 40, RunRequest(suite.reference, suite.tests), Verdict.PASS),
        ("passes", 40, function("def f(n):\n    return 45\n"), Verdict.PASS),
        ("fails", 40, function("def f(n):\n    return 44\n"), Verdict.FAIL),
        ("raises", 20, function("def f(n):\n    return 1 / 0\n"), Verdict.ERROR),
        ("crashes", 20, function("import os\n\ndef f(n):\n    os.abort()\n"), Verdict.CRASH),
        ("leaves a daemon", 19, function(_DAEMON), Verdict.PASS),
        ("leaves files", 15, function(f"TOKEN = {token!r}\n{_LITTER}"), Verdict.PASS),
        (
            "prints too much",
            5,
            function("def f(n):\n    while True:\n        print('x' * 4096)\n"),
            Verdict.OUTPUT_LIMIT,
        ),
        ("never ends", 1, function("def f(n):\n    while True:\n        pass\n", quick), Verdict.TIMEOUT),
    ]
