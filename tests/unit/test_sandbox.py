"""What the plain sandbox does around a run: nothing survives, nothing leaks, everything repeats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iterpref.codeflow.sandbox.plain import PlainSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite, Verdict

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
LIMITS = Limits(wall_s=3.0, cpu_s=1.0, memory_mb=512, processes=16)
TESTS = """
import unittest
from solution import f

class TestF(unittest.TestCase):
    def test_doubles(self):
        self.assertEqual(f(2), 4)

    def test_zero(self):
        self.assertEqual(f(0), 0)
"""
GOOD = "def f(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A temporary folder of this module's own: its name marks our processes among those of other sandboxes."""
    with tempfile.TemporaryDirectory(prefix="sandbox-tests-") as name:
        os.chmod(name, 0o1777)  # as /tmp is
        yield Path(name).resolve()


@pytest.fixture(scope="module")
def sandbox(base: Path) -> Iterator[PlainSandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(base))
        box = PlainSandbox(workers=2)
    yield box
    box.close()
    assert list(base.iterdir()) == []


def suite(text: str = TESTS, n_tests: int = 2, name: str = "test_solution.py") -> TestSuite:
    return TestSuite((SourceFile(name, textwrap.dedent(text)),), "unittest", n_tests)


def request(code: str, tests: TestSuite | None = None, limits: Limits = LIMITS, coverage: bool = False) -> RunRequest:
    files = (SourceFile("solution.py", textwrap.dedent(code)),)
    return RunRequest(files, tests or suite(), limits, coverage)


def in_f(body: str) -> str:
    """A solution whose `f` first does `body`, and is right otherwise."""
    return "def f(x):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n    return 2 * x\n"


