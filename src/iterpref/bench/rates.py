"""Runs a second, latency and CPU time of the sandbox, beside those of a bare interpreter, all taking turns."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from iterpref.bench.workloads import LOUD, NAP, QUIET, function, workloads
from iterpref.codeflow.sandbox.child import processes
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import RunRequest, RunResult
from iterpref.codeflow.sandbox.server import interpreter
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.schema import Verdict

ROUNDS = 5
BARE = "python -I -S -c pass"


@dataclass(frozen=True)
class Rate:
    """Figures of one kind of task; None where a module is missing, or where the system does not tell."""

    task: str
    workers: int
    bare: bool = False  # the interpreter alone, without a sandbox
    lacks: str = ""
    runs: int = 0
    per_s: float = 0.0  # median over the rounds
    slowest_per_s: float = 0.0
    fastest_per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    our_cpu_ms: float | None = None  # a run, in this process, supervisors and zygotes
    test_cpu_ms: float | None = None  # a run, in the test process

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Output:
    """What 1 MiB of output costs. `low_ms` and `high_ms`: the quartiles of the difference over the pairs."""

    pairs: int
    quiet_ms: float
    loud_ms: float
    extra_ms: float
    low_ms: float
    high_ms: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Contender:
    """Something that is run again and again by a number of threads; a round at a time."""

    def __init__(self, task: str, workers: int, call: Callable[[], float], bare: bool) -> None:
        self.task, self.workers, self.bare = task, workers, bare
        self._call = call  # one run; returns the CPU milliseconds of the test process
        self._per_s: list[float] = []
        self._latencies_ms: list[float] = []
        self._test_cpu_ms: list[float] = []
        self._our_cpu_ms = 0.0

    def round(self, seconds: float) -> None:
        """Runs for so long, and at least once a thread."""
        before, started = _our_cpu_ms(), time.perf_counter()
        with ThreadPoolExecutor(self.workers) as pool:
            parts = list(pool.map(self._one_thread, [started + seconds] * self.workers))
        elapsed = time.perf_counter() - started
        self._our_cpu_ms += _our_cpu_ms() - before
        done = [row for part in parts for row in part]
        self._per_s.append(len(done) / elapsed)
        self._latencies_ms += [latency for latency, _ in done]
        self._test_cpu_ms += [cpu for _, cpu in done]

    def _one_thread(self, until: float) -> list[tuple[float, float]]:
        done: list[tuple[float, float]] = []
        while not done or time.perf_counter() < until:
            started = time.perf_counter()
            cpu_ms = self._call()
            done.append(((time.perf_counter() - started) * 1000, cpu_ms))
        return done

    def rate(self, known_cpu: bool) -> Rate:
        """`known_cpu`: our processes live on between runs, so that their CPU time can be read."""
        n, test_ms = len(self._latencies_ms), sum(self._test_cpu_ms)
        known = known_cpu and not self.bare and os.path.exists("/proc/self/schedstat")
        cuts = statistics.quantiles(self._latencies_ms, n=100, method="inclusive") if n > 1 else self._latencies_ms * 99
        return Rate(
            task=self.task,
            workers=self.workers,
            bare=self.bare,
            runs=n,
            per_s=statistics.median(self._per_s),
            slowest_per_s=min(self._per_s),
            fastest_per_s=max(self._per_s),
            p50_ms=cuts[49],
            p99_ms=cuts[98],
            our_cpu_ms=self._our_cpu_ms / n if known else None,
            test_cpu_ms=None if self.bare else test_ms / n,
        )


def measure(tier: str, seconds: float, workers: tuple[int, ...]) -> tuple[list[Rate], Output]:
    """All figures, the bare interpreter's first; `seconds` for each. Raises `UserError` for a run that does not pass."""
    kinds = workloads()
    with ExitStack() as stack:
        contenders = [Contender(BARE, n, bare_python, bare=True) for n in workers]
        for workload, n in itertools.product((w for w in kinds if not w.lacks), workers):
            sandbox = _opened(stack, tier, n, workload.preload)
            contenders.append(Contender(workload.name, n, calls(sandbox, workload.requests), bare=False))
        output = OutputPairs(_opened(stack, tier, 1, ()))
        turns = [contender.round for contender in contenders] + [output.round]
        for turn in track(turns * ROUNDS, len(turns) * ROUNDS, f"rates, {tier}"):
            turn(seconds / ROUNDS)
        rates = [contender.rate(known_cpu=tier != "bwrap") for contender in contenders]
    rates += [Rate(w.name, n, lacks=w.lacks) for w, n in itertools.product((w for w in kinds if w.lacks), workers)]
    return rates, output.figures()


class OutputPairs:
    """A program that prints 1 MiB, and at once after it the one that prints nothing."""

    def __init__(self, sandbox: PooledSandbox) -> None:
        self._calls = [calls(sandbox, (request,)) for request in (QUIET, LOUD)]
        self._ms: list[tuple[float, ...]] = []

    def round(self, seconds: float) -> None:
        until, n = time.perf_counter() + seconds, len(self._ms)
        while len(self._ms) < n + 2 or time.perf_counter() < until:
            self._ms.append(tuple(map(_timed_ms, self._calls)))

    def figures(self) -> Output:
        quiet, loud = zip(*self._ms, strict=True)
        low, middle, high = statistics.quantiles([b - a for a, b in self._ms], n=4, method="inclusive")
        return Output(len(self._ms), statistics.median(quiet), statistics.median(loud), middle, low, high)


def _timed_ms(call: Callable[[], float]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def _opened(stack: ExitStack, tier: str, workers: int, preload: tuple[str, ...]) -> PooledSandbox:
    """A sandbox whose servers have started: a sandbox of its own for each figure, as an idle server that is too many ends."""
    sandbox = PooledSandbox(workers, tier, allow_unsafe=True)
    stack.callback(sandbox.close)
    nap = function(NAP, preload=preload)
    for result in sandbox.run_many([nap] * workers):
        _must_pass(result)
    return sandbox


def calls(sandbox: PooledSandbox, requests: tuple[RunRequest, ...]) -> Callable[[], float]:
    turns: Iterator[RunRequest] = itertools.cycle(requests)

    def call() -> float:
        result = sandbox.run(next(turns))
        _must_pass(result)
        return result.cpu_ms

    return call


def _must_pass(result: RunResult) -> None:
    if result.verdict != Verdict.PASS:
        last = (result.stderr.strip().splitlines() or [""])[-1]
        raise UserError(
            f"a program of the benchmark got {result.verdict} ({result.detail}; {last}), PASS was expected: "
            "`python -m iterpref.doctor` tells what works here"
        )


def bare_python() -> float:
    subprocess.run([interpreter(), "-I", "-S", "-c", "pass"], check=True, env={}, stdin=subprocess.DEVNULL)
    return 0.0


def _our_cpu_ms() -> float:
    """CPU milliseconds until now of this process and of the two living processes of each server; a test process ends
    within its run, and is not among them."""
    nanoseconds = 0
    for pid in processes.descendants(os.getpid()):
        try:
            with open(f"/proc/{pid}/schedstat", "rb") as file:
                nanoseconds += int(file.read().split()[0])
        except (OSError, IndexError):
            continue
    return time.process_time() * 1000 + nanoseconds / 1e6
