"""A study's figures by hand: task means over seeds, differences over the seeds of both, curves, errors, and their tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iterpref.eval import compare
from iterpref.study import summary as study_summary
from iterpref.study.plan import BY_LR, Study, Tune, Variant
from iterpref.study.records import record_file
from iterpref.study.summary import PREFERENCE, curve, machine_seconds, summary, task_means
from iterpref.study.tables import markdown, write_tables

STUDY = Study(
    train=(), arms={"sft": (), "dpo": ()}, seeds=(1, 2), evaluations={"v": (), "t": ()}, compared=("t",), baseline="sft",
    tune=Tune((1e-5,), "v", also=("t",), beyond=(1e-6,)), variants={"soft": Variant("dpo", ())}, held_out={"own": ()},
    against={"sft": ("dpo",)},
)  # fmt: skip


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means, counts and Wilson's intervals are checked here; how wide the bootstrap's are, in the tests of eval."""
    for module in (compare, study_summary):
        monkeypatch.setattr(module, "RESAMPLES", 200)


def record(
    arm: str, seed: int, tasks: dict[str, float], phase: str = "main", minute: int = 0, lr: float = 1e-5
) -> dict[str, Any]:
    rate = {"mean": sum(tasks.values()) / len(tasks)}
    tenth = {"mean": 0.5, "low": 0.25, "high": 0.75}
    benchmark = {
        "tasks": tasks, "rates": {"pass@1": rate, "pass@10": tenth}, "n_samples": 4, "verdicts": {"PASS": 1, "FAIL": 2, "TIMEOUT": 1},
        "errors": {"wrong answer": 2, "TypeError": 1},
    }  # fmt: skip
    bounds = {name: {"mean": float(seed), "low": seed - 0.5, "high": seed + 0.5} for name in PREFERENCE}
    return {
        "name": f"{phase}-{arm}-{f'lr{lr:g}' if phase in BY_LR else f'seed{seed}'}", "phase": phase, "arm": arm, "seed": seed, "lr": lr,
        "settings": [f"optim.lr={lr:g}", f"seed={seed}", "logger=csv"], "seconds": {"train": 30.0, "t": 30.0},
        "benchmarks": {"v" if phase == "tune" else "t": benchmark}, "gpus": ["H200"],
        "held_out": {"own": {"after": {"n_pairs": 7, **bounds}}},
        "curve": [validation(9, -10.0, -4.0), validation(19, -8.0 - seed, -2.0 - seed)],
        "began": f"2026-01-01T00:{minute:02d}:00+00:00", "ended": f"2026-01-01T00:{minute + 1:02d}:00+00:00",
    }  # fmt: skip


def validation(step: int, logps: float, logratio: float) -> dict[str, float]:
    return {
        "step": step, "val/chosen_logps": logps, "val/chosen_logratio": logratio, "val/rejected_logps": 2 * logps,
        "val/rejected_logratio": logratio, "val/focal_chosen_logratio": 1.0, "val/focal_rejected_logratio": -1.0,
    }  # fmt: skip


RECORDS = [
    record("sft", 1, {"a": 1, "b": 0, "c": 0, "d": 0}), record("sft", 2, {"a": 1, "b": 1, "c": 0, "d": 0}, minute=10),
    record("dpo", 1, {"a": 0, "b": 0, "c": 0, "d": 0}, minute=10), record("soft", 1, {"a": 0, "b": 0, "c": 1, "d": 1}, "variants", 10),
    record("sft", 0, {"x": 1.0}, "tune", 30),
]  # fmt: skip
AFTER = [
    record("sft", 0, {"a": 1, "b": 0, "c": 0, "d": 0}, "rates", 40),
    record("sft", 0, {"a": 1, "b": 1, "c": 1, "d": 0}, "rates", 40, lr=1e-6),
]


def test_a_task_counts_with_its_mean_over_the_seeds() -> None:
    assert task_means(RECORDS[:2], "t") == {"a": 1, "b": 0.5, "c": 0, "d": 0}
    found = summary(STUDY, RECORDS)["arms"]["sft"]["benchmarks"]["t"]
    assert found["mean"] == pytest.approx(0.375)
    assert found["low"] <= 0.375 <= found["high"]
    assert found["between_seeds"] == pytest.approx(0.25 / 2**0.5)  # of 1/4 and 2/4


def test_an_arm_that_solves_nothing_is_not_certain_to() -> None:
    found = summary(STUDY, RECORDS)["arms"]["dpo"]["benchmarks"]["t"]
    assert (found["mean"], found["low"]) == (0, 0)
    assert found["high"] == pytest.approx(1.959964**2 / (4 + 1.959964**2))  # Wilson's for 0 of 4
    assert found["between_seeds"] is None


def test_an_arm_is_compared_with_the_baseline_and_a_variant_with_its_arm_over_the_seeds_of_both() -> None:
    arms = summary(STUDY, RECORDS)["arms"]
    assert list(arms) == ["sft", "dpo", "soft"]
    found = arms["dpo"]["against"]["sft"]["t"]
    assert found["seeds"] == [1]
    assert (found["difference"], found["gained"], found["lost"]) == (-0.25, 0, 1)
    assert arms["soft"]["against"]["dpo"]["t"]["difference"] == 0.5


