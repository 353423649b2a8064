"""What happens around a run, whatever the program: it ends in time, its report repeats, and nothing stays."""

from __future__ import annotations

import asyncio
import os
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iterpref.codeflow.sandbox import tiers
from iterpref.codeflow.sandbox.pool import READ_AHEAD, PooledSandbox
from iterpref.codeflow.sandbox.protocol import FunctionCases, Limits, RunRequest, RunResult, StdioCases
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite, Verdict

from .build import GOOD, LIMITS, in_f, on_import, request, suite
from .processes import marked, own_children
from .tables import TIERS

ON_LINUX = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A temporary folder of this module's own, in which nothing may stay."""
    with tempfile.TemporaryDirectory(prefix="sandbox-tests-", dir="/tmp") as name:
        os.chmod(name, 0o1777)  # as /tmp is
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", name)
            yield Path(name).resolve()


@pytest.fixture(scope="module", params=TIERS)
def sandbox(base: Path, request: pytest.FixtureRequest) -> Iterator[PooledSandbox]:
    probe = tiers.probe(request.param)
    if not probe.works:
        pytest.skip(probe.reason)
    others = own_children()  # such as wandb's service, of an earlier test
    box = PooledSandbox(workers=2, tier=request.param, allow_unsafe=True)
    yield box
    box.close()
    assert list(base.iterdir()) == []
    assert {pid for pid, _ in own_children()} <= {pid for pid, _ in others}


def zombies() -> set[int]:
    return {pid for pid, state in own_children() if state == "Z"}


def test_a_sleeper_is_stopped_by_its_limit_with_half_a_second_to_spare(sandbox: PooledSandbox) -> None:
    result = sandbox.run(request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=1.0)))
    assert (result.verdict, result.detail) == (Verdict.TIMEOUT, "wall")
    assert 1000 <= result.duration_ms < 1500 + 5 * result.waited_ms + 300 * (sandbox.tier == "bwrap")
    assert "in TestF.test_doubles" in result.stderr


@ON_LINUX
def test_a_program_that_waits_for_children_it_forgets_gets_no_more_time(sandbox: PooledSandbox) -> None:
    body = """
    import os, signal, time
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        for _ in range(4):
            if os.fork() == 0:
                end = time.monotonic() + 0.02
                while time.monotonic() < end: pass
                os._exit(0)
        time.sleep(0.025)
    """
    result = sandbox.run(request(in_f(textwrap.dedent(body)), limits=Limits(wall_s=0.6, cpu_s=20)))
    assert (result.verdict, result.detail) == (Verdict.TIMEOUT, "wall")
    assert result.duration_ms < 600 + 900


def test_a_busy_program_is_stopped_by_its_cpu_time(sandbox: PooledSandbox) -> None:
    result = sandbox.run(request(in_f("while True: pass"), limits=Limits(cpu_s=0.5)))
    assert (result.verdict, result.detail) == (Verdict.TIMEOUT, "cpu")
    assert 500 <= result.cpu_ms < 1000


@ON_LINUX
def test_a_daemon_does_not_survive_and_the_verdict_stands(sandbox: PooledSandbox) -> None:
    daemon = """
    import os
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["daemon-of-iterpref", "1000"])
        os._exit(0)
    os.wait()
    """
    result = sandbox.run(request(textwrap.dedent(daemon) + GOOD))
    assert result.verdict == Verdict.PASS, result.stderr
    assert marked("daemon-of-iterpref") == []


@ON_LINUX
def test_no_zombie_and_no_descriptor_is_left(sandbox: PooledSandbox) -> None:
    sandbox.run(request(GOOD))
    before, others = set(os.listdir("/proc/self/fd")), zombies()
    for code in (
        GOOD,
        "import os; os._exit(0)",
        in_f("import os\nif os.fork() == 0:\n    import time; time.sleep(1000)"),
    ):
        sandbox.run(request(code))
    assert zombies() <= others
    if sandbox.tier != "bwrap":  # whose servers serve one run
        assert set(os.listdir("/proc/self/fd")) <= before


def test_a_run_sees_nothing_of_the_run_before(sandbox: PooledSandbox) -> None:
    code = """
    import builtins, math, os, sys
    paths = ["left", "/tmp/left", "/dev/shm/left"] if TIER in ("namespaces", "bwrap") else ["left"]
    seen = [path for path in paths if os.path.exists(path)] + [os.environ.get("LEFT"), getattr(math, "left", None)]
    seen += [name for name in os.listdir() if name != "solution.py"] + [name for name in sys.modules if name == "left"]
    for path in paths:
        open(path, "w").close()
    os.environ["LEFT"] = math.left = sys.modules["left"] = "1"
    os.umask(0)
    def f(x):
        assert not any(seen), seen
        return 2 * x
    """
    code = f"TIER = {sandbox.tier!r}\n" + textwrap.dedent(code)
    results = [sandbox.run(request(code)) for _ in range(3)]
    assert [(result.verdict, result.stderr) for result in results] == [(Verdict.PASS, "")] * 3


