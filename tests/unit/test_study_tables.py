"""A study's figures by hand: task means over seeds, differences over the seeds of both, and the tables of them."""

from __future__ import annotations

from typing import Any

import pytest

from iterpref.study.plan import Study, Tune
from iterpref.study.tables import PREFERENCE, markdown, summary, task_means

STUDY = Study(
    train=(), arms={"sft": (), "dpo": ()}, seeds=(1, 2), evaluations={"v": (), "t": ()}, compared=("t",), baseline="sft",
    tune=Tune((1e-5,), "v"), main=("sft", "dpo"),
)  # fmt: skip


def record(arm: str, seed: int, tasks: dict[str, float], phase: str = "main") -> dict[str, Any]:
    rate = {"mean": sum(tasks.values()) / len(tasks)}
    return {
        "name": f"{phase}-{arm}-seed{seed}", "phase": phase, "arm": arm, "seed": seed, "lr": 1e-5, "seconds": {"train": 30.0, "t": 30.0},
        "benchmarks": {"v" if phase == "tune" else "t": {"tasks": tasks, "rates": {"pass@1": rate}}},
        "held_out": {"after": {name: {"mean": float(seed)} for name in PREFERENCE}}, "curve": [],
    }  # fmt: skip


RECORDS = [
    record("sft", 1, {"a": 1, "b": 0, "c": 0, "d": 0}), record("sft", 2, {"a": 1, "b": 1, "c": 0, "d": 0}),
    record("dpo", 1, {"a": 0, "b": 0, "c": 0, "d": 0}), record("sft", 0, {"x": 1.0}, "tune"),
]  # fmt: skip


def test_a_task_counts_with_its_mean_over_the_seeds() -> None:
    assert task_means(RECORDS[:2], "t") == {"a": 1, "b": 0.5, "c": 0, "d": 0}
    found = summary(STUDY, RECORDS)["arms"]["sft"]["benchmarks"]["t"]
    assert found["mean"] == pytest.approx(0.375)
    assert found["low"] <= 0.375 <= found["high"]
    assert found["between_seeds"] == pytest.approx(0.25 / 2**0.5)  # of 1/4 and 2/4


def test_an_arm_with_one_seed_is_compared_with_that_seed_of_the_baseline() -> None:
    found = summary(STUDY, RECORDS)["arms"]["dpo"]["against"]["t"]
    assert found["seeds"] == [1]
    assert (found["difference"], found["gained"], found["lost"]) == (-0.25, 0, 1)


def test_the_tables_say_arms_seeds_differences_and_the_chosen_rate() -> None:
    text = markdown(STUDY, summary(STUDY, RECORDS))
    assert "| sft | 2 | 1e-05 | 37.5 [" in text
    assert "± 17.7" in text
    assert "| dpo | -25.0 [" in text
    assert "| sft | 100.0 | 1e-05 |" in text  # tuned
    assert "| sft | 1.50 |" in text  # held-out means over seeds 1 and 2
    assert "4 jobs, 4.0 minutes." in text
