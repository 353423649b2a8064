"""Does a study mean something? What its options say of each other."""

from __future__ import annotations

import re
from pathlib import Path

from iterpref.errors import UserError, nearest
from iterpref.study.plan import START, Study

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")  # of folders and files, and of lists with commas between


def check_sense(study: Study, path: Path) -> None:
    """Raises `UserError` for what names nothing, stands twice or has no effect."""
    for what in ("arms", "evaluations", "seeds", "compared"):
        if not getattr(study, what):
            raise UserError(f"{path}: {what} must not be empty")
    if not study.tune.lrs:
        raise UserError(f"{path}: tune.lrs must not be empty")
    _check_names(study, path)
    _check_references(study, path)
    _check_against(study, path)
    _check_rates(study, path)
    _check_evaluations(study, path)
    for name, variant in study.variants.items():
        if not variant.change:
            raise UserError(
                f"{path}: variants.{name}.change is empty: give the override that makes it another than {variant.of}"
            )


def _check_names(study: Study, path: Path) -> None:
    for what in ("arms", "variants", "evaluations", "held_out"):
        for name in getattr(study, what):
            if not _NAME.fullmatch(name):
                raise UserError(
                    f"{path}: {what}: '{name}' is no name for a folder: use letters, digits, '_', '-', '+' and '.', and "
                    "one of the first three to begin with"
                )
    if both := sorted(study.arms.keys() & study.variants.keys()):
        raise UserError(f"{path}: '{both[0]}' is an arm and a variant: give one of them another name")
    if START in study.arms or START in study.variants:
        raise UserError(f"{path}: '{START}' is the start model's name: give the arm or variant another one")


def _check_references(study: Study, path: Path) -> None:
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


def _check_evaluations(study: Study, path: Path) -> None:
    if study.tune.by in study.compared:
        raise UserError(
            f"{path}: {study.tune.by} chooses the learning rates, so it says nothing about the arms: leave it out of compared"
        )
    used = (*study.compared, study.tune.by, *study.tune.also)
    if idle := next((name for name in study.evaluations if name not in used), None):
        raise UserError(
            f"{path}: evaluations.{idle} would score the start model alone: name it in compared or tune.also, or leave it out"
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