@ON_LINUX
def test_no_test_of_an_earlier_run_is_in_a_programs_memory(sandbox: PooledSandbox) -> None:
    if sandbox.tier == "landlock":
        pytest.skip("a program cannot read its own /proc/self/maps there")
    secret = "".join(map(chr, range(116, 96, -1)))
    tests = FunctionCases((f"f({secret!r})", "f(1)"), (secret[::-1], 2))
    sandbox.run(request(f"SOLUTION = {secret!r}\nprint(SOLUTION)\n" + GOOD, tests))
    # What is looked for is shifted by one: the search itself must not hold it.
    search = """
    import ctypes
    shift = bytes((i + 1) % 256 for i in range(256))
    shifted = bytes(range(117, 97, -1))
    def spans():
        for line in open("/proc/self/maps").read().splitlines():
            span, rights = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw") and end - start < 1 << 28:
                yield start, end - start
    assert not [start for start, size in spans() if shifted in ctypes.string_at(start, size).translate(shift)]
    def f(x):
        return 2 * x
    """
    result = sandbox.run(request(search))
    assert result.verdict == Verdict.PASS, result.stderr
    known = "SECRET = bytes(range(116, 96, -1))\n" + textwrap.dedent(search)
    assert sandbox.run(request(known)).detail == "AssertionError"  # the search does find what is there


