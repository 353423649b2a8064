"""What the sandbox is made of, without starting a process: names, counts, texts, and the rules of the verdict."""

from __future__ import annotations

import os
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.codeflow.sandbox import workspace
from iterpref.codeflow.sandbox.child import wire
from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.codeflow.sandbox.judge import judge
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, TestOutcome
from iterpref.codeflow.sandbox.report import clean, feedback
from iterpref.codeflow.sandbox.sharing import Gate
from iterpref.codeflow.sandbox.story import INSIDE, read
from iterpref.codeflow.sandbox.workspace import BadFile, RunFolder, check_names
from iterpref.errors import UserError
from iterpref.schema import SourceFile, TestSuite, Verdict

TESTS = (SourceFile("test_a.py", ""),)


def solution(*names: str) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(name, "") for name in names)


BAD_NAMES = ["/etc/passwd", "../a.py", "a/../../b.py", "", "a\0b.py", "a\\b.py", "C:/a.py", "a//b.py", "./a.py", "a/"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "\ud800.py", "a\nb.py", "x" * 300])
def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(BadFile, match="file name"):
        check_names(solution(name), TESTS)
    with pytest.raises(UserError, match="expected a relative path"):
        check_names((), solution(name))


@pytest.mark.parametrize("names", [("test_a.py",), ("TEST_A.py",), ("a", "a/b.py"), ("a/b.py", "a"), ("x.py", "x.py")])
def test_two_files_of_one_name_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadFile, match="twice"):
        check_names(solution(*names), TESTS)


def test_plain_names_are_accepted() -> None:
    check_names(solution("a.py", "pkg/__init__.py", "pkg/b c.py", "ä.txt", "..a"), TESTS)


def test_a_surrogate_in_the_tests_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="lone surrogate"):
        check_names((), (SourceFile("test_a.py", "'\ud800'"),))


def test_a_run_folder_is_closed_to_others_and_goes_away(tmp_path: Path) -> None:
    with RunFolder(tmp_path, None, own_uid=False) as place:
        assert place.path.stat().st_mode & 0o777 == 0o700
        (place.path / "left").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_goes_away_whatever_the_program_made_of_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o755)
    (kept / "file").touch()
    with RunFolder(tmp_path, None, own_uid=False) as place:
        (place.path / "link").symlink_to(kept)
        (place.path / "a" / "b").mkdir(parents=True)
        (place.path / "a" / "b" / "link").symlink_to(kept)
        (place.path / "a" / "b").chmod(0)
        (place.path / "a").chmod(0)
        deep = os.open(place.path, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=deep)
            below = os.open("d", os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = below
        os.close(deep)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.stat().st_mode & 0o777 == 0o755
    assert (kept / "file").exists()


@pytest.mark.parametrize(
    ("source", "n_tests"),
    [
        ("", 0),
        ("class T(unittest.TestCase):\n    def test_a(self): pass\n    def helper(self): pass\n", 1),
        ("class T(TestCase):\n    async def test_a(self): pass\n    def test_a(self): pass\n", 1),
        ("class T:\n    def test_a(self): pass\n", 0),
        ("class M:\n    def test_m(self): pass\nclass T(M, TestCase):\n    def test_a(self): pass\n", 2),
        ("class B(TestCase):\n    def test_a(self): pass\nclass T(B):\n    def test_b(self): pass\n", 3),
        ("if True:\n    class T(IsolatedAsyncioTestCase):\n        def test_a(self): pass\n", 1),
        ("class T(TestCase):\n    def test_a(self): pass\nclass T(TestCase):\n    def test_b(self): pass\n", 1),
        ("def f():\n    class T(TestCase):\n        def test_a(self): pass\n", 0),
        ("class A(B): pass\nclass B(A): pass\n", 0),
    ],
)
def test_tests_are_counted_as_unittest_would_run_them(source: str, n_tests: int) -> None:
    assert count_tests((SourceFile("test_a.py", source), SourceFile("data.txt", "class ("))) == n_tests


def test_a_base_class_in_another_file_counts() -> None:
    base = SourceFile("tests/base.py", "class Base(unittest.TestCase):\n    def check(self): pass\n")
    case = SourceFile("tests/test_a.py", "from tests.base import Base\nclass T(Base):\n    def test_a(self): pass\n")
    assert count_tests((base, case)) == 1


def test_a_suite_that_does_not_parse_names_its_file() -> None:
    with pytest.raises(UserError, match=r"'test_a\.py'.*mend the suite"):
        count_tests((SourceFile("test_a.py", "def ("),))


@pytest.mark.parametrize("name", ["wall_s", "cpu_s", "memory_mb", "output_kb", "disk_mb", "processes"])
def test_a_limit_must_be_positive(name: str) -> None:
    with pytest.raises(UserError, match=f"sandbox limit {name}: expected a number above 0, got 0"):
        Limits(**{name: 0})


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1), max_size=8),
    st.integers(1, 9),
)
def test_frames_survive_any_cut_of_the_stream(frames: list[list[str]], size: int) -> None:
    token = b"t" * wire.TOKEN_BYTES
    bodies = ["\0".join(fields).encode() for fields in frames]
    data = b"".join(token + len(body).to_bytes(4, "big") + body for body in bodies)
    decoder = wire.Decoder(token, 1 << 20)
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])
    assert decoder.frames == frames
    assert not decoder.forged


