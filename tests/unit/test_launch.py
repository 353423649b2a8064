"""Which processes of a job may begin, and how one ends that has failed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from iterpref.config import Config, TrainerConfig, to_dict
from iterpref.errors import UserError
from iterpref.launch import enter


def test_only_several_processes_need_a_folder_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    enter(TrainerConfig(), named=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    enter(TrainerConfig(devices=2), named=True)
    with pytest.raises(UserError, match=r"add paths\.run=DIR"):
        enter(TrainerConfig(devices=2), named=False)


def test_another_number_of_processes_than_the_config_asks_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"2 processes were started.*ask for 4"):
        enter(TrainerConfig(devices=4))


FAILS = """
import atexit, sys, time
import iterpref.train
from iterpref.errors import UserError
from iterpref.launch import main

def train(config):
    raise {error}

iterpref.train.train = train
atexit.register(time.sleep, 600)  # as the end of a communicator does, whose other ranks wait for this one
main()
"""


@pytest.mark.parametrize(("error", "code"), [("RuntimeError('odd')", 1), ("UserError('mend it')", 2)])
def test_a_rank_that_has_failed_ends_whatever_its_end_would_wait_for(error: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "launch.json"
    file.write_text(json.dumps({"config": to_dict(Config()), "argv": ["train"]}))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-c", FAILS.format(error=error), str(file)], stdin=theirs.fileno(), capture_output=True, text=True,
            env={**os.environ, "RANK": "1", "WORLD_SIZE": "2"}, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert ("RuntimeError: odd" in done.stderr) if code == 1 else (ours.recv(100) == b"mend it")