def test_the_environment_is_ours_alone(sandbox: PooledSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    result = sandbox.run(request(on_import("import os\nprint(sorted(os.environ), os.environ['HOME'])")))
    names = [
        "HOME",
        "LANG",
        "MALLOC_ARENA_MAX",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PATH",
        "PYTHONHASHSEED",
    ]
    assert result.stdout == f"{[*names, 'TMPDIR', 'TZ']} .\n"


def test_what_depends_on_hash_order_and_random_repeats_in_every_server(sandbox: PooledSandbox) -> None:
    code = """
    import os, random, tempfile, threading
    class A: pass
    print(random.random(), {"a", "b", "c"}, A(), os.getcwd(), threading.Thread(target=print))
    print(tempfile.mkdtemp())
    def f(x):
        raise ValueError(f"{A()} {__file__} {tempfile.mkdtemp()} {random.random()}")
    """

    def stable(result: RunResult) -> tuple[object, ...]:
        measured = ("duration_ms", "cpu_ms", "waited_ms", "peak_memory_mb")
        return tuple(value for name, value in vars(result).items() if name not in measured)

    first, second = (sandbox.run(request(code)) for _ in range(2))
    other = PooledSandbox(
        1, "bwrap" if sandbox.tier == "bwrap" else sandbox.tier.removesuffix("-as-root"), allow_unsafe=True
    )
    third = other.run(request(code))
    other.close()
    assert first.verdict == Verdict.ERROR
    assert stable(first) == stable(second) == stable(third)
    assert "<solution.A object at 0x...> ./solution.py /tmp/tmp" in first.stderr


def test_a_program_that_draws_from_the_kernel_is_flaky(sandbox: PooledSandbox) -> None:
    drawn = request(in_f("import os\nif os.urandom(1)[0] < 128: return 7"), repeat=30)
    result = sandbox.run(drawn)
    assert result.verdict == Verdict.FLAKY
    assert ", then " in result.detail
    assert sandbox.run(request(GOOD, repeat=3)).verdict == Verdict.PASS


def test_bytes_written_straight_to_the_descriptors_are_captured_and_made_harmless(sandbox: PooledSandbox) -> None:
    code = "import os\nos.write(1, b'a\\xff\\x00\\x1b[31mb')\nos.write(2, b'err\\r\\n\\xfe')\n" + GOOD
    result = sandbox.run(request(code))
    assert result.verdict == Verdict.PASS
    assert result.stdout == "a\ufffd\\x00\\x1b[31mb"
    assert "err\n\ufffd" in result.stderr


def test_endless_output_keeps_its_head(sandbox: PooledSandbox) -> None:
    result = sandbox.run(request("print('head')\nwhile True: print('x' * 1000)\n"))
    assert result.stdout.startswith("head\nxxx")
    assert len(result.stdout) == LIMITS.output_kb * 1024


def test_a_program_reads_its_input_in_every_way(sandbox: PooledSandbox) -> None:
    large = "\n".join(map(str, range(30_000)))  # more than a pipe holds
    for code in (
        "import sys\nprint(sum(map(int, sys.stdin)))",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "import os\ndata = b''\nwhile part := os.read(0, 999): data += part\nos.write(1, b'%d' % sum(map(int, data.split())))",
        "total = 0\ntry:\n    while True: total += int(input())\nexcept EOFError:\n    print(total)",
    ):
        result = sandbox.run(request(code, StdioCases(("1\n2\n", large), ("3\n", f"{sum(range(30_000))}"))))
        assert (result.verdict, result.n_pass, result.judged) == (Verdict.PASS, 2, "outside"), (code, result.stderr)


def test_the_expected_values_are_nowhere_in_the_sandbox(sandbox: PooledSandbox) -> None:
    code = "def f(x):\n    import gc\n    return [o for o in gc.get_objects() if isinstance(o, list) and 123457 in o][:1] or x\n"
    result = sandbox.run(request(code, FunctionCases(((5,),), ([123457, 5],), "f")))
    assert result.verdict == Verdict.FAIL
    assert result.values == (5,)


def test_packages_data_files_and_names_of_standard_modules_work(sandbox: PooledSandbox) -> None:
    files = (
        SourceFile("shop/__init__.py", "from .queue import pop\n"),
        SourceFile("shop/queue.py", "def pop():\n    return open('data/a.txt').read()\n"),
        SourceFile("data/a.txt", "line\n"),
        SourceFile("pprint.py", "def show():\n    return 5\n"),
    )
    helper = SourceFile("tests/helper.py", "EXPECTED = 'line\\n'\n")
    case = "import unittest\nfrom shop import pop\nfrom pprint import show\nfrom tests.helper import EXPECTED\n"
    case += (
        "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual((pop(), show()), (EXPECTED, 5))\n"
    )
    tests = TestSuite((SourceFile("tests/test_shop.py", case), helper), "unittest", 1)
    result = sandbox.run(RunRequest(files, tests, LIMITS))
    assert result.verdict == Verdict.PASS, result.stderr
    assert result.tests[0].name == "tests.test_shop.T.test_a"


def test_preloaded_modules_are_there_and_others_are_not(sandbox: PooledSandbox) -> None:
    pytest.importorskip("numpy")
    code = on_import(
        "import numpy, sys\nprint('numpy' in sys.modules, numpy.random.rand(), numpy.ones(2) @ numpy.ones(2))"
    )
    asked = [RunRequest((SourceFile("solution.py", code),), suite(), LIMITS, preload=("numpy",)) for _ in range(3)]
    results = [sandbox.run(one) for one in asked]
    assert [(r.verdict, r.stdout) for r in results] == [(Verdict.PASS, results[0].stdout)] * 3, results[0].stderr
    assert sandbox.run(request(on_import("import numpy"))).detail == "ModuleNotFoundError"
    with pytest.raises(UserError, match="preload 'no_such_module': expected a module that can be imported here"):
        sandbox.run(RunRequest(asked[0].files, suite(), LIMITS, preload=("no_such_module",)))


def test_packages_are_found_through_a_link_on_their_way(
    sandbox: PooledSandbox, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir=base) as name:
        packages = Path(name, "real", "site-packages")
        packages.mkdir(parents=True)
        (packages / "behind_a_link.py").write_text("A = 1\n")
        Path(name, "venv").symlink_to(packages.parent)  # absolute: in a root of our own it leads nowhere
        monkeypatch.syspath_prepend(Path(name, "venv", "site-packages"))
        files = (SourceFile("solution.py", on_import("import behind_a_link")),)
        result = sandbox.run(RunRequest(files, suite(), LIMITS, preload=("behind_a_link",)))
    assert result.verdict == Verdict.PASS, result.stderr


def test_run_many_keeps_the_order_and_reads_no_further_than_it_must(sandbox: PooledSandbox) -> None:
    drawn = []

    def requests() -> Iterator[RunRequest]:
        for i in range(100):
            drawn.append(i)
            yield request(GOOD if i % 2 else "def f(x):\n    return 1\n")

    results = sandbox.run_many(requests())
    assert [next(results).verdict for _ in range(4)] == [Verdict.FAIL, Verdict.PASS] * 2
    results.close()
    # So many that one slow run does not keep the other workers from theirs.
    assert READ_AHEAD <= len(drawn) <= 2 * READ_AHEAD + 4


def test_an_event_loop_waits_for_many_runs_at_once(sandbox: PooledSandbox) -> None:
    async def main() -> list[Verdict]:
        codes = [GOOD if i % 3 else "def f(x):\n    return 1\n" for i in range(9)]
        return [result.verdict for result in await asyncio.gather(*(sandbox.arun(request(code)) for code in codes))]

    assert asyncio.run(main()) == [Verdict.FAIL, Verdict.PASS, Verdict.PASS] * 3


def test_a_caller_that_wants_no_more_does_not_wait_for_what_still_runs(sandbox: PooledSandbox) -> None:
    sleeper = request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=60))
    results = sandbox.run_many([request(GOOD), sleeper, sleeper, sleeper])
    assert next(results).verdict == Verdict.PASS
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10
    assert sandbox.run(request(GOOD)).verdict == Verdict.PASS


def test_a_closed_sandbox_ends_what_runs_and_gives_no_label(sandbox: PooledSandbox) -> None:
    box = PooledSandbox(1, sandbox.tier.removesuffix("-as-root"), allow_unsafe=True)
    results = box.run_many([request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=60))])
    threading.Timer(0.5, box.close).start()
    started = time.monotonic()
    assert next(results).verdict == Verdict.HARNESS_ERROR
    assert time.monotonic() - started < 10
    assert box.run(request(GOOD)).verdict == Verdict.HARNESS_ERROR
