"""A study's YAML file -> the study, or a sentence about what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.study.form import Form, NoFile, refuse_set_elsewhere
from iterpref.study.plan import Study, Tune, Variant
from iterpref.study.sense import check_sense

# What a study sets itself, and from what.
_TRAIN = {
    "optim.lr": "learning rates are those of tune.lrs and tune.beyond",
    "seed": "seeds are those of seeds and tune.seed",
    "paths.run": "runs lie below --out",
}
_MODEL = "what is scored is the model of each job"
_EVALUATION = {
    "paths.run": "scores lie below --out",
    **dict.fromkeys(("model", "model.path", "samples", "against"), _MODEL),
}
_HELD_OUT = {**_EVALUATION, "benchmark": "held_out is for pairs, and evaluations are for benchmarks"}


def read_study(path: Path, files: Mapping[str, str] | None, extra: tuple[str, ...] = ()) -> Study:
    """The study of a YAML file; `{NAME}` in an override stands for `files[NAME]`. Without `files` it stays as it is: for tables.

    Raises `UserError` naming what does not fit.
    """
    form = Form(path, files)
    for line in extra:
        refuse_set_elsewhere("--", line, _TRAIN)
    options = [f for f in fields(Study) if f.metadata.get("file", True)]
    required = [f.name for f in options if f.default is MISSING and f.default_factory is MISSING]
    try:
        study = _study(form, form.keys("a study", form.load(), [f.name for f in options], required), extra)
    except NoFile as lacking:
        raise UserError(
            f"{path}: '{lacking.line}' needs a file: add --file {lacking.name}=PATH; a brace that is meant as such stands twice"
        ) from None
    check_sense(study, path)
    return study


def _study(form: Form, raw: Mapping[str, Any], extra: tuple[str, ...]) -> Study:
    left_out: dict[str, str] = {}
    return Study(
        train=form.overrides("train", raw["train"], _TRAIN),
        model=form.overrides("model", raw.get("model") or [], _TRAIN),
        arms=_lists(form, "arms", raw["arms"], _TRAIN),
        evaluations=_lists(form, "evaluations", raw["evaluations"], _EVALUATION),
        held_out=_lists(form, "held_out", raw.get("held_out"), _HELD_OUT, left_out),
        variants=_variants(form, raw.get("variants"), left_out),
        seeds=_numbers(form, "seeds", "seed", raw["seeds"]),
        compared=form.names("compared", raw["compared"]),
        baseline=str(raw["baseline"]),
        tune=_tune(form, raw["tune"]),
        against={
            name: form.names(f"against.{name}", own) for name, own in form.named("against", raw.get("against")).items()
        },
        extra=extra,
        files=_AsItStands() if form.files is None else form.files,
        left_out=left_out,
        asked=frozenset(form.asked),
    )


def _lists(
    form: Form, place: str, value: Any, set_elsewhere: Mapping[str, str], left_out: dict[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Lists of overrides by name; with `left_out`, less those whose file was not given, which go there."""
    found = {}
    for name, lines in form.named(place, value).items():
        try:
            found[name] = form.overrides(f"{place}.{name}", lines, set_elsewhere)
        except NoFile as lacking:
            if left_out is None:
                raise
            left_out[name] = lacking.name
    return found


def _variants(form: Form, value: Any, left_out: dict[str, str]) -> dict[str, Variant]:
    found = {
        name: form.keys(f"variants.{name}", own, ("of", "change"), ("of", "change"))
        for name, own in form.named("variants", value).items()
    }
    changes = _lists(form, "variants", {name: own["change"] for name, own in found.items()}, _TRAIN, left_out)
    return {name: Variant(str(found[name]["of"]), change) for name, change in changes.items()}


def _tune(form: Form, value: Any) -> Tune:
    raw = form.keys("tune", value, [f.name for f in fields(Tune)], ("lrs", "by"))
    return Tune(
        _numbers(form, "tune.lrs", "optim.lr", raw["lrs"]), str(raw["by"]), form.option("tune.seed", "seed", raw.get("seed", 0)),
        form.names("tune.also", raw.get("also") or []), _numbers(form, "tune.beyond", "optim.lr", raw.get("beyond") or []),
    )  # fmt: skip


def _numbers(form: Form, place: str, key: str, value: Any) -> tuple[Any, ...]:
    numbers = tuple(form.option(place, key, one) for one in form.several(place, value, "numbers"))
    form.once(place, numbers)
    return numbers


class _AsItStands(dict[str, str]):
    """Fills `{NAME}` with itself."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"
