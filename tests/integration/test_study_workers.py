"""Processes of a study: one that dies costs its job alone, and none outlives the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iterpref.study.plan import Job
from iterpref.study.workers import Workers, environment, one_gpu, scoring_share

BROKEN = Job("tune", "sft", 0, 1e-5, ("loss=nonsense",), {}, {}, ())
FAULTY = Job("tune", "dpo", 0, 1e-5, (), {}, {}, ())
PARENT = """
import sys, time
from pathlib import Path
from iterpref.study.workers import Workers

if __name__ == "__main__":
    workers = Workers(Path(sys.argv[1]), 2)
    print(*(worker.process.pid for worker in workers._workers), flush=True)
    time.sleep(600)
"""


def test_a_process_that_dies_costs_its_job_alone_and_a_fault_its_process(tmp_path: Path) -> None:
    workers = Workers(tmp_path, 1)
    try:
        pid = workers._workers[0].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        workers.start(BROKEN)
        assert not workers.free
        (ended,) = workers.wait()
        assert (ended.job, ended.record) == (BROKEN, None)
        assert "its process ended with -9" in ended.failure
        assert workers.free
        workers.start(BROKEN)
        (ended,) = workers.wait()
        assert "the command ended with 2" in ended.failure
        assert "loss=nonsense is none of" in ended.failure  # from its log
        assert not ended.broken
        last = workers._workers[0].process
        assert last.is_alive()
        # A fault that is no mistake in a command: the run's folder cannot be made.
        (tmp_path / "work" / FAULTY.name).write_text("")
        workers.start(FAULTY)
        (ended,) = workers.wait()
        assert "FileExistsError" in ended.failure
        assert not last.is_alive()  # whatever state it was in
        assert workers._workers[0].process.is_alive()
    finally:
        workers.close()


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    logs = [tmp_path / f"work/worker-{i}.log" for i in range(2)]
    _until(lambda: all(log.exists() for log in logs))  # they are at work, and watch
    parent.kill()
    parent.wait()
    _until(lambda: not any(_alive(pid) for pid in pids))


def _until(true: object) -> None:
    end = time.monotonic() + 60
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_evaluations_get_twice_an_equal_share_of_the_cores(monkeypatch) -> None:
    monkeypatch.setattr("iterpref.study.workers.usable_cores", lambda: 16)
    assert [scoring_share(n) for n in (2, 5, 64)] == [
        ("sandbox.workers=16",),
        ("sandbox.workers=7",),
        ("sandbox.workers=1",),
    ]


@pytest.mark.parametrize(
    ("said", "given"),
    [("4,7", ["4", "7", "4"]), ("GPU-a, GPU-b,GPU-c", ["GPU-a", "GPU-b", "GPU-c"]), ("", []), (None, [])],
)
def test_processes_take_the_visible_gpus_in_turn(
    said: str | None, given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert [gpu for i in range(3) for gpu in one_gpu(i).values()] == given


def test_a_process_that_starts_within_has_the_variables_and_the_parent_has_its_own_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with environment({"OMP_NUM_THREADS": "3"} | one_gpu(5)):
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"]) == ("3", "3")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert "OMP_NUM_THREADS" not in os.environ
