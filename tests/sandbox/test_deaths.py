"""Somebody kills our processes, or keeps the machine busy: every run is still scored, and right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iterpref.codeflow.sandbox import tiers
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.schema import Verdict

from .build import GOOD, in_f, request
from .processes import children_of, marked, own_children

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
TIERS = ("namespaces", "landlock", "plain")
WRONG = "def f(x):\n    return 7\n"


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    probe = tiers.probe(request.param)
    if not probe.works:
        pytest.skip(probe.reason)
    return str(request.param)


def test_killing_supervisors_and_zygotes_loses_no_run_and_changes_none(tier: str) -> None:
    others = {pid for pid, _ in own_children()}  # such as a tracker's service, of an earlier test
    box = PooledSandbox(workers=2, tier=tier, allow_unsafe=True)
    ended, killed = threading.Event(), []
    draw = random.Random(0)

    def kill_now_and_then() -> None:
        while not ended.wait(0.25) and len(killed) < 6:
            supervisors = [pid for pid, state in own_children() if state != "Z" and pid not in others]
            zygotes = [child for pid in supervisors for child in children_of(pid)]
            for kind in ([supervisors, zygotes][len(killed) % 2],):
                if kind:
                    victim = draw.choice(kind)
                    try:
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)
                    except ProcessLookupError:
                        continue

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        slow = in_f("import time; time.sleep(0.02)")
        codes = [(slow, Verdict.PASS) if i % 3 else (WRONG, Verdict.FAIL) for i in range(150)]
        verdicts = [result.verdict for result in box.run_many(request(code) for code, _ in codes)]
    finally:
        ended.set()
        killer.join()
        box.close()
    assert verdicts == [verdict for _, verdict in codes]
    assert len(killed) >= 3


def test_killing_a_test_process_from_outside_is_not_the_programs_verdict() -> None:
    others = {pid for pid, _ in own_children()}
    box = PooledSandbox(workers=1, allow_unsafe=True)
    box.run(request(GOOD))
    ended = threading.Event()

    def kill_the_first() -> None:
        time.sleep(0.4)
        supervisors = [pid for pid, _ in own_children() if pid not in others]
        processes = [leaf for pid in supervisors for zygote in children_of(pid) for leaf in children_of(zygote)]
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        ended.set()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    result = box.run(request(in_f("import time; time.sleep(1)"), limits=Limits(wall_s=20)))
    killer.join()
    box.close()
    assert ended.is_set()
    assert result.verdict == Verdict.PASS, result.detail


def test_a_run_that_is_called_off_before_it_began_is_not_begun_after_all(tier: str) -> None:
    others = {pid for pid, _ in own_children()}
    box = PooledSandbox(workers=1, tier=tier, allow_unsafe=True)
    box.run(request(GOOD))
    supervisor = next(pid for pid, state in own_children() if state != "Z" and pid not in others)
    (zygote,) = children_of(supervisor)
    os.kill(zygote, signal.SIGSTOP)  # as on a busy machine, where it has not yet forked who is to take the task
    for pid in children_of(zygote):
        os.kill(pid, signal.SIGKILL)
    results: list[Verdict] = []
    runner = threading.Thread(
        target=lambda: results.append(box.run(request(in_f("import time; time.sleep(1000)"))).verdict)
    )
    runner.start()
    time.sleep(0.5)
    began = time.monotonic()
    box.close()
    runner.join()
    assert results == [Verdict.HARNESS_ERROR]
    assert time.monotonic() - began < 5  # a run that began after all would be given up after ten


MARKER = f"sleep-of-a-death-test-{os.getpid()}"  # no other run of these tests has it
SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.schema import SourceFile, TestSuite
code = "import os, time\\nif os.fork() == 0: os.setsid()\\nos.execv('/bin/sleep', ['MARKER', '1000'])".replace('MARKER', os.environ['MARKER'])
tests = TestSuite((SourceFile("test_a.py", "import solution"),), "unittest", 1)
box = PooledSandbox(1, sys.argv[1], allow_unsafe=True)
box.run(RunRequest((SourceFile("solution.py", code),), tests, Limits(wall_s=60)))
"""


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sandbox-deaths-", dir="/tmp") as name:
        os.chmod(name, 0o1777)
        yield Path(name).resolve()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_death_of_the_parent_ends_its_runs_and_removes_their_folders(
    base: Path, tier: str, how: signal.Signals
) -> None:
    # A background job of a shell inherits an ignored SIGINT, which the script undoes.
    def wait_for(there: bool) -> None:
        deadline = time.monotonic() + 30
        while bool(marked(MARKER)) != there and time.monotonic() < deadline:
            time.sleep(0.05)
        assert bool(marked(MARKER)) == there

    # Not among its arguments, where `marked` would find it before its run has begun.
    environment = {**os.environ, "TMPDIR": str(base), "MARKER": MARKER}
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, tier], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(there=True)
        parent.send_signal(how)
        parent.wait(timeout=30)
    finally:
        parent.kill()
        parent.wait()
    wait_for(there=False)
    deadline = time.monotonic() + 10
    while list(base.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(base.iterdir()) == []


def test_a_slow_program_passes_on_a_machine_that_is_twice_oversubscribed(tier: str) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * usable_cores())]
    box = PooledSandbox(workers=2, tier=tier, allow_unsafe=True)
    try:
        # It needs three quarters of both limits where it has a core for itself.
        spin = in_f("import time\nend = time.process_time() + 0.35\nwhile time.process_time() < end: pass")
        limits = Limits(wall_s=1.0, cpu_s=1.0)
        results = list(box.run_many(request(spin, limits=limits) for _ in range(4)))
    finally:
        for process in busy:
            process.kill()
            process.wait()
        box.close()
    assert [(result.verdict, result.detail) for result in results] == [(Verdict.PASS, "")] * 4


def test_the_sandbox_needs_no_torch() -> None:
    code = (
        "import sys\nimport iterpref.codeflow.sandbox.pool\nassert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
