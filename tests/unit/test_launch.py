"""Which processes of a job may begin."""

from __future__ import annotations

import pytest

from iterpref.config import TrainerConfig
from iterpref.errors import UserError
from iterpref.launch import enter, thread_shares


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


def test_processes_side_by_side_share_the_cores_unless_the_user_has_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterpref.codeflow.sandbox.sharing.usable_cores", lambda: 20)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "9")
    assert thread_shares(8) == {"OMP_NUM_THREADS": "2", "TORCHINDUCTOR_COMPILE_THREADS": "9"}
    assert thread_shares(64)["OMP_NUM_THREADS"] == "1"