def test_an_arm_is_compared_with_what_the_study_adds_as_well() -> None:
    assert summary(STUDY, RECORDS)["arms"]["sft"]["against"]["dpo"]["t"]["difference"] == 0.25
    assert summary(STUDY, RECORDS[:2])["arms"]["sft"]["against"] == {}  # whose other arm has no run
    assert summary(replace(STUDY, against={}), RECORDS)["arms"]["sft"]["against"] == {}


def test_rates_are_told_by_learning_rate_and_change_neither_an_arm_nor_the_choice() -> None:
    found = summary(STUDY, [*RECORDS, *AFTER])
    assert list(found["by_lr"]["rates"]["t"]["sft"]) == [1e-6, 1e-5]
    assert found["by_lr"]["rates"]["t"]["sft"][1e-6]["mean"] == 0.75
    assert found["by_lr"]["tune"]["v"]["sft"][1e-5]["mean"] == 1.0
    before = summary(STUDY, RECORDS)
    assert found["arms"] == before["arms"]
    assert found["tuned"] == before["tuned"] == {"sft": 1e-5}


def test_arms_are_compared_at_one_rate_where_both_have_a_run_at_it() -> None:
    found = summary(STUDY, [*RECORDS, *AFTER, record("dpo", 0, {"a": 1, "b": 0, "c": 0, "d": 0}, "rates", 50, lr=1e-6)])
    told = found["at_one_rate"]["t"]
    assert {arm: {base: list(of) for base, of in bases.items()} for arm, bases in told.items()} == {
        "dpo": {"sft": [1e-6]}, "sft": {"dpo": [1e-6]},
    }  # fmt: skip
    assert (told["dpo"]["sft"][1e-6]["difference"], told["sft"]["dpo"][1e-6]["difference"]) == (-0.5, 0.5)
    assert summary(STUDY, [*RECORDS, *AFTER])["at_one_rate"]["t"] == {}  # of one arm alone
    assert "| dpo | sft | -50.0 [-100.0, +0.0]" in markdown(STUDY, found).partition("another arm's at the same rate")[2]


def test_a_curve_begins_with_the_reference_and_is_a_mean_over_seeds() -> None:
    runs = RECORDS[:2]
    assert curve(runs, "chosen_logps") == {0: -6.0, 10: -10.0, 20: -9.5}  # -10 + 4; -9 and -10
    assert curve(runs, "focal_chosen_logratio") == {0: 0.0, 10: 1.0, 20: 1.0}
    assert summary(STUDY, RECORDS)["arms"]["sft"]["likelihood"]["rejected_logps"] == [-16.0, -19.0]


def test_errors_are_shares_of_the_answers_of_all_seeds() -> None:
    found = summary(STUDY, RECORDS)["arms"]["sft"]["errors"]
    assert found == {"wrong answer": 0.5, "TypeError": 0.25, "PASS": 0.25, "TIMEOUT": 0.25}


def test_the_machines_time_counts_jobs_side_by_side_once() -> None:
    assert machine_seconds(RECORDS) == 180  # minutes 0, 10 and 30; three jobs share one of them
    assert summary(STUDY, RECORDS)["job_seconds"] == 300


def test_a_set_of_pairs_that_a_run_lacks_has_no_row() -> None:
    without = {**RECORDS[1], "held_out": {}}
    assert summary(STUDY, [RECORDS[0], without])["arms"]["sft"]["held_out"] == {}


def test_the_tables_say_arms_seeds_differences_and_the_chosen_rate(tmp_path: Path) -> None:
    for one in RECORDS:
        file = record_file(tmp_path, one["name"])
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(one))
    (tmp_path / "failures.jsonl").write_text(
        '{"name": "main-dpo-seed2", "when": "2026-01-02", "why": "no memory\\nmore"}\n'
    )
    text = write_tables(STUDY, tmp_path)
    assert "| sft | 2 | 1e-05 | 37.5 [" in text
    assert "± 17.7" in text
    assert "| dpo | sft | -25.0 [" in text
    assert "| sft | 50.0 [25.0, 75.0] |" in text  # pass@10
    assert "| sft | 100.0 [20.7, 100.0] | 1e-05 |" in text  # tuned; Wilson's for 1 of 1
    assert "| sft | 7 | 150.0 [100.0, 200.0] | 150.0 [100.0, 200.0] | +1.5 [+1.0, +2.0] |" in text  # over seeds 1 and 2
    assert "| sft | -6.0 to -9.5 |" in text
    assert "| main-dpo-seed2 | 2026-01-02 | no memory |" in text
    assert "5 jobs, 5.0 minutes one after the other, in 3.0 minutes of H200." in text
    assert {path.name for path in tmp_path.glob("*.png")} == {"likelihood.png", "rates.png", "learning_rates.png"}


def test_rates_after_the_fact_are_said_to_be_so_beside_the_choice() -> None:
    text = markdown(STUDY, summary(STUDY, [*RECORDS, *AFTER]))
    head, _, row = text.partition("after the fact: it chooses nothing**\n\n")[2].splitlines()[:3]
    assert head == "| arm | 1e-06 (not tuned) | 1e-05 | highest | chosen by tuning |"
    assert row.startswith("| sft | 75.0 [")
    assert row.endswith("| 1e-06 | 1e-05 |")
    assert "after the fact" not in markdown(STUDY, summary(STUDY, RECORDS))


def test_a_study_with_a_few_records_has_fewer_tables() -> None:
    text = markdown(STUDY, summary(STUDY, RECORDS[-1:]))
    assert "learning rate" in text
    assert "pass@10" not in text
