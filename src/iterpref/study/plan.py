"""A study's YAML file -> what has to be run, in which order.

    tune    each arm at each learning rate, one seed, scored on `tune.by` alone
    main    each arm at the rate that tuning chose for it, all seeds for the arms of `main` and the first for the others,
            scored on `compared`
    start   the model as it is, scored on everything

Seeds come outermost, so that a study that is cut off has whole rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config import nearest
from iterpref.errors import UserError

START = "start"


@dataclass(frozen=True)
class Job:
    """One trained model (or the start model) and the evaluations of it. Its name is that of its record."""

    phase: str  # start | tune | main
    arm: str
    seed: int
    lr: float | None
    train: tuple[str, ...]  # overrides of iterpref.train; none for the start model
    evaluations: Mapping[str, tuple[str, ...]]  # overrides of iterpref.evaluate, by name
    model: tuple[str, ...]  # overrides that name the start model

    @property
    def name(self) -> str:
        if self.phase == START:
            return START
        return f"tune-{self.arm}-lr{self.lr:g}" if self.phase == "tune" else f"main-{self.arm}-seed{self.seed}"


@dataclass(frozen=True)
class Tune:
    """Learning rates that each arm is tried with, and the evaluation that chooses among them."""

    lrs: tuple[float, ...]
    by: str
    seed: int = 0


@dataclass(frozen=True)
class Study:
    """See `configs/study/main.yaml`."""

    train: tuple[str, ...]
    arms: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    evaluations: Mapping[str, tuple[str, ...]]
    compared: tuple[str, ...]
    baseline: str
    tune: Tune
    main: tuple[str, ...]
    model: tuple[str, ...] = ()
    extra: tuple[str, ...] = field(
        default=(), metadata={"file": False}
    )  # overrides of every training run, from the command line

    def tuning(self, arms: tuple[str, ...]) -> Iterator[Job]:
        chosen = {self.tune.by: self.evaluations[self.tune.by]}
        for lr in self.tune.lrs:
            for arm in arms:
                yield self._job("tune", arm, self.tune.seed, lr, chosen)

    def start(self) -> Job:
        return Job(START, START, 0, None, (), self.evaluations, self.model)

    def rounds(self, arms: tuple[str, ...], lrs: Mapping[str, float]) -> Iterator[Job]:
        """`lrs`: what tuning chose; arms without one are left out."""
        scored = {name: self.evaluations[name] for name in self.compared}
        for seed in self.seeds:
            for arm in arms:
                if arm in lrs and (arm in self.main or seed == self.seeds[0]):
                    yield self._job("main", arm, seed, lrs[arm], scored)

    def _job(self, phase: str, arm: str, seed: int, lr: float, scored: Mapping[str, tuple[str, ...]]) -> Job:
        overrides = (*self.model, *self.train, *self.arms[arm], f"optim.lr={lr:g}", f"seed={seed}", *self.extra)
        return Job(phase, arm, seed, lr, overrides, scored, self.model)

    def chosen_arms(self, names: str | None) -> tuple[str, ...]:
        """The arms of a comma-separated list, all without one; raises `UserError` for one that the study lacks."""
        arms = tuple(names.split(",")) if names else tuple(self.arms)
        for arm in arms:
            if arm not in self.arms:
                raise UserError(f"--arms {arm}: the study has {', '.join(self.arms)}{nearest(arm, list(self.arms))}")
        return arms


def read_study(path: Path, files: Mapping[str, str] | None, extra: tuple[str, ...] = ()) -> Study:
    """The study of a YAML file; `{NAME}` in an override becomes `files[NAME]`, and stays as it is without `files`.

    Raises `UserError` naming what does not fit.
    """
    try:
        raw = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{path}: no study can be read ({' '.join(str(error).split())})") from None
    except Exception as error:  # a YAML error has no base of its own in OmegaConf
        raise UserError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected the options of a study, got {type(raw).__name__}")
    known = [f.name for f in fields(Study) if f.metadata.get("file", True)]
    for key in map(str, raw):
        if key not in known:
            raise UserError(f"{path}: a study has no '{key}'{nearest(key, known)}; it has {', '.join(known)}")
    required = [f for f in known if f != "model"]
    if missing := [name for name in required if name not in raw]:
        raise UserError(f"{path}: {', '.join(missing)} must be there")
    try:
        study = Study(
            train=_overrides(raw["train"], files, path), model=_overrides(raw.get("model", []), files, path),
            arms={str(n): _overrides(o, files, path) for n, o in raw["arms"].items()},
            evaluations={str(n): _overrides(o, files, path) for n, o in raw["evaluations"].items()},
            seeds=tuple(int(s) for s in raw["seeds"]), compared=tuple(raw["compared"]), baseline=str(raw["baseline"]),
            main=tuple(raw["main"]), tune=Tune(**{**raw["tune"], "lrs": tuple(float(x) for x in raw["tune"]["lrs"])}),
            extra=extra,
        )  # fmt: skip
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: an option has not the form of configs/study/main.yaml ({error})") from None
    _check(study, path)
    return study


def _overrides(lines: Any, files: Mapping[str, str] | None, path: Path) -> tuple[str, ...]:
    if not isinstance(lines, list) or not all(isinstance(line, str) and "=" in line for line in lines):
        raise UserError(f"{path}: expected a list of overrides such as [loss=sft, optim.lr=1e-5], got {lines!r}")
    if files is None:
        return tuple(lines)
    try:
        return tuple(line.format_map(files) for line in lines)
    except KeyError as error:
        raise UserError(f"{path}: it needs a file: add --file {error.args[0]}=PATH") from None
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: in {lines!r}, {{NAME}} stands for a file of --file NAME=PATH ({error})") from None


def _check(study: Study, path: Path) -> None:
    arms, evaluations = list(study.arms), list(study.evaluations)
    for what, names, known in (
        ("main", study.main, arms), ("baseline", [study.baseline], arms), ("compared", study.compared, evaluations),
        ("tune.by", [study.tune.by], evaluations),
    ):  # fmt: skip
        for name in names:
            if name not in known:
                raise UserError(
                    f"{path}: {what} names '{name}', which is none of {', '.join(known)}{nearest(name, known)}"
                )
    if not study.seeds or not study.tune.lrs:
        raise UserError(f"{path}: seeds and tune.lrs must not be empty")
    if study.tune.by in study.compared:
        raise UserError(
            f"{path}: {study.tune.by} chooses the learning rates, so it says nothing about the arms: leave it out of compared"
        )
