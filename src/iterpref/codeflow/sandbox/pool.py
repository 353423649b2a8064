"""The sandbox that everybody uses: a few fork servers, one run at a time on each, behind synchronous and async faces."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from iterpref.codeflow.sandbox import tiers
from iterpref.codeflow.sandbox.child.namespaces import BOX
from iterpref.codeflow.sandbox.intake import UnfitSolution, check, limits_of, task_of
from iterpref.codeflow.sandbox.judge import judge
from iterpref.codeflow.sandbox.protocol import RunRequest, RunResult, StdioCases, n_tests
from iterpref.codeflow.sandbox.server import Server, ServerError
from iterpref.codeflow.sandbox.sharing import Gate, TaskCount, usable_cores
from iterpref.codeflow.sandbox.workspace import Users
from iterpref.errors import UserError
from iterpref.schema import Verdict

READ_AHEAD = 16  # requests a worker: while one run takes all of its limit, the other workers go on
RETRIES = 5  # after a HARNESS_ERROR
REPEATED = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR)  # verdicts that chance may turn into each other
BUSY = 0.05  # share of a run that it spent waiting for a core, from which on a timeout may be the machine's doing
_Key = tuple[tuple[str, ...], int]  # what a server is made for: preloaded modules, MiB of files


class PooledSandbox:
    """`Sandbox` over fork servers of one tier; `workers` runs at once (default: the cores we may use).

    `tier`: auto | namespaces | landlock | plain | bwrap, see `tiers.choose`. Raises `UserError` where the machine does
    not give it.
    """

    def __init__(self, workers: int | None = None, tier: str = "auto", allow_unsafe: bool = False) -> None:
        if workers is not None and workers < 1:
            raise UserError(f"sandbox workers: expected at least 1, got {workers}")
        if sys.platform not in ("linux", "darwin") or not sys.executable:
            raise UserError(f"the sandbox needs Linux or macOS and a Python executable, got {sys.platform}")
        self.workers = workers or usable_cores()
        self._users = Users()
        self._kind = tiers.choose(tier, allow_unsafe)
        # Root that cannot step down runs programs as root: the records must show it.
        as_root = os.geteuid() == 0 and self._users.pick() is None
        self.tier = f"{self._kind}-as-root" if as_root else self._kind
        self._gate = Gate(self.workers)
        self._tasks = TaskCount()
        self._lock = threading.Lock()
        self._idle: deque[tuple[_Key, Server]] = deque()  # the longest idle first
        self._active: dict[Server, threading.Event] = {}
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="sandbox")
        self._closed = False

    def run(self, request: RunRequest) -> RunResult:
        """The verdict. HARNESS_ERROR is tried again; a timeout of a program that had to wait for a core is repeated
        once, alone, and counts then. Raises `UserError` for unusable tests."""
        return self._run(request, threading.Event())

    def arun(self, request: RunRequest) -> asyncio.Future[RunResult]:
        """`run` for a caller on an event loop."""
        return asyncio.wrap_future(self._pool.submit(self.run, request))

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        """Results in the order of the requests; at most `READ_AHEAD` requests a worker are read ahead."""
        waiting: deque[Future[RunResult]] = deque()
        stop = threading.Event()
        try:
            for request in requests:
                waiting.append(self._pool.submit(self._run, request, stop))
                if len(waiting) >= READ_AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # early on KeyboardInterrupt, and when the caller wants no more
            stop.set()
            for future in waiting:
                future.cancel()
            self._cancel(stop)
            for future in waiting:
                if not future.cancelled():
                    future.exception()

    def close(self) -> None:
        """Ends all runs; what was running comes back as HARNESS_ERROR, and so does whatever is asked later."""
        self._closed = True
        self._cancel(None)
        with self._lock:
            idle, self._idle = [server for _, server in self._idle], deque()
        for server in idle:
            server.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _cancel(self, stop: threading.Event | None) -> None:
        with self._lock:
            for server, its_stop in self._active.items():
                if stop is None or stop is its_stop:
                    server.cancel()

    def _run(self, request: RunRequest, stop: threading.Event) -> RunResult:
        try:
            check(request)
        except UnfitSolution as error:
            return self._without_run(request, Verdict.ERROR, error.detail, error.message)
        first = self._run_once(request, stop)
        for _ in range(request.repeat - 1 if first.verdict in REPEATED else 0):
            again = self._run_once(request, stop)
            if again.verdict == Verdict.HARNESS_ERROR:
                return again
            if (again.verdict, again.n_pass) != (first.verdict, first.n_pass):
                detail = f"{first.verdict} ({first.n_pass} passed), then {again.verdict} ({again.n_pass} passed)"
                return dataclasses.replace(first, verdict=Verdict.FLAKY, detail=detail)
        return first

    def _run_once(self, request: RunRequest, stop: threading.Event) -> RunResult:
        if isinstance(request.tests, StdioCases):
            return self._run_cases(request, request.tests, stop)
        return self._run_one(request, stop)

    def _run_cases(self, request: RunRequest, tests: StdioCases, stop: threading.Event) -> RunResult:
        """Each case in a run of its own; one result for all, with the first verdict that is not PASS."""
        results = []
        for i in range(len(tests.inputs)):
            one = StdioCases(tests.inputs[i : i + 1], tests.outputs[i : i + 1], tests.compare)
            result = self._run_one(dataclasses.replace(request, tests=one), stop)
            if result.verdict == Verdict.HARNESS_ERROR:
                return result
            results.append(result)
        return _together(results)

    def _run_one(self, request: RunRequest, stop: threading.Event) -> RunResult:
        result = self._retried(request, stop, alone=False)
        if result.verdict == Verdict.TIMEOUT and result.waited_ms > BUSY * result.duration_ms:
            result = self._retried(request, stop, alone=True)
        elif result.verdict == Verdict.CRASH and result.detail == "SIGKILL":
            # The program's own doing happens again; the kernel's, short of memory, or an operator's may not.
            result = self._retried(request, stop, alone=True)
        return result

    def _retried(self, request: RunRequest, stop: threading.Event, alone: bool) -> RunResult:
        for _ in range(RETRIES):
            result = self._attempt(request, stop, alone)
            if result.verdict != Verdict.HARNESS_ERROR or self._closed or stop.is_set():
                return result
        return self._attempt(request, stop, alone)

    def _attempt(self, request: RunRequest, stop: threading.Event, alone: bool) -> RunResult:
        with self._gate.enter(alone), ExitStack() as stack:
            if self._closed or stop.is_set():
                return self._without_run(request, Verdict.HARNESS_ERROR, "cancelled")
            key = request.preload, request.limits.disk_mb
            try:
                server = self._take(key, stop)
            except ServerError as error:
                return self._without_run(request, Verdict.HARNESS_ERROR, str(error))
            started = time.perf_counter()
            try:
                place = tiers.place(self._kind, request.limits, self._users, self._n_processes(request), stack)
                report = server.run(limits_of(request) | {"folder": place["folder"]}, task_of(request) | place)
            except (ServerError, OSError) as error:
                self._give(key, server, usable=False)
                return self._without_run(request, Verdict.HARNESS_ERROR, str(error))
            except BaseException:
                self._give(key, server, usable=False)
                raise
            duration_ms = (time.perf_counter() - started) * 1000
            self._give(key, server, usable=report["killed"] not in ("cancelled", "orphan"))
        return judge(request, report, place["folder"] or BOX, duration_ms, self.tier)

    def _n_processes(self, request: RunRequest) -> int | None:
        """How many processes our user may have during a run, where the kernel counts all of them together."""
        if self._users.own or self._kind in tiers.OWN_FILES:
            return None
        uid = self._users.pick()
        running = self._tasks.of(os.getuid() if uid is None else uid)
        return None if running is None else running + self.workers * request.limits.processes

    def _take(self, key: _Key, stop: threading.Event) -> Server:
        """An idle server that fits, or a new one."""
        server = None
        with self._lock:
            for entry in reversed(self._idle):
                if entry[0] == key:
                    self._idle.remove(entry)
                    server = entry[1]
                    break
        if server is not None and not server.alive:
            server.close()
            server = None
        if server is None:
            server = tiers.start(self._kind, key[0], self._users, key[1])
        with self._lock:
            self._active[server] = stop
        # Looked at after the server is known to `_cancel`: whoever closes meanwhile ends it, or is seen here.
        if self._closed or stop.is_set():
            server.cancel()
        return server

    def _give(self, key: _Key, server: Server, usable: bool) -> None:
        """Back to the idle ones; of those, at most twice `workers` stay."""
        with self._lock:
            del self._active[server]
            usable = usable and not self._closed and self._kind != "bwrap"
            spare = None
            if usable:
                self._idle.append((key, server))
                if len(self._idle) > 2 * self.workers:
                    spare = self._idle.popleft()[1]
        if not usable:
            server.close()
        if spare is not None:
            spare.close()

    def _without_run(self, request: RunRequest, verdict: Verdict, detail: str, message: str = "") -> RunResult:
        n_fail = 0 if verdict == Verdict.HARNESS_ERROR else n_tests(request.tests)
        return RunResult(verdict, detail, 0, n_fail, stderr=message or detail, tier=self.tier)


def _together(results: list[RunResult]) -> RunResult:
    """One result for all cases of a program."""
    first = next((result for result in results if result.verdict != Verdict.PASS), results[0])
    names = [f"case {i}" for i in range(len(results))]
    tests = tuple(
        dataclasses.replace(result.tests[0], name=name)
        for name, result in zip(names, results, strict=True)
        if result.tests
    )
    return dataclasses.replace(
        first,
        detail=names[results.index(first)] if first.verdict == Verdict.FAIL else first.detail,
        n_pass=sum(result.n_pass for result in results),
        n_fail=sum(result.n_fail for result in results),
        tests=tests,
        duration_ms=sum(result.duration_ms for result in results),
        cpu_ms=sum(result.cpu_ms for result in results),
        waited_ms=sum(result.waited_ms for result in results),
        peak_memory_mb=max((r.peak_memory_mb for r in results if r.peak_memory_mb is not None), default=None),
    )
