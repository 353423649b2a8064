"""`sweep=optuna`: a study that is stopped goes on, with its trials and their numbers, to where an undisturbed one comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from iterpref.config.sweep import SweepConfig
from iterpref.errors import UserError
from iterpref.overrides import parse
from iterpref.sweeps.study import STUDY, distribution, sampler

# By the margin in nats, which the loss does not scale, with rates that make a difference in two steps.
SPACE = [
    "-m",
    "sweep=optuna",
    "logger=csv",
    "sweep.metric=val/focal_margin",
    "optim.lr=tag(log,interval(1e-5,1e-1))",
    "loss.beta=0.1,0.3",
]


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{folder / 'study.db'}")


def told(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [(t.number, tuple(sorted(t.params.items())), t.value) for t in study.trials]


class Stopped(BaseException):
    """As Ctrl-C or a kill: nothing of ours catches it."""


def test_a_study_that_is_stopped_and_continued_is_the_undisturbed_one(
    tmp_path: Path, train: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from iterpref.models.module import FocalDPOModule

    step = FocalDPOModule.training_step
    stop = {"trial": 5, "epoch": 1}

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.config.sweep.trial == stop["trial"] and self.trainer.current_epoch == stop["epoch"]:
            raise Stopped
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FocalDPOModule, "training_step", training_step)
    arguments = [*SPACE, "sweep.trials=12", "sweep.startup=4", "hydra.sweep.dir=study"]
    with pytest.raises(Stopped):
        train(*arguments)
    study = study_in(tmp_path / "study")
    assert [t.state.name for t in study.trials] == [*["COMPLETE"] * 5, "RUNNING"]
    before = told(study)[:5]
    stop["trial"] = -1
    train(*arguments)

    study = study_in(tmp_path / "study")
    assert told(study)[:5] == before
    assert [t.number for t in study.trials] == list(range(12))
    assert {t.state.name for t in study.trials} == {"COMPLETE"}
    assert len({params for _, params, _ in told(study)}) == 12
    assert study.best_value > study.trials[0].value

    train(*arguments[:-1], "hydra.sweep.dir=undisturbed", "sweep.trials=7")
    assert told(study_in(tmp_path / "undisturbed")) == told(study)[:7]

    # All trials are on the leaderboard, and the command once more draws none.
    rows = json.loads((tmp_path / "study" / "sweep.json").read_text())["jobs"]
    assert sorted(row["number"] for row in rows) == list(range(12))
    train(*arguments)
    assert len(study_in(tmp_path / "study").trials) == 12


def test_a_trial_that_the_median_beats_is_pruned_without_an_export(
    tmp_path: Path, train: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from iterpref.models.module import FocalDPOModule

    # The rate is the value: what the first trials reach, the later ones with lower rates do not.
    def on_validation_epoch_end(self: Any) -> None:
        self.log_dict({"val/focal_margin": self.config.optim.lr, "val/loss": 1.0})
        self.validated_step = self.trainer.global_step

    rates = [0.004, 0.003, 0.002, 0.001, 0.005]

    def fixed(options: SweepConfig, seed: int, number: int) -> Any:
        return optuna.samplers.PartialFixedSampler({"optim.lr": rates[number]}, optuna.samplers.RandomSampler())

    monkeypatch.setattr("iterpref.sweeps.study.sampler", fixed)
    monkeypatch.setattr(FocalDPOModule, "on_validation_epoch_end", on_validation_epoch_end)
    train(
        *SPACE[:-2],
        "optim.lr=interval(1e-4,1e-2)",
        "sweep.trials=5",
        "sweep.pruner=median",
        "sweep.startup=2",
        "hydra.sweep.dir=study",
    )
    study = study_in(tmp_path / "study")
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED", "COMPLETE"]
    assert list(study.trials[2].intermediate_values) == [1]  # after the first of two steps
    pruned = tmp_path / "study" / "optim.lr=0.002"
    assert json.loads((pruned / "done.json").read_text())["pruned"] == 1
    assert not (pruned / "export").exists()
    assert "| pruned |" in (tmp_path / "study" / "leaderboard.md").read_text()


def of(override: str) -> Any:
    return distribution(parse([override])[0])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.lr=interval(1e-5,1e-3)", optuna.distributions.FloatDistribution(1e-5, 1e-3)),
        ("optim.lr=tag(log,interval(1e-5,1e-3))", optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)),
        ("trainer.epochs=interval(1,4)", optuna.distributions.IntDistribution(1, 4)),
        ("data.max_train_pairs=interval(1,4)", optuna.distributions.IntDistribution(1, 4)),
        ("trainer.epochs=range(1,8,2)", optuna.distributions.IntDistribution(1, 7, step=2)),
        ("loss.beta=0.1,0.3", optuna.distributions.CategoricalDistribution(["0.1", "0.3"])),
        ("mask=choice(paper,full)", optuna.distributions.CategoricalDistribution(["paper", "full"])),
    ],
)
def test_hydras_sweep_syntax_is_optunas_distribution(override: str, expected: Any) -> None:
    assert of(override) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=tag(log,interval(0,1))", "needs bounds above 0"),
        ("optim.lr=tag(lg,interval(1,2))", r"the tag lg has no effect: .*did you mean 'log'\?"),
        ("optim.lr=interval(2,1)", "goes from a to b, and 2 is not below 1"),
        ("optim.lr=interval(nan,1)", "goes from a to b"),
        ("trainer.epochs=range(3,3)", "stands for no value"),
        ("trainer.epochs=range(1,3,0)", "the step of a range cannot be 0"),
    ],
)
def test_a_space_that_holds_nothing_or_something_else_than_it_says_is_refused(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        of(override)


def test_the_draw_of_a_trial_is_a_matter_of_seed_number_and_results() -> None:
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}

    def drawn(name: str, seed: int, number: int) -> float:
        study = optuna.create_study()
        study.sampler = sampler(SweepConfig(sampler=name), seed, number)
        return study.ask(space).params["x"]

    for name in ("tpe", "random"):
        assert drawn(name, 0, 3) == drawn(name, 0, 3)
        assert len({drawn(name, seed, number) for seed in (0, 1) for number in (3, 4)}) == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sweep=optuna"], "needs something to search"),
        (["sweep=optuna", "loss.beta=interval(0.1,0.3)", "sweep.metric=val/los"], "did you mean 'val/loss'?"),
        (
            ["sweep=optuna", "loss.beta=interval(0.1,0.3)", "sweep.trials=0"],
            "sweep.trials=0 is out of range: at least 1",
        ),
        (["loss.beta=range(5,1)"], "'loss.beta=range(5,1)' stands for no value, so that there is no job"),
        (["mask=range(1,3)"], "mask is chosen by name, not by number: give mask=diff_aug,full"),
        (["optim.lr=interval(1e-5,1e-3)"], "a grid needs values, optim.lr=0.1,0.3"),
        (["loss.beta=0.1,0.3", "sweep.metric=val/loss"], "loss.beta changes the scale of sweep.metric=val/loss"),
        (
            ["loss.beta=0.1,0.3", "sweep.trials=3"],
            "sweep.trials has no effect with sweep.sampler=grid: add sweep=optuna",
        ),
        (
            ["loss.beta=0.1,0.3", "trainer.devices=2", "data.global_batch=4", "trainer.accelerator=auto"],
            "sweep with trainer.devices=1",
        ),
        (
            ["loss.beta=0.1,-1"],
            "job loss.beta=-1: loss.beta=-1.0 is out of range: above 0 and finite was expected (no job was started)",
        ),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_any_job(
    arguments: list[str], expected: str, train: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        train("-m", *arguments, "hydra.sweep.dir=sweep")
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.rglob("run.json"))