def test_a_frame_without_the_token_is_forged_and_those_before_it_count() -> None:
    token = b"t" * wire.TOKEN_BYTES
    decoder = wire.Decoder(token, 1 << 20)
    decoder.feed(token + (5).to_bytes(4, "big") + b"ready" + b"x" * 64)
    decoder.feed(token + (4).to_bytes(4, "big") + b"done")
    assert decoder.frames == [["ready"]]
    assert decoder.forged


def test_frames_beyond_the_limit_are_forged_and_take_no_memory() -> None:
    token = b"t" * wire.TOKEN_BYTES
    decoder = wire.Decoder(token, 100)
    decoder.feed(token + (1000).to_bytes(4, "big") + b"x" * 200)
    assert decoder.forged
    assert decoder.frames == []


READY, CANARIES, DONE = [wire.READY], [wire.CANARIES], [wire.DONE]
CANARY = [[wire.START, "Canary.a"], [wire.FAIL, "Canary.a", "as it must"], [wire.STOP, "Canary.a", "9"]]
END = [CANARIES, *CANARY, DONE]


def told(name: str, *outcomes: list[str]) -> list[list[str]]:
    return [[wire.START, name], *outcomes, [wire.STOP, name, "1500"]]


def verdict_of(frames: list[list[str]], n_tests: int = 1, **facts: Any) -> RunResult:
    report = {
        "frames": frames, "forged": False, "n_canaries": 1, "stdout": "", "stderr": "", "exceeded": [], "killed": "",
        "signal": 0, "exit": 0, "cpu_s": 0.1, "waited_s": 0.0, "processes": 0, "peak_mb": 9.0, **facts,
    }  # fmt: skip
    return judge(RunRequest((), TestSuite((), "unittest", n_tests)), report, "/tmp/run", 5.0, "plain")


PASSED = told("T.a", [wire.PASS, "T.a"])
FAILED = told("T.b", [wire.FAIL, "T.b", "1 != 2"])
RAISED = told("T.c", [wire.ERROR, "T.c", "KeyError", "KeyError: 1", ""])
NO_MEMORY = told("T.d", [wire.ERROR, "T.d", "MemoryError", "", wire.MEMORY])
NO_THREAD = told("T.e", [wire.ERROR, "T.e", "RuntimeError", "", wire.PROCESSES])
SKIPPED = told("T.f", [wire.SKIP, "T.f", "skipped: no"])


