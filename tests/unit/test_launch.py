"""Which processes of a job may begin."""

from __future__ import annotations

import pytest

from iterpref.config import TrainerConfig
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
