"""`python -m iterpref.train --rerun RUN`: the same run again in a new folder, and what differs then."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iterpref.cli import quoted, run_command
from iterpref.config import Config
from iterpref.errors import UserError

log = logging.getLogger(__name__)

FLAG = "--rerun"
# A run's place and its trackers may be others; anything else would make it another run.
_MAY_CHANGE = ("paths", "logger")


def rerun_argument(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """(RUN of `--rerun RUN` or `--rerun=RUN`, the other arguments); raises `UserError` for a flag without its folder."""
    arguments = list(argv)
    at = next((i for i, word in enumerate(arguments) if word == FLAG or word.startswith(FLAG + "=")), None)
    if at is None:
        return None, arguments
    word = arguments.pop(at)
    if word == FLAG:
        if at >= len(arguments) or arguments[at].startswith("-"):
            raise UserError(f"{FLAG} needs the folder of a run: python -m iterpref.train {FLAG} RUN")
        return Path(arguments.pop(at)), arguments
    return Path(word.removeprefix(FLAG + "=")), arguments


def rerun(run: Path, arguments: Sequence[str]) -> None:
    """Runs the config of `run` again in `paths.run=DIR`, by default `RUN-rerun`, and tells what of versions, code and results differs."""
    place = [] if any(a.startswith("paths.run=") for a in arguments) else [f"paths.run={quoted(str(free_folder(run)))}"]
    run_command("train", lambda command: _again(run, command), [*arguments, *place])


def free_folder(run: Path) -> Path:
    """`RUN-rerun`, or with the first number that is free."""
    folder, number = run.with_name(f"{run.name}-rerun"), 2
    while folder.exists():
        folder, number = run.with_name(f"{run.name}-rerun-{number}"), number + 1
    return folder


def _again(run: Path, command: Config) -> float | None:
    from iterpref.cli import merge_overrides, overridden_keys
    from iterpref.run_record import RunRecord, read_config, read_done
    from iterpref.train import train

    for key in sorted(overridden_keys()):
        if key.split(".")[0] not in _MAY_CHANGE:
            raise UserError(
                f"{key} would make another run of it: {FLAG} takes only {' and '.join(_MAY_CHANGE)} options"
            )
    old = RunRecord(run).content
    config = merge_overrides(command, read_config(run), _MAY_CHANGE)
    config.paths.run = command.paths.run
    config.sweep.study = config.sweep.trial = None  # a trial is told once
    if old.get("cwd") not in (None, os.getcwd()):
        log.warning("%s was made in %s: relative paths in its config now begin here", run, old["cwd"])
    value = train(config)
    new = RunRecord(Path(config.paths.run))
    told = differences(old, new.content)
    before, after = read_done(run), read_done(Path(config.paths.run))
    if before and after:
        told += changed_metrics(before["metrics"], after["metrics"])
    new.update(rerun_of=str(run), command=f"iterpref-train {FLAG} {run}", differs=told)
    log.info("%s again: %s", run, "; ".join(told) or "same code, versions, data and metrics")
    return value


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What else than the config may have changed a result, one sentence each."""
    told = []
    for name in ("git", "data", "hardware", "versions"):
        before, after = old.get(name) or {}, new.get(name) or {}
        for key in sorted(set(before) | set(after)):
            if key != "folder" and before.get(key) != after.get(key):
                told.append(f"{name} {key}: {before.get(key)} then, {after.get(key)} now")
    return told


def changed_metrics(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Metrics of the last validation that are not equal to the bit."""
    return [
        f"{name}: {json.dumps(before.get(name))} then, {json.dumps(after.get(name))} now"
        for name in sorted(set(before) | set(after))
        if before.get(name) != after.get(name)
    ]