@pytest.mark.parametrize(
    ("frames", "n_tests", "verdict", "detail"),
    [
        ([READY, *PASSED, *END], 1, "PASS", ""),
        ([READY, *PASSED, *END], 2, "FAIL", "1 tests ran, expected 2"),
        ([READY, *PASSED, *PASSED, *END], 1, "FAIL", "2 tests ran, expected 1"),
        ([READY, *RAISED, *FAILED, *END], 2, "FAIL", "T.b"),
        ([READY, *PASSED, *RAISED, *END], 2, "ERROR", "KeyError"),
        ([READY, *FAILED, *NO_MEMORY, *END], 2, "OOM", "memory"),
        ([READY, *FAILED, *NO_THREAD, *END], 2, "PROC_LIMIT", "processes"),
        ([READY, *SKIPPED, *END], 1, "FAIL", "skipped T.f"),
        ([READY, *told("T.g"), *END], 1, "ERROR", "ended without an outcome"),
        ([READY, *told("T.h", [wire.PASS, "T.h"], [wire.PASS, "T.h"]), *END], 1, "TAMPER", "T.h passed twice"),
        ([READY, *told("T.i", [wire.PASS, "T.i"], [wire.FAIL, "T.i", "x"]), *END], 1, "FAIL", "T.i"),
        ([READY, *PASSED, [wire.TAMPER, "TestCase.run"], *END], 1, "TAMPER", "TestCase.run"),
        ([READY, *PASSED, [wire.TAMPER, "self.assertEqual"], *END], 1, "FAIL", "patched self.assertEqual"),
        ([READY, *PASSED, [wire.TAMPER, "builtins.abs"], *END], 1, "FAIL", "patched builtins.abs"),
        (
            [READY, *PASSED, CANARIES, *told("C.a", [wire.PASS, "C.a"]), DONE],
            1,
            "TAMPER",
            "a test that must fail passed",
        ),
        ([READY, *PASSED, CANARIES, DONE], 1, "TAMPER", "a test that must fail passed"),
        ([READY, *PASSED, DONE], 1, "TAMPER", "report"),
        ([READY, *END, *PASSED], 1, "TAMPER", "report"),
        ([READY, [wire.PASS, "T.a"], *END], 1, "TAMPER", "report"),
        ([READY, *told("T.a", [wire.ERROR, "T.a"]), *END], 1, "TAMPER", "report"),
        ([READY, *told("T.a", [wire.PASS, "T.a"])[:2], [wire.STOP, "T.a", "9" * 400], *END], 1, "TAMPER", "report"),
        ([READY, *PASSED, *END[:-1], [wire.DONE, "9" * 400, "1"]], 1, "TAMPER", "report"),
        ([READY, *PASSED, *END[:-1], [wire.DONE, "3", "2"]], 1, "TAMPER", "report"),
        ([READY, *told("T.a", [wire.VALUE, "0", '["int", "0x1"]']), *END], 1, "TAMPER", "report"),
        ([READY, *told("T\n" * 999, [wire.ERROR, "T", "E\n" * 999, "", ""]), *END], 1, "ERROR", "E " * 150),
        ([READY, *PASSED], 1, "EARLY_EXIT", "exit status 0"),
        ([READY, [wire.EXIT, "SystemExit(1)"]], 1, "EARLY_EXIT", "SystemExit(1)"),
        ([READY, [wire.COMPILE, "a.py: SyntaxError: bad"]], 1, "ERROR", "compile"),
        ([READY, [wire.ABORT, "ImportError", "ImportError: x", ""]], 1, "ERROR", "ImportError"),
        ([READY, [wire.ABORT, "MemoryError", "MemoryError", wire.MEMORY]], 1, "OOM", "memory"),
        ([], 1, "HARNESS_ERROR", "the test process ended before the run: exit 0, signal 0, "),
    ],
)
def test_the_frames_decide(frames: list[list[str]], n_tests: int, verdict: str, detail: str) -> None:
    result = verdict_of(frames, n_tests)
    assert (result.verdict, result.detail) == (verdict, detail)


@pytest.mark.parametrize(
    ("facts", "verdict", "detail"),
    [
        ({"signal": 11}, "CRASH", "SIGSEGV"),
        ({"signal": 9}, "CRASH", "SIGKILL"),
        ({"signal": 9, "cpu_s": 5.0}, "TIMEOUT", "cpu"),
        ({"signal": 40}, "CRASH", "SIG40"),
        ({"killed": "wall"}, "TIMEOUT", "wall"),
        ({"killed": "cpu"}, "TIMEOUT", "cpu"),
        ({"killed": "wall", "processes": 32}, "PROC_LIMIT", "processes"),
        ({"killed": "cpu", "processes": 31}, "PROC_LIMIT", "processes"),
        ({"killed": "memory"}, "OOM", "memory"),
        ({"killed": "cpu", "peak_mb": 1010.0}, "OOM", "memory"),
        ({"exceeded": ["stdout"], "killed": "output"}, "OUTPUT_LIMIT", "stdout"),
        ({"forged": True}, "TAMPER", "report"),
        ({"killed": "cancelled"}, "HARNESS_ERROR", "cancelled"),
    ],
)
def test_the_end_of_the_process_decides(facts: dict[str, Any], verdict: str, detail: str) -> None:
    result = verdict_of([READY, *PASSED], 3, **facts)
    assert (result.verdict, result.detail.replace("signal ", "SIG")) == (verdict, detail)