def marked_processes(marker: str) -> list[int]:
    """Living processes that hold `marker` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if marker.encode() in (entry / "cmdline").read_bytes() and state != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_sleeper_is_stopped_within_half_a_second_of_its_limit_and_run_once_more(sandbox: PlainSandbox) -> None:
    limits = Limits(wall_s=1.0, cpu_s=1.0)
    started = time.monotonic()
    result = sandbox.run(request(in_f("import time; time.sleep(1000)"), limits=limits))
    elapsed = time.monotonic() - started
    assert (result.verdict, result.detail) == (Verdict.TIMEOUT, "wall")
    assert result.duration_ms < 1800
    assert 2.0 < elapsed < 4.0
    assert "in TestF.test_doubles" in result.stderr


@ON_LINUX
def test_a_setsid_daemon_does_not_survive_and_the_verdict_stands(sandbox: PlainSandbox) -> None:
    daemon = """
    import os, sys
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["daemon-of-iterpref", "1000"])
        os._exit(0)
    os.wait()
    """
    result = sandbox.run(request(textwrap.dedent(daemon) + GOOD))
    assert result.verdict == Verdict.PASS, result.stderr
    assert marked_processes("daemon-of-iterpref") == []


@ON_LINUX
def test_no_child_and_no_zombie_of_ours_is_left(sandbox: PlainSandbox, base: Path) -> None:
    sandbox.run(request(in_f("import os\nif os.fork() == 0:\n    import time; time.sleep(1000)")))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert marked_processes(str(base)) == []


@ON_LINUX
def test_no_descriptor_of_ours_is_left_open(sandbox: PlainSandbox) -> None:
    before = os.listdir("/proc/self/fd")
    sandbox.run(request(GOOD))
    sandbox.run(request("import os; os._exit(0)"))
    assert os.listdir("/proc/self/fd") == before


def test_killing_its_parent_leaves_us_alive_and_gives_no_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request(in_f("import os; os.kill(os.getppid(), 9)")))
    # As root the program is another user and may not; else it ends its supervisor, and there is no verdict.
    assert (result.verdict, result.detail) == (Verdict.ERROR, "PermissionError") or result.verdict == "HARNESS_ERROR"


def test_endless_output_keeps_its_head(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("print('head')\nwhile True: print('x' * 1000)\n"))
    assert result.stdout.startswith("head\nxxx")
    assert len(result.stdout) == 256 * 1024


def test_two_hundred_kilobytes_of_output_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("print('x' * 200_000)\n" + GOOD))
    assert result.verdict == Verdict.PASS
    assert len(result.stdout) == 200_001


def test_bytes_written_straight_to_the_descriptors_are_captured_and_made_harmless(sandbox: PlainSandbox) -> None:
    code = "import os\nos.write(1, b'a\\xff\\x00\\x1b[31mb')\nos.write(2, b'err\\r\\n\\xfe')\n" + GOOD
    result = sandbox.run(request(code))
    assert result.verdict == Verdict.PASS
    assert result.stdout == "a\ufffd\\x00\\x1b[31mb"
    assert "err\n\ufffd" in result.stderr


def test_a_run_sees_nothing_of_the_run_before(sandbox: PlainSandbox) -> None:
    code = """
    import os, tempfile
    seen = os.path.exists("left") or os.environ.get("LEFT") or len(os.listdir()) != 1
    for path in ("left", "/tmp/left-by-a-sandbox-test") if os.getuid() >= 1 << 30 else ("left",):
        seen = seen or (path != "left" and os.path.exists(path))
        open(path, "w").close()
    os.environ["LEFT"] = "1"
    def f(x):
        assert not seen
        return 2 * x
    """
    try:
        results = [sandbox.run(request(code)) for _ in range(2)]
    finally:
        Path("/tmp/left-by-a-sandbox-test").unlink(missing_ok=True)
    assert [result.verdict for result in results] == [Verdict.PASS] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down")
def test_started_by_root_each_run_is_an_ordinary_user_of_its_own(sandbox: PlainSandbox) -> None:
    code = "import json, os\nprint(json.dumps([os.getresuid(), os.getresgid(), os.getgroups()]))\n" + GOOD
    seen = {sandbox.run(request(code)).stdout for _ in range(2)}
    assert len(seen) == 2
    for line in seen:
        uids, gids, groups = json.loads(line)
        assert min(uids) == max(uids) == min(gids) == max(gids) >= 65534
        assert groups == []


def test_the_environment_is_ours_alone(sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    result = sandbox.run(request("import os\nprint(sorted(os.environ), os.environ['HOME'])\n" + GOOD))
    assert result.stdout == "['HOME', 'LANG', 'MALLOC_ARENA_MAX', 'PYTHONHASHSEED', 'TMPDIR', 'TZ'] .\n"


def test_the_folder_goes_even_when_the_program_made_it_unreadable(sandbox: PlainSandbox, base: Path) -> None:
    code = """
    import os
    here = os.getcwd()
    os.makedirs("a/b"); open("a/b/c", "w").close()
    for _ in range(1500):
        os.mkdir("d"); os.chdir("d")
    os.chdir(here)
    os.chmod("a/b", 0); os.chmod("a", 0)
    """
    result = sandbox.run(request(textwrap.dedent(code) + GOOD))
    assert result.verdict == Verdict.PASS, result.stderr
    assert list(base.iterdir()) == []


def test_a_folder_that_became_a_link_is_removed_and_its_target_is_not(sandbox: PlainSandbox, base: Path) -> None:
    target = base.parent / f"{base.name}-target"
    target.mkdir(mode=0o755)
    (target / "kept").touch(mode=0o400)
    code = f"""
    import os, shutil
    here = os.getcwd()
    try:
        shutil.rmtree(here)
        os.symlink("{target}", here)
    except OSError:
        pass
    """
    try:
        result = sandbox.run(request(textwrap.dedent(code) + GOOD))
        assert result.verdict == Verdict.PASS, result.stderr
        assert list(base.iterdir()) == []
        assert (target / "kept").stat().st_mode & 0o777 == 0o400
    finally:
        (target / "kept").unlink()
        target.rmdir()


def test_an_infinite_recursion_without_a_limit_is_never_a_pass(sandbox: PlainSandbox) -> None:
    result = sandbox.run(request("import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x) + 1\n"))
    assert result.verdict in (Verdict.OOM, Verdict.CRASH, Verdict.TIMEOUT)


def test_a_deterministic_program_repeats_byte_for_byte(sandbox: PlainSandbox) -> None:
    code = """
    import os, random, tempfile, threading
    class A: pass
    print(random.random(), {"a", "b", "c"}, A(), os.getcwd(), threading.Thread(target=print))
    print(tempfile.mkdtemp())
    def f(x):
        raise ValueError(f"{A()} {__file__} {tempfile.mkdtemp()} {random.random()}")
    """

    def stable(result: RunResult) -> tuple[object, ...]:
        return tuple(v for k, v in vars(result).items() if k not in ("duration_ms", "peak_memory_mb"))

    first, second = (sandbox.run(request(code)) for _ in range(2))
    assert first.verdict == Verdict.ERROR
    assert stable(first) == stable(second)
    assert "<solution.A object at 0x...> ./solution.py ./tmp" in first.stderr


def test_the_report_shows_the_tasks_own_frames_with_their_source(sandbox: PlainSandbox) -> None:
    code = "import json\ndef f(x):\n    return json.loads('{')\n"
    result = sandbox.run(request(code))
    assert result.tests[0].message == textwrap.dedent("""\
        Traceback (most recent call last):
          File "test_solution.py", line 7, in test_doubles
            self.assertEqual(f(2), 4)
          File "solution.py", line 3, in f
            return json.loads('{')
        JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)""")
    assert result.stderr.count("ERROR: TestF.") == 2


def test_coverage_is_the_share_of_executable_lines_that_ran(sandbox: PlainSandbox) -> None:
    code = '''
    """A module."""

    def f(x):
        """Doubles."""
        if x > 100:
            return None
        return 2 * x


    def unused():
        return 1
    '''
    # Executable: def, if, return None, return 2 * x, def, return 1. Run: 4 of these 6.
    result = sandbox.run(request(code, coverage=True))
    assert result.coverage == pytest.approx(4 / 6)
    assert sandbox.run(request(code)).coverage is None


def test_packages_data_files_and_names_of_standard_modules_work(sandbox: PlainSandbox) -> None:
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


def test_run_many_keeps_the_order_and_reads_no_further_than_it_must(sandbox: PlainSandbox) -> None:
    drawn = []

    def requests() -> Iterator[RunRequest]:
        for i in range(100):
            drawn.append(i)
            yield request(GOOD if i % 2 else "def f(x):\n    return 1\n")

    results = sandbox.run_many(requests())
    assert [next(results).verdict for _ in range(4)] == [Verdict.FAIL, Verdict.PASS] * 2
    results.close()
    assert len(drawn) <= 8


def test_a_caller_that_wants_no_more_does_not_wait_for_what_still_runs(sandbox: PlainSandbox) -> None:
    sleeper = request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=60))
    results = sandbox.run_many([request(GOOD), sleeper, sleeper, sleeper])
    assert next(results).verdict == Verdict.PASS
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 5
    assert sandbox.run(request(GOOD)).verdict == Verdict.PASS


def test_an_unknown_framework_is_the_users_to_mend(sandbox: PlainSandbox) -> None:
    with pytest.raises(UserError, match="expected 'unittest', got 'pytest'"):
        sandbox.run(RunRequest((), TestSuite((), "pytest", 1), LIMITS))


def test_a_suite_of_no_tests_is_the_users_to_mend(sandbox: PlainSandbox) -> None:
    with pytest.raises(UserError, match="at least 1 test, got n_tests=0"):
        sandbox.run(request(GOOD, suite(n_tests=0)))


def test_a_closed_sandbox_ends_what_runs_and_gives_no_label() -> None:
    box = PlainSandbox(workers=1)
    results = box.run_many([request(in_f("import time; time.sleep(1000)"), limits=Limits(wall_s=60))])
    threading.Timer(1.0, box.close).start()
    started = time.monotonic()
    assert next(results).verdict == Verdict.HARNESS_ERROR
    assert time.monotonic() - started < 5
    assert box.run(request(GOOD)).verdict == Verdict.HARNESS_ERROR


@ON_LINUX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_death_of_the_parent_ends_its_runs_and_removes_their_folders(base: Path, how: signal.Signals) -> None:
    # A background job of a shell inherits an ignored SIGINT, and Python then installs no handler of its own.
    script = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from iterpref.codeflow.sandbox.plain import PlainSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.schema import SourceFile, TestSuite
code = "import os, time\\nif os.fork() == 0: os.setsid()\\ntime.sleep(1000)"
tests = TestSuite((SourceFile("test_a.py", "import solution"),), "unittest", 1)
PlainSandbox(1).run(RunRequest((SourceFile("solution.py", code),), tests, Limits(wall_s=30)))
"""

    def wait_for(n_processes: int) -> None:
        deadline = time.monotonic() + 10
        while len(marked_processes(str(base))) != n_processes and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(marked_processes(str(base))) == n_processes

    environment = {**os.environ, "TMPDIR": str(base)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(3)  # the supervisor, the program and its child
        parent.send_signal(how)
        parent.wait(timeout=10)
    finally:
        parent.kill()
        parent.wait()
    wait_for(0)
    assert list(base.iterdir()) == []


def test_the_sandbox_needs_no_torch() -> None:
    code = "import sys\nimport iterpref.codeflow.sandbox.plain\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
