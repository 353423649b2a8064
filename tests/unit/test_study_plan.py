"""What a study's file means: jobs, their order, the choice of learning rates, and its mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from tests.unit.test_study_tables import record

from iterpref.cli import CONFIG_DIR, check_overrides, checked_config, config_groups, quoted, register_schema
from iterpref.config.rules import check_rules
from iterpref.errors import UserError
from iterpref.pairs_argument import write_out
from iterpref.study.choose import tuned
from iterpref.study.plan import PHASES, Job, Study
from iterpref.study.read import read_study
from iterpref.study.records import is_done, record_file

SHIPPED = sorted((Path(__file__).parents[2] / "configs/study").glob("*.yaml"))
SMALL: dict[str, Any] = {
    "train": ["experiment=smoke", "pairs={pairs}"],
    "arms": {"sft": ["loss=sft"], "dpo": ["mask=full", "loss.beta=0.2"]},
    "variants": {
        "sharp": {"of": "dpo", "change": ["loss.beta=0.5"]},
        "other": {"of": "sft", "change": ["pairs={others}"]},
    },
    "held_out": {"own": [], "real": ["evaluate.pairs={real}"]},
    "seeds": [1, 2],
    "tune": {"lrs": [1e-5, 1e-4], "by": "small"},
    "evaluations": {"small": ["benchmark=bank"], "large": ["benchmark=humaneval"]},
    "compared": ["large"],
    "baseline": "sft",
}


def study(tmp_path: Path, **changes: Any) -> Study:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False))
    return read_study(file, {"pairs": "P.jsonl"}, ("trainer.epochs=1",))


def tune_record(arm: str, lr: float, rate: float) -> dict[str, Any]:
    return {"phase": "tune", "arm": arm, "lr": lr, "benchmarks": {"small": {"rates": {"pass@1": {"mean": rate}}}}}


def test_the_best_rate_on_the_tuning_tasks_is_chosen_and_the_smaller_of_equals() -> None:
    records = [tune_record("sft", 1e-5, 0.2), tune_record("sft", 1e-4, 0.3), tune_record("dpo", 1e-5, 0.1)]
    assert tuned(records, "small", [1e-5, 1e-4]) == {"sft": 1e-4}
    records.append(tune_record("dpo", 1e-4, 0.1))
    assert tuned(records, "small", [1e-5, 1e-4])["dpo"] == 1e-5
    after_the_fact = {**tune_record("sft", 1e-5, 0.9), "phase": "rates"}
    assert tuned([*records, after_the_fact], "small", [1e-5, 1e-4])["sft"] == 1e-4


def names(study: Study, phases: Sequence[str], lrs: dict[str, float], of: str | None = None) -> list[str]:
    return [job.name for job in study.jobs(study.chosen(of), phases, lrs)]


def test_jobs_come_round_by_round_and_then_variants_of_the_first_seed(tmp_path: Path) -> None:
    lrs = {"sft": 1e-5, "dpo": 1e-4}
    found = list(study(tmp_path).jobs(("sft", "dpo", "sharp"), ("main", "variants"), lrs))
    assert [job.name for job in found] == [
        "main-sft-seed1", "main-dpo-seed1", "main-sft-seed2", "main-dpo-seed2", "variants-sharp-seed1",
    ]  # fmt: skip
    assert found[1].train == (
        "experiment=smoke", "pairs=P.jsonl", "mask=full", "loss.beta=0.2", "optim.lr=0.0001", "seed=1", "trainer.epochs=1",
    )  # fmt: skip
    assert list(found[1].evaluations) == ["large"]


def test_a_variant_is_its_arm_with_the_change_as_the_last_word(tmp_path: Path) -> None:
    (sharp,) = study(tmp_path).jobs(("sharp",), PHASES[1:], {"dpo": 1e-4})
    assert sharp.train == (
        "experiment=smoke", "pairs=P.jsonl", "mask=full", "loss.beta=0.5", "optim.lr=0.0001", "seed=1", "trainer.epochs=1",
    )  # fmt: skip


def test_tuning_gives_every_arm_the_same_rates_and_looks_at_no_other_tasks(tmp_path: Path) -> None:
    found = list(study(tmp_path).jobs(("sft", "dpo", "sharp"), ("tune",), {}))
    assert [job.name for job in found] == [
        "tune-sft-lr1e-05", "tune-dpo-lr1e-05", "tune-sft-lr0.0001", "tune-dpo-lr0.0001",
    ]  # fmt: skip
    assert {tuple(job.evaluations) for job in found} == {("small",)}
    assert not any(job.held_out for job in found)


def test_every_rate_and_those_beyond_are_told_on_other_tasks_with_the_settings_of_tuning(tmp_path: Path) -> None:
    tune = {"lrs": [1e-4, 1e-5], "by": "small", "seed": 7, "also": ["large"], "beyond": [3e-6]}
    read = study(tmp_path, tune=tune)
    assert names(read, ("rates",), {}, "sft,sharp") == ["rates-sft-lr3e-06", "rates-sft-lr1e-05", "rates-sft-lr0.0001"]
    assert len(names(read, ("rates",), {})) == 6
    beyond, told, _ = read.jobs(("sft",), ("rates",), {})
    assert (list(told.evaluations), told.held_out, told.seed) == (["large"], {}, 7)
    assert "optim.lr=3e-06" in beyond.train
    tried = {job.name: job for job in read.jobs(("sft",), ("tune",), {})}
    assert told.settings == tried["tune-sft-lr1e-05"].settings
    assert len(tried) == 2  # a rate beyond is none that is chosen from


def test_without_another_evaluation_there_is_nothing_after_the_fact(tmp_path: Path) -> None:
    assert names(study(tmp_path), ("rates",), {}) == []


def test_what_is_compared_is_the_baseline_or_the_variants_arm_and_what_the_study_adds(tmp_path: Path) -> None:
    against = {"sft": ["dpo"], "sharp": ["sft", "other"], "dpo": ["sharp"]}
    read = study(tmp_path, against=against)  # other lacks its file, which is no mistake of the study's
    assert {name: read.bases(name) for name in ("sft", "dpo", "sharp")} == {
        "sft": ("dpo",), "dpo": ("sft", "sharp"), "sharp": ("dpo", "sft", "other"),
    }  # fmt: skip


def test_an_arm_without_a_rate_waits_and_so_do_its_variants(tmp_path: Path) -> None:
    assert names(study(tmp_path), ("main", "variants"), {"sft": 1e-4}) == ["main-sft-seed1", "main-sft-seed2"]


def test_what_needs_a_file_that_nobody_gave_is_left_out_and_cannot_be_asked_for(tmp_path: Path) -> None:
    lacking = study(tmp_path)
    assert lacking.left_out == {"other": "others", "real": "real"}
    assert list(lacking.held_out) == ["own"]
    with pytest.raises(UserError, match=r"--arms other: .* add --file others=PATH"):
        lacking.chosen("sft,other")
    given = read_study(tmp_path / "study.yaml", {"pairs": "P.jsonl", "others": "O.jsonl", "real": "R"})
    (other,) = given.jobs(given.chosen("other"), ("variants",), {"sft": 1e-5})
    assert "pairs=O.jsonl" in other.train
    assert "pairs=P.jsonl" not in other.train
    assert other.held_out["real"] == ("evaluate.pairs=R",)


def test_a_record_of_other_settings_is_no_record_of_the_job_wherever_the_files_lie(tmp_path: Path) -> None:
    def first(lr: float, pairs: str) -> Job:
        study(tmp_path)
        read = read_study(tmp_path / "study.yaml", {"pairs": pairs}, ("data.max_train_pairs={8}",))
        return next(read.jobs(("sft",), ("main",), {"sft": lr}))

    job = first(1e-5, "P.jsonl")
    assert job.train[-1] == "data.max_train_pairs={8}"  # no template
    assert not is_done(job, tmp_path)
    file = record_file(tmp_path, job.name)
    file.parent.mkdir()
    file.write_text(json.dumps({**record("sft", 1, {"a": 1.0}), "settings": list(job.settings)}))
    assert is_done(job, tmp_path)
    assert is_done(first(1e-5, "elsewhere/P.jsonl"), tmp_path)
    with pytest.raises(
        UserError, match=r"main-sft-seed1.json was made with other settings \(optim.lr=0.0001 optim.lr=1e-05\)"
    ):
        is_done(first(1e-4, "P.jsonl"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": {}}, r"no 'arm'; did you mean 'arms'\?"),
        ({"baseline": "sftt"}, r"baseline names 'sftt'.*did you mean 'sft'\?"),
        ({"train": ["pairs={pears}"]}, r"add --file pears=PATH"),
        ({"train": "experiment=smoke"}, r"expected a list of overrides"),
        ({"seeds": []}, r"seeds must not be empty"),
        ({"seeds": ["one"]}, r"seeds: expected a whole number, got 'one'"),
        ({"seeds": [1.5]}, r"seeds: expected a whole number, got 1.5"),
        ({"seeds": [True]}, r"seeds: expected a whole number, got True"),
        ({"seeds": "123"}, r"seeds: expected a list of numbers in \[\] .*, got '123'"),
        ({"seeds": [1, 1]}, r"seeds names 1 twice"),
        ({"seeds": [1, -1]}, r"seeds: seed=-1 is out of range: at least 0"),
        ({"tune": {**SMALL["tune"], "lrs": [1e-5, 0]}}, r"tune.lrs: optim.lr=0.0 is out of range: above 0"),
        ({"tune": {**SMALL["tune"], "lrs": [float("nan")]}}, r"tune.lrs: optim.lr=nan is out of range"),
        ({"tune": {**SMALL["tune"], "lrs": 1e-5}}, r"tune.lrs: expected a list of numbers"),
        ({"tune": {**SMALL["tune"], "lrs": []}}, r"tune.lrs must not be empty"),
        ({"tune": {**SMALL["tune"], "seed": 0.5}}, r"tune.seed: expected a whole number"),
        ({"tune": {"lrs": [1e-5]}}, r"tune needs by, and has lrs"),
        ({"tune": [1e-5]}, r"tune: expected NAME: VALUE in lines or in \{\}, got \[1e-05\]"),
        ({"arms": {}}, r"arms must not be empty"),
        ({"arms": {**SMALL["arms"], "x": None}}, r"arms.x: expected a list of overrides .*, got nothing"),
        ({"arms": {**SMALL["arms"], "a/b": []}}, r"arms: 'a/b' is no name for a folder"),
        ({"arms": {**SMALL["arms"], "..": []}}, r"arms: '\.\.' is no name for a folder"),
        ({"arms": {**SMALL["arms"], "start": []}}, r"'start' is the start model's name"),
        ({"train": ["optim.lr=1"]}, r"train: 'optim.lr=1' has no effect: learning rates are those of tune.lrs"),
        (
            {"arms": {**SMALL["arms"], "dpo": ["+seed=4"]}},
            r"arms.dpo: '\+seed=4' has no effect: seeds are those of seeds",
        ),
        (
            {"evaluations": {**SMALL["evaluations"], "large": ["model=tiny"]}},
            r"evaluations.large: 'model=tiny' has no effect",
        ),
        (
            {"held_out": {"own": ["benchmark=bank"]}},
            r"held_out.own: 'benchmark=bank' has no effect: held_out is for pairs",
        ),
        ({"evaluations": {**SMALL["evaluations"], "more": []}}, r"evaluations.more would score the start model alone"),
        ({"compared": []}, r"compared must not be empty"),
        ({"compared": "large"}, r"compared: expected a list of names"),
        ({"compared": ["large", "large"]}, r"compared names large twice"),
        (
            {"train": ["debug={samples: 3}"]},
            r"'debug=\{samples: 3\}' needs a file: .*a brace that is meant as such stands twice",
        ),
        ({"train": ["name={"]}, r"train: in 'name=\{', \{NAME\} stands for a file"),
        ({"variants": {"v": {"of": "dpo", "change": []}}}, r"variants.v.change is empty"),
        ({"variants": {"v": {"of": "dpo", "chnge": []}}}, r"variants.v has no 'chnge'; did you mean 'change'\?"),
        ({"variants": {"v": {"change": ["loss.beta=1"]}}}, r"variants.v needs of, and has change"),
        ({"compared": ["small"]}, r"small chooses the learning rates"),
        ({"variants": {"v": {"of": "dpoo", "change": []}}}, r"variants.v.of names 'dpoo'.*did you mean 'dpo'\?"),
        ({"variants": {"sft": {"of": "dpo", "change": []}}}, r"'sft' is an arm and a variant"),
        ({"variants": {"v": ["loss.beta=0.5"]}}, r"variants.v: expected NAME: VALUE"),
        ({"tune": {"lrs": [1e-5], "by": "small", "bye": 1}}, r"tune has no 'bye'; did you mean 'by'\?"),
        ({"against": {"dpoo": ["sft"]}}, r"against names 'dpoo'.*did you mean 'dpo'\?"),
        ({"against": {"sharp": ["sftt"]}}, r"against.sharp names 'sftt'.*did you mean 'sft'\?"),
        ({"against": {"dpo": "sharp"}}, r"against.dpo: expected a list of names .*, got 'sharp'"),
        ({"against": ["dpo"]}, r"against: expected NAME: VALUE"),
        ({"against": {"dpo": ["sft"]}}, r"against.dpo: it is compared with sft anyway"),
        ({"against": {"sharp": ["dpo"]}}, r"against.sharp: it is compared with dpo anyway"),
        ({"against": {"sft": ["dpo", "dpo"]}}, r"against.sft names dpo twice"),
        ({"against": {"dpo": ["dpo"]}}, r"against.dpo names 'dpo' itself"),
        ({"tune": {**SMALL["tune"], "also": ["larg"]}}, r"tune.also names 'larg'.*did you mean 'large'\?"),
        ({"tune": {**SMALL["tune"], "also": "large"}}, r"expected a list of names"),
        ({"tune": {**SMALL["tune"], "beyond": [1e-6]}}, r"tune.beyond has no effect without tune.also"),
        ({"tune": {**SMALL["tune"], "also": ["large"], "beyond": [1e-5]}}, r"the learning rate 1e-05 stands twice"),
    ],
)
def test_a_file_that_says_nothing_of_meaning_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(tmp_path, **changes)


def test_what_stands_empty_is_absent_and_a_key_of_the_studys_own_is_refused_behind_the_dashes(tmp_path: Path) -> None:
    read = study(tmp_path, variants=None, held_out=None, against=None, model=None)
    assert (read.variants, read.held_out, read.against, read.model) == ({}, {}, {}, ())
    with pytest.raises(UserError, match=r"--: 'optim.lr=1' has no effect: learning rates are those of tune.lrs"):
        read_study(tmp_path / "study.yaml", {"pairs": "P"}, ("optim.lr=1",))


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


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_command_of_the_shipped_studies_composes_and_is_valid(tmp_path: Path, file: Path) -> None:
    register_schema()
    files = dict.fromkeys(("pairs", "pairs_first", "pairs_last", "sampled", "repaired"), str(tmp_path))
    shipped = read_study(file, {**files, "mbpp": "mbpp.jsonl"})
    assert not shipped.left_out
    for job in shipped.jobs(shipped.chosen(None), ("main", "variants"), dict.fromkeys(shipped.arms, 1e-5)):
        if job.seed == shipped.seeds[0]:
            check_command("train", job.train)
    (start,) = shipped.jobs((), ("start",), {})
    for overrides in start.evaluations.values():
        check_command("evaluate", ("model=pretrained", "model.path=DIR", *overrides))
    for overrides in job.held_out.values():
        check_command("evaluate", ("paths.run=RUN", "evaluate.pass_at_1=false", *overrides))