def test_counts_add_up_to_the_expected_tests() -> None:
    result = verdict_of([READY, *PASSED, *FAILED, *RAISED, *END], 3)
    assert (result.n_pass, result.n_fail) == (1, 2)
    timeout = verdict_of([READY, *PASSED, [wire.START, "T.b"]], 3, killed="wall")
    assert (timeout.n_pass, timeout.n_fail) == (1, 2)
    assert timeout.stderr == "The program did not end within 10 s: it was stopped in T.b."
    broken = verdict_of([], 3)
    assert (broken.n_pass, broken.n_fail) == (0, 0)


def test_what_differs_from_run_to_run_is_cleaned_away() -> None:
    dirty = "<A at 0x7f00ab> /tmp/run/work/a.py /tmp/run/tmp/b \x1b[1m\0 <Thread(T, started 140)> \u202e\r\n\ttab"
    assert clean(dirty, "/tmp/run") == "<A at 0x...> ./a.py /tmp/b \\x1b[1m\\x00 <Thread(T, started)> \\u202e\n\ttab"


def make_result(stderr: str, stdout: str = "") -> RunResult:
    return RunResult(Verdict.FAIL, "T.b", 1, 2, (), stdout, stderr)


def test_feedback_names_verdict_counts_and_failures() -> None:
    assert feedback(make_result("FAIL: T.b\n1 != 2", "debug\n")) == textwrap.dedent("""\
        FAIL: T.b (1 of 3 tests passed)

        FAIL: T.b
        1 != 2

        Standard output (its end):
        debug""")


@given(st.text(), st.text(), st.integers(0, 300))
def test_feedback_keeps_to_its_size(stderr: str, stdout: str, max_chars: int) -> None:
    assert len(feedback(make_result(stderr * 9, stdout), max_chars)) <= max_chars


def test_each_test_has_its_time_and_two_outcomes_that_differ_in_it_alone_are_equal() -> None:
    outcome = TestOutcome("T.a", "pass", "", 1.5)
    assert outcome == TestOutcome("T.a", "pass", "")
    report = {"forged": False, "frames": [READY, *PASSED, *END]}
    assert [test.duration_ms for test in read(report, "/box", INSIDE, 1, lambda i, value: "").tests] == [1.5]


def test_a_test_outcome_is_no_test_class() -> None:
    assert not TestOutcome.__test__


def test_the_gate_lets_one_in_alone_and_keeps_the_others_out() -> None:
    gate = Gate(2)
    inside: list[str] = []
    log: list[tuple[str, int]] = []

    def visit(name: str, alone: bool) -> None:
        with gate.enter(alone):
            inside.append(name)
            log.append((name, len(inside)))
            time.sleep(0.02)
            inside.remove(name)

    threads = [threading.Thread(target=visit, args=(f"{i}", i == 3)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log) == 8
    assert max(n for _, n in log) == 2
    assert dict(log)["3"] == 1


@pytest.mark.parametrize(
    ("capabilities", "uid_map", "own", "shared"),
    [
        ("000001ffffffffff", "0 0 4294967295", True, True),
        ("000001ffffffffff", "0 100000 65536", False, True),
        ("000001ffffffffff", "0 1000 1", False, False),
        ("000001ffffffffff", "", True, False),
        ("00000000a80425fb", "0 0 4294967295", True, True),  # docker's default set
        ("0000000000000000", "0 0 4294967295", False, False),
    ],
)
def test_root_steps_down_as_far_as_it_can(
    monkeypatch: pytest.MonkeyPatch, capabilities: str, uid_map: str, own: bool, shared: bool
) -> None:
    texts = {"/proc/self/status": f"Name:\tx\nCapEff:\t{capabilities}\n", "/proc/self/uid_map": uid_map}
    monkeypatch.setattr(workspace, "_read", texts.__getitem__)
    monkeypatch.setattr(workspace.sys, "platform", "linux")
    monkeypatch.setattr(workspace.os, "geteuid", lambda: 0)
    users = workspace.Users()
    uid = users.pick()
    assert users.own == own
    assert (uid is None) == (not own and not shared)
    assert uid is None or uid == workspace.NOBODY or uid >= workspace.FIRST_OWN_UID
