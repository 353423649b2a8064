"""A study's YAML file -> what has to be run, in which order.

    start     the model as it is, scored on everything
    tune      each arm at each learning rate, one seed, scored on `tune.by` alone
    main      each arm at the rate that tuning chose for it, all seeds, scored on `compared` and `held_out`
    variants  one change of an arm each, at that arm's rate, the first seed, scored like it

Seeds come outermost, so that a study that is cut off has whole rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.errors import UserError, nearest

START = "start"
PHASES = (START, "tune", "main", "variants")


@dataclass(frozen=True)
class Job:
    """One trained model (or the start model) and the evaluations of it. Its name is that of its record."""

    phase: str  # of `PHASES`
    arm: str
    seed: int
    lr: float | None
    train: tuple[str, ...]  # overrides of iterpref.train; none for the start model
    evaluations: Mapping[str, tuple[str, ...]]  # overrides of iterpref.evaluate on a benchmark, by name
    held_out: Mapping[str, tuple[str, ...]]  # and on held-out pairs
    model: tuple[str, ...]  # overrides that name the start model
    settings: tuple[str, ...] = ()  # `train`, with {NAME} for the path of a file: equal wherever the files lie

    @property
    def name(self) -> str:
        if self.phase == START:
            return START
        return f"tune-{self.arm}-lr{self.lr:g}" if self.phase == "tune" else f"{self.phase}-{self.arm}-seed{self.seed}"


@dataclass(frozen=True)
class Tune:
    """Learning rates that each arm is tried with, and the evaluation that chooses among them."""

    lrs: tuple[float, ...]
    by: str
    seed: int = 0


@dataclass(frozen=True)
class Variant:
    """An arm with one change."""

    of: str
    change: tuple[str, ...]


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
    held_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    model: tuple[str, ...] = ()
    # Overrides of every training run, from the command line, and what {NAME} stands for in any override.
    extra: tuple[str, ...] = field(default=(), metadata={"file": False})
    files: Mapping[str, str] = field(default_factory=dict, metadata={"file": False})
    # Variants and held-out pairs that cannot be had, with the name of the file that was not given.
    left_out: Mapping[str, str] = field(default_factory=dict, metadata={"file": False})

    def jobs(self, names: Sequence[str], phases: Sequence[str], lrs: Mapping[str, float]) -> Iterator[Job]:
        """In order. `lrs`: what tuning has chosen so far; arms without a rate, and their variants, have no job yet."""
        arms = [name for name in self.arms if name in names]
        if START in phases:
            yield Job(START, START, 0, None, (), self._all_filled(self.evaluations), {}, self._filled(self.model))
        if "tune" in phases:
            for lr in self.tune.lrs:
                for arm in arms:
                    yield self._tuning(arm, lr)
        if "main" in phases:
            for seed in self.seeds:
                for arm in arms:
                    if arm in lrs:
                        yield self._scored("main", arm, self.arms[arm], seed, lrs[arm])
        if "variants" in phases:
            for name, variant in self.variants.items():
                if name in names and variant.of in lrs:
                    overrides = (*self.arms[variant.of], *variant.change)
                    yield self._scored("variants", name, overrides, self.seeds[0], lrs[variant.of])

    def _tuning(self, arm: str, lr: float) -> Job:
        return self._job("tune", arm, self.arms[arm], self.tune.seed, lr, [self.tune.by], {})

    def _scored(self, phase: str, arm: str, overrides: tuple[str, ...], seed: int, lr: float) -> Job:
        return self._job(phase, arm, overrides, seed, lr, self.compared, self.held_out)

    def _job(
        self, phase: str, arm: str, overrides: tuple[str, ...], seed: int, lr: float, scored: Sequence[str],
        held_out: Mapping[str, tuple[str, ...]],
    ) -> Job:  # fmt: skip
        every = (*self.model, *self.train, *overrides, f"optim.lr={lr:g}", f"seed={seed}", *self.extra)
        # A variant may change what its arm or all arms say: the last word on a key holds.
        settings = tuple({line.partition("=")[0]: line for line in every}.values())
        evaluations = self._all_filled({name: self.evaluations[name] for name in scored})
        return Job(
            phase, arm, seed, lr, self._filled(settings), evaluations, self._all_filled(held_out), self._filled(self.model), settings
        )  # fmt: skip

    def _all_filled(self, named: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {name: self._filled(lines) for name, lines in named.items()}

    def _filled(self, lines: Sequence[str]) -> tuple[str, ...]:
        # What stands behind -- on the command line is no template.
        return tuple(line if line in self.extra else line.format_map(self.files) for line in lines)

    def chosen(self, names: str | None) -> tuple[str, ...]:
        """Arms and variants of a comma-separated list, all without one; raises `UserError` for one that the study lacks."""
        known = (*self.arms, *self.variants)
        chosen = tuple(names.split(",")) if names else known
        for name in chosen:
            if name in self.left_out:
                raise UserError(f"--arms {name}: it needs a file: add --file {self.left_out[name]}=PATH")
            if name not in known:
                raise UserError(f"--arms {name}: the study has {', '.join(known)}{nearest(name, known)}")
        return chosen


def read_study(path: Path, files: Mapping[str, str] | None, extra: tuple[str, ...] = ()) -> Study:
    """The study of a YAML file; `{NAME}` in an override stands for `files[NAME]`. Without `files` it has tables, and no job.

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
    required = [f for f in known if f not in ("model", "held_out", "variants")]
    if missing := [name for name in required if name not in raw]:
        raise UserError(f"{path}: {', '.join(missing)} must be there")
    said = _Reader(path, files)
    try:
        study = Study(
            train=said.overrides(raw["train"]), model=said.overrides(raw.get("model", [])),
            arms=said.named(raw["arms"]), evaluations=said.named(raw["evaluations"]),
            held_out=said.available(raw.get("held_out", {})),
            variants={name: Variant(str(raw["variants"][name]["of"]), change) for name, change in said.available(
                {name: one["change"] for name, one in raw.get("variants", {}).items()}).items()},
            seeds=tuple(int(s) for s in raw["seeds"]), compared=tuple(raw["compared"]), baseline=str(raw["baseline"]),
            tune=Tune(**{**raw["tune"], "lrs": tuple(float(x) for x in raw["tune"]["lrs"])}), extra=extra, files=files or {}, left_out=said.left_out,
        )  # fmt: skip
    except _NoFile as lacking:
        raise UserError(f"{path}: it needs a file: add --file {lacking}=PATH") from None
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: an option has not the form of configs/study/main.yaml ({error})") from None
    _check(study, path)
    return study


