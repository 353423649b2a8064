"""A newcomer's mistakes: each ends with one clear message, its place and a remedy, and leaves nothing half-written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import iterpref.models.tiny

GOOD = {
    "task_id": "own/double",
    "prompt": "Write `double(x)` that returns twice x.",
    "solution": "def double(x: int) -> int:\n    if x < 0:\n        raise ValueError('negative')\n    return x * 2\n",
    "tests": "import unittest\nfrom solution import double\n\n\nclass T(unittest.TestCase):\n"
    "    def test_two(self):\n        self.assertEqual(double(2), 4)\n\n"
    "    def test_zero(self):\n        self.assertEqual(double(0), 0)\n\n"
    "    def test_negative(self):\n        with self.assertRaises(ValueError):\n            double(-1)\n",
}
SMALL = ("model=tiny", "debug.samples=1", "generate.bugs_max=1", "generate.wrong_repair=0", "sandbox.cpu_s=1")


def run(command: str, tmp_path: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"iterpref.{command}", *overrides],
        cwd=tmp_path, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def tasks(path: Path, *rows: dict[str, str] | str) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return f"problems.path={path}"


def assert_told(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    message = done.stderr.rpartition("iterpref: ")[2]
    for word in words:
        assert word in message
    assert "Traceback" not in done.stderr


def numbered(n: int) -> list[dict[str, str]]:
    return [{**GOOD, "task_id": f"own/{i}"} for i in range(n)]


def test_a_broken_line_17_is_named_before_any_work(tmp_path):
    path = tasks(tmp_path / "tasks.jsonl", *numbered(16), '{"task_id": "own/16", "prompt": ', *numbered(1))
    done = run("prepare", tmp_path, "problems=jsonl", path, *SMALL)
    assert_told(done, "tasks.jsonl:17", "JSON")
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_task_whose_reference_fails_its_own_tests_is_named_dropped_and_counted(tmp_path):
    wrong = {**GOOD, "task_id": "own/wrong", "solution": "def double(x):\n    return x + 2\n"}
    path = tasks(tmp_path / "tasks.jsonl", GOOD, wrong)
    done = run("prepare", tmp_path, "problems=jsonl", path, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "own/wrong is dropped" in done.stdout + done.stderr
    assert "reference_fails: 1" in done.stdout
    (manifest,) = (tmp_path / "data_cache" / "trajectories").glob("[!t.]*/manifest.json")
    assert json.loads(manifest.read_text())["counts"]["problems_dropped"] == {"reference_fails": 1}


def test_when_every_reference_fails_the_command_stops_with_the_remedy(tmp_path):
    wrong = {**GOOD, "solution": "def double(x):\n    return x + 2\n"}
    done = run("prepare", tmp_path, "problems=jsonl", tasks(tmp_path / "tasks.jsonl", wrong), *SMALL)
    assert_told(done, "none of the 1 tasks", "debug.verify_reference=false")


def test_an_empty_data_set_is_refused(tmp_path):
    done = run("prepare", tmp_path, "problems=jsonl", tasks(tmp_path / "tasks.jsonl"), *SMALL)
    assert_told(done, "there is no task in", "tasks.jsonl")


def test_sequences_over_the_limit_are_counted_and_when_none_is_left_the_limit_is_named(tmp_path):
    path = tasks(tmp_path / "tasks.jsonl", GOOD)
    done = run("prepare", tmp_path, "problems=jsonl", path, "data.max_completion_tokens=5", *SMALL)
    assert_told(done, "completion_over_5_tokens: 1", "own/double#0", "data.max_completion_tokens")


def test_a_model_without_chat_template_names_the_override(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(Path(iterpref.models.tiny.__file__).parent, folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "config.json").write_text("{}")
    overrides = [o for o in SMALL if not o.startswith("model=")]
    done = run(
        "prepare",
        tmp_path,
        "problems=jsonl",
        tasks(tmp_path / "t.jsonl", GOOD),
        "model=pretrained",
        f"model.path={folder}",
        *overrides,
    )
    assert_told(done, "no chat template", "model.prompt_format=plain")


@pytest.mark.skipif(
    os.environ.get("CUDA_VISIBLE_DEVICES", "") != "" or shutil.which("nvidia-smi") is not None, reason="has a GPU"
)
def test_four_devices_on_a_cpu_machine_stop_before_any_work(tmp_path):
    done = run(
        "train", tmp_path, "experiment=smoke", "trainer.accelerator=auto", "trainer.devices=4", "data.global_batch=16"
    )
    assert_told(done, "trainer.devices=4", "trainer.devices=1")
    assert not (tmp_path / "data_cache").exists()


def test_a_run_folder_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "taken").write_text("")
    done = run("train", tmp_path, "experiment=smoke", "paths.run=taken/run")
    assert_told(done, "taken", "paths.run=DIR")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_explained(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = run("prepare", tmp_path, "experiment=smoke", f"paths.data={locked}/data")
    assert_told(done, "no permission", "paths.data=DIR")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_is_explained_and_the_next_run_goes_on(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        overrides = ("problems=jsonl", tasks(tmp_path / "t.jsonl", *numbered(12)), f"paths.data={small}/data", *SMALL)
        assert_told(run("prepare", tmp_path, *overrides), "the disk is full", "paths.data=DIR")
        assert not list(small.rglob("manifest.json"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert run("prepare", tmp_path, *overrides).returncode == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)
