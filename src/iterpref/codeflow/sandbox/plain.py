"""The plain tier: rlimits, a user of its own where we are root, a watching supervisor. No root, no container needed.

A run is `sandbox -> supervisor -> test process`, each a process of its own. The test process puts limits around itself,
gives up root, and only then imports the task; the supervisor drains its pipes, waits, and kills all that descends from
it.

What this tier does **not** cover:

- The file system: a program reads what its user may read. The run's folder is its only own one; it is removed, and
  if we are root so is all that the program left in /tmp, /var/tmp and /dev/shm. If we are not, later runs can see that.
- The network: it is open.
- Other processes of its user: when we are not root, a program may signal or trace us and its neighbours (`kill(-1)`),
  read /proc/PID/environ, and end its own supervisor (HARNESS_ERROR, no verdict).
- Amounts: files are limited one by one, not in sum; memory and CPU time by process, not by run (`processes` times as
  much is possible until the wall limit). When we are not root, the kernel counts `processes` together with all others
  of our user: the limit is then loose, and a program that forks faster than we look may outlive us.
- The judge: tests and program share one interpreter. Patched assertions, objects equal to everything, forged frames
  and replayed results are found. Code that reads or rewrites the tests' own data (expected values in a frame, in
  bytecode, in a module's globals), that swaps unittest's objects in flight, or that calls the collector knowing this
  package's source, is not; nor is an object that takes part in a test's own arithmetic (`abs(f(x) - y) < 1e-6`).
- ptrace, io_uring, nested user namespaces, and bugs of the kernel. `random` and `tempfile` are seeded; the clock,
  `os.urandom` and object addresses are not.
- macOS (written for it, not tried there): no memory limit, no process limit, root stays root; stragglers are found by
  the run's folder in their environment.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from iterpref.codeflow.sandbox.judge import judge
from iterpref.codeflow.sandbox.launch import Launch, LaunchError
from iterpref.codeflow.sandbox.protocol import RunRequest, RunResult
from iterpref.codeflow.sandbox.sharing import Gate, TaskCount, usable_cores
from iterpref.codeflow.sandbox.workspace import BadFile, Users, Workspace, base_folder, check_names
from iterpref.errors import UserError
from iterpref.schema import Verdict

RETRIES = 2  # after a HARNESS_ERROR


class PlainSandbox:
    """`Sandbox` of the plain tier; `workers` runs at once (default: the cores we may use).

    Raises `UserError` where no interpreter or no temporary folder can be used.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UserError(f"sandbox workers: expected at least 1, got {workers}")
        if sys.platform not in ("linux", "darwin") or not sys.executable:
            raise UserError(f"the plain sandbox needs Linux or macOS and a Python executable, got {sys.platform}")
        self.workers = workers or usable_cores()
        self._users = Users()
        drops = self._users.pick() is not None
        # Root that cannot step down runs programs as root: the records must show it.
        self.tier = "plain" if drops or os.geteuid() != 0 else "plain-as-root"
        self._base = base_folder(drops)
        self._gate = Gate(self.workers)
        self._tasks = TaskCount()
        self._lock = threading.Lock()
        self._active: dict[Launch, threading.Event] = {}
        self._closed = False

    def run(self, request: RunRequest) -> RunResult:
        """The verdict. HARNESS_ERROR is tried again twice; a wall-clock timeout counts once it happens to a run that
        has the sandbox for itself, as the machine may have been busy. Raises `UserError` for an unusable suite."""
        return self._run(request, threading.Event())

    def _run(self, request: RunRequest, stop: threading.Event) -> RunResult:
        if request.tests.framework != "unittest":
            raise UserError(f"test framework: expected 'unittest', got {request.tests.framework!r}")
        if request.tests.n_tests < 1:
            raise UserError(
                f"test suite: expected at least 1 test, got n_tests={request.tests.n_tests}; count them anew"
            )
        try:
            check_names(request.files, request.tests.files)
            for file in request.files:
                file.text.encode("utf-8")
        except BadFile as error:
            return self._without_run(request, str(error))
        except UnicodeEncodeError as error:
            return self._without_run(request, "compile", f"a lone surrogate in the source ({error.reason})")
        result = self._retried(request, stop, alone=False)
        if result.verdict == Verdict.TIMEOUT and result.detail == "wall":
            result = self._retried(request, stop, alone=True)
        return result

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        """Results in the order of the requests; at most twice `workers` requests are read ahead."""
        waiting: deque[Future[RunResult]] = deque()
        stop = threading.Event()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="sandbox")
        try:
            for request in requests:
                waiting.append(pool.submit(self._run, request, stop))
                if len(waiting) >= 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # early on KeyboardInterrupt, and when the caller wants no more
            stop.set()
            self._cancel(stop)
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Ends all runs; what was running comes back as HARNESS_ERROR, and so does whatever is asked later."""
        self._closed = True
        self._cancel(None)

    def _cancel(self, stop: threading.Event | None) -> None:
        with self._lock:
            for launch, its_stop in self._active.items():
                if stop is None or stop is its_stop:
                    launch.cancel()

    def _retried(self, request: RunRequest, stop: threading.Event, alone: bool) -> RunResult:
        for _ in range(RETRIES):
            result = self._attempt(request, stop, alone)
            if result.verdict != Verdict.HARNESS_ERROR or self._closed or stop.is_set():
                return result
        return self._attempt(request, stop, alone)

    def _attempt(self, request: RunRequest, stop: threading.Event, alone: bool) -> RunResult:
        with self._gate.enter(alone):
            started = time.perf_counter()
            uid = self._users.pick()
            try:
                with Workspace(self._base, request.files, uid, self._users.own) as workspace:
                    report = self._launch(self._config(request, uid), stop, workspace.folder)
                    elapsed_ms = (time.perf_counter() - started) * 1000
                    return judge(request, report, str(workspace.folder), elapsed_ms, self.tier)
            except (LaunchError, OSError) as error:
                elapsed_ms = (time.perf_counter() - started) * 1000
                return self._result(Verdict.HARNESS_ERROR, str(error), "", 0, elapsed_ms)

    def _launch(self, config: dict[str, Any], stop: threading.Event, folder: Path) -> dict[str, Any]:
        launch = Launch(folder, config["uid"] if config["own_uid"] else None)
        with self._lock:
            self._active[launch] = stop
        # Looked at after the launch is known to `_cancel`: whoever closes meanwhile ends it, or is seen here.
        if self._closed or stop.is_set():
            launch.cancel()
        try:
            return launch.run(config)
        finally:
            with self._lock:
                del self._active[launch]

    def _config(self, request: RunRequest, uid: int | None) -> dict[str, Any]:
        limits = request.limits
        nproc: int | None = limits.processes
        if not self._users.own:
            # The limit is the user's in all: ours comes on top of what runs already.
            base = self._tasks.of(uid if uid is not None else os.getuid())
            nproc = None if base is None else base + self.workers * limits.processes
        groups = ((request.files, False), (request.tests.files, True))
        files = [(f.name, f.text, test) for group, test in groups for f in group if f.name.endswith(".py")]
        return {**vars(limits), "files": files, "coverage": request.measure_coverage, "uid": uid,
                "own_uid": self._users.own, "nproc": nproc}  # fmt: skip

    def _without_run(self, request: RunRequest, detail: str, message: str = "") -> RunResult:
        return self._result(Verdict.ERROR, detail, message or detail, request.tests.n_tests, 0.0)

    def _result(self, verdict: Verdict, detail: str, stderr: str, n_fail: int, duration_ms: float) -> RunResult:
        return RunResult(verdict, detail, 0, n_fail, (), "", stderr, duration_ms, None, self.tier, None)