class _NoFile(Exception):
    """The name of a file that overrides ask for and nobody gave."""


class _Reader:
    """Lists of overrides out of the YAML file at `path`, whose `{NAME}` must be names of files."""

    def __init__(self, path: Path, files: Mapping[str, str] | None) -> None:
        self.path, self.files = path, files
        self.left_out: dict[str, str] = {}

    def overrides(self, lines: Any) -> tuple[str, ...]:
        if not isinstance(lines, list) or not all(isinstance(line, str) and "=" in line for line in lines):
            raise UserError(
                f"{self.path}: expected a list of overrides such as [loss=sft, optim.lr=1e-5], got {lines!r}"
            )
        try:
            for line in lines if self.files is not None else ():
                line.format_map(self.files)
        except KeyError as error:
            raise _NoFile(error.args[0]) from None
        except (ValueError, IndexError) as error:
            raise UserError(
                f"{self.path}: in {lines!r}, {{NAME}} stands for a file of --file NAME=PATH ({error})"
            ) from None
        return tuple(lines)

    def named(self, lines: Mapping[Any, Any]) -> dict[str, tuple[str, ...]]:
        return {str(name): self.overrides(own) for name, own in lines.items()}

    def available(self, lines: Mapping[Any, Any]) -> dict[str, tuple[str, ...]]:
        """`named`, less those whose file was not given: they go into `left_out`."""
        found = {}
        for name, own in lines.items():
            try:
                found[str(name)] = self.overrides(own)
            except _NoFile as lacking:
                self.left_out[str(name)] = str(lacking)
        return found


def _check(study: Study, path: Path) -> None:
    arms, evaluations = list(study.arms), list(study.evaluations)
    for what, names, known in (
        ("baseline", [study.baseline], arms), ("compared", study.compared, evaluations), ("tune.by", [study.tune.by], evaluations),
        *((f"variants.{name}.of", [variant.of], arms) for name, variant in study.variants.items()),
    ):  # fmt: skip
        for name in names:
            if name not in known:
                raise UserError(
                    f"{path}: {what} names '{name}', which is none of {', '.join(known)}{nearest(name, known)}"
                )
    if not study.seeds or not study.tune.lrs:
        raise UserError(f"{path}: seeds and tune.lrs must not be empty")
    if both := sorted(study.arms.keys() & study.variants.keys()):
        raise UserError(f"{path}: '{both[0]}' is an arm and a variant: give one of them another name")
    if study.tune.by in study.compared:
        raise UserError(
            f"{path}: {study.tune.by} chooses the learning rates, so it says nothing about the arms: leave it out of compared"
        )
