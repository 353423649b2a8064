"""What a study's file means: jobs, their order, the choice of learning rates, and its mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from iterpref.cli import CONFIG_DIR, check_overrides, checked_config, config_groups, quoted, register_schema
from iterpref.config_rules import check_rules
from iterpref.errors import UserError
from iterpref.pairs_argument import write_out
from iterpref.study.__main__ import jobs
from iterpref.study.choose import tuned
from iterpref.study.jobs import record_file
from iterpref.study.plan import Study, read_study

SHIPPED = Path(__file__).parents[2] / "configs/study/main.yaml"
SMALL: dict[str, Any] = {
    "train": ["experiment=smoke", "pairs={pairs}"],
    "arms": {"sft": ["loss=sft"], "dpo": ["mask=full"], "soft": ["mask=soft"]},
    "main": ["sft", "dpo"],
    "seeds": [1, 2],
    "tune": {"lrs": [1e-5, 1e-4], "by": "small"},
    "evaluations": {"small": ["benchmark=bank"], "large": ["benchmark=humaneval"]},
    "compared": ["large"],
    "baseline": "sft",
}


def study(tmp_path: Path, **changes: Any) -> Study:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**SMALL, **changes}))
    return read_study(file, {"pairs": "P.jsonl"}, ("trainer.epochs=1",))


def tune_record(arm: str, lr: float, rate: float) -> dict[str, Any]:
    return {"phase": "tune", "arm": arm, "lr": lr, "benchmarks": {"small": {"rates": {"pass@1": {"mean": rate}}}}}


def test_the_best_rate_on_the_tuning_tasks_is_chosen_and_the_smaller_of_equals() -> None:
    records = [tune_record("sft", 1e-5, 0.2), tune_record("sft", 1e-4, 0.3), tune_record("dpo", 1e-5, 0.1)]
    assert tuned(records, "small", [1e-5, 1e-4]) == {"sft": {"lr": 1e-4, "rates": {1e-5: 0.2, 1e-4: 0.3}}}
    records.append(tune_record("dpo", 1e-4, 0.1))
    assert tuned(records, "small", [1e-5, 1e-4])["dpo"]["lr"] == 1e-5


def test_jobs_come_round_by_round_and_minor_arms_have_one_seed(tmp_path: Path) -> None:
    lrs = {"sft": 1e-5, "dpo": 1e-4, "soft": 1e-5}
    found = list(study(tmp_path).rounds(("sft", "dpo", "soft"), lrs))
    assert [job.name for job in found] == [
        "main-sft-seed1", "main-dpo-seed1", "main-soft-seed1", "main-sft-seed2", "main-dpo-seed2",
    ]  # fmt: skip
    assert found[1].train == (
        "experiment=smoke", "pairs=P.jsonl", "mask=full", "optim.lr=0.0001", "seed=1", "trainer.epochs=1",
    )  # fmt: skip
    assert list(found[1].evaluations) == ["large"]


def test_tuning_gives_every_arm_the_same_rates_and_looks_at_no_other_tasks(tmp_path: Path) -> None:
    found = list(study(tmp_path).tuning(("sft", "dpo")))
    assert [job.name for job in found] == [
        "tune-sft-lr1e-05", "tune-dpo-lr1e-05", "tune-sft-lr0.0001", "tune-dpo-lr0.0001",
    ]  # fmt: skip
    assert {tuple(job.evaluations) for job in found} == {("small",)}


def test_an_arm_that_was_not_tuned_at_every_rate_waits(tmp_path: Path) -> None:
    import json

    small = study(tmp_path)
    for record in (tune_record("sft", 1e-5, 0.2), tune_record("sft", 1e-4, 0.3), tune_record("dpo", 1e-5, 0.9)):
        file = record_file(tmp_path, f"{record['arm']}-{record['lr']}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(record))
    found = [job.name for job in jobs(small, tmp_path, ("sft", "dpo"), ("main",))]
    assert found == ["main-sft-seed1", "main-sft-seed2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": {}}, r"no 'arm'; did you mean 'arms'\?"),
        ({"baseline": "sftt"}, r"baseline names 'sftt'.*did you mean 'sft'\?"),
        ({"train": ["pairs={pears}"]}, r"add --file pears=PATH"),
        ({"train": "experiment=smoke"}, r"expected a list of overrides"),
        ({"seeds": []}, r"must not be empty"),
        ({"compared": ["small"]}, r"small chooses the learning rates"),
        ({"tune": {"lrs": [1e-5], "by": "small", "best": 1}}, r"has not the form"),
        ({"seeds": ["one"]}, r"has not the form"),
    ],
)
def test_a_file_that_says_nothing_of_meaning_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(tmp_path, **changes)


@pytest.mark.parametrize("text", ["arms: [", "- 1", "", "arms: {}"])
def test_what_is_no_study_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"study\.yaml"):
        read_study(file, {})
    with pytest.raises(UserError, match=r"absent\.yaml"):
        read_study(tmp_path / "absent.yaml", {})


def check_command(command: str, overrides: Sequence[str]) -> None:
    """As the command itself does before it runs anything."""
    written = write_out(list(overrides), config_groups()["pairs"], quoted) if command == "train" else list(overrides)
    check_overrides(command, written)
    chosen = next((o.partition("=")[2] for o in written if o.startswith("experiment=")), None)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        check_rules(checked_config(command, compose(command, written), written, chosen))


def test_every_command_of_the_shipped_study_composes_and_is_valid(tmp_path: Path) -> None:
    register_schema()
    shipped = read_study(SHIPPED, {"pairs": str(tmp_path), "mbpp": "mbpp.jsonl"})
    for job in shipped.rounds(shipped.chosen_arms(None), dict.fromkeys(shipped.arms, 1e-5)):
        if job.seed == shipped.seeds[0]:
            check_command("train", job.train)
    for overrides in shipped.evaluations.values():
        check_command("evaluate", ("model=pretrained", "model.path=DIR", *overrides))
