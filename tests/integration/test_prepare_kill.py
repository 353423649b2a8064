"""kill -9 of `iterpref.prepare` at any moment, run again each time: the finished tables are those of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

OVERRIDES = (
    "experiment=smoke", "problems.limit=6", "debug.samples=2", "sandbox.cpu_s=0.5", "sandbox.workers=2",
)  # fmt: skip
KILLS = 10


def command(data: Path) -> list[str]:
    return [sys.executable, "-m", "iterpref.prepare", *OVERRIDES, f"paths.data={data}"]


def test_ten_kills_at_random_moments_change_no_byte_of_the_result(tmp_path, tables):
    begin = time.monotonic()
    done = subprocess.run(command(tmp_path / "calm"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    undisturbed = time.monotonic() - begin

    rng = random.Random(20)
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # Work goes on from kill to kill, so later moments of one run are reached by the sum.
        deadline = time.monotonic() + rng.uniform(0.1, 0.9) * min(undisturbed, 4.0)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 3, "the kills came too late to disturb anything"
    done = subprocess.run(command(tmp_path / "killed"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    calm = tables(tmp_path / "calm")
    assert calm
    assert tables(tmp_path / "killed") == calm


def test_a_second_prepare_does_nothing_and_a_new_mask_reuses_the_trajectories(tmp_path):
    data = tmp_path / "data"
    subprocess.run(command(data), check=True, capture_output=True, timeout=300)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")}
    imports = subprocess.run(
        [sys.executable, "-X", "importtime", *command(data)[1:]], check=True, capture_output=True, timeout=300
    ).stderr
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")} == before
    imported = {line.rpartition(b"|")[2].strip() for line in imports.splitlines()}
    assert b"hydra" in imported
    assert b"torch" not in imported  # which takes longer than all else
    subprocess.run([*command(data), "mask=official"], check=True, capture_output=True, timeout=300)
    after = {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")}
    new = set(after) - set(before)
    assert {path.parent.parent.name for path in new} == {"tokens"}
    assert {path: after[path] for path in before} == before
