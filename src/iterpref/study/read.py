"""A study's YAML file -> the study, or a sentence about what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.errors import UserError, nearest
from iterpref.study.plan import Study, Tune, Variant


def read_study(path: Path, files: Mapping[str, str] | None, extra: tuple[str, ...] = ()) -> Study:
    """The study of a YAML file; `{NAME}` in an override stands for `files[NAME]`. Without `files` it stays as it is: for tables.

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
    required = [f.name for f in fields(Study) if f.default is MISSING and f.default_factory is MISSING]
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
            tune=_tune(**raw["tune"]), against={str(name): _names(own) for name, own in raw.get("against", {}).items()},
            extra=extra, files=_AsItStands() if files is None else files, left_out=said.left_out,
        )  # fmt: skip
    except _NoFile as lacking:
        raise UserError(f"{path}: it needs a file: add --file {lacking}=PATH") from None
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: an option has not the form of configs/study/main.yaml ({error})") from None
    _check(study, path)
    return study


def _tune(lrs: Sequence[Any], by: str, seed: int = 0, also: Sequence[Any] = (), beyond: Sequence[Any] = ()) -> Tune:
    return Tune(tuple(map(float, lrs)), str(by), int(seed), _names(also), tuple(map(float, beyond)))


def _names(names: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeError(f"expected a list of names, got '{names}'")
    return tuple(map(str, names))


class _AsItStands(dict[str, str]):
    """Fills `{NAME}` with itself."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


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
    trained = [*arms, *study.variants, *study.left_out]
    for what, names, known in (
        ("baseline", [study.baseline], arms), ("compared", study.compared, evaluations), ("tune.by", [study.tune.by], evaluations),
        ("tune.also", study.tune.also, evaluations), ("against", study.against, trained),
        *((f"against.{name}", others, trained) for name, others in study.against.items()),
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
    _check_against(study, path)
    _check_rates(study, path)
    if study.tune.by in study.compared:
        raise UserError(
            f"{path}: {study.tune.by} chooses the learning rates, so it says nothing about the arms: leave it out of compared"
        )


def _check_against(study: Study, path: Path) -> None:
    for name, others in study.against.items():
        if name in others:
            raise UserError(f"{path}: against.{name} names '{name}' itself: name another arm")
        bases = study.bases(name)
        if twice := next((base for base in bases if bases.count(base) > 1), None):
            raise UserError(
                f"{path}: against.{name}: it is compared with {twice} anyway: name {twice} once, or not at all"
            )


def _check_rates(study: Study, path: Path) -> None:
    tune = study.tune
    named = [f"{lr:g}" for lr in tune.all_lrs]
    if twice := next((lr for lr in named if named.count(lr) > 1), None):
        raise UserError(f"{path}: the learning rate {twice} stands twice in tune.lrs and tune.beyond")
    if tune.beyond and not tune.also:
        raise UserError(f"{path}: tune.beyond has no effect without tune.also, the evaluations of these rates")
