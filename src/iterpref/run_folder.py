"""Whose run a folder holds: one process trains in it, and none over a run of another configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from iterpref.checkpoints import checkpoint_step, recover
from iterpref.config import Config, to_dict
from iterpref.errors import UserError
from iterpref.launch import rank
from iterpref.overrides import leaves
from iterpref.run_record import RunRecord, read_config, settings_of_run

_SHOWN = 4  # options that a message names
_PATIENCE_S = 3.0  # what a process that was killed may leave behind ends within it


@contextmanager
def alone(folder: Path, does: str = "is training", places: str = "paths.run=DIR") -> Iterator[None]:
    """One process trains in a folder, or runs a study's jobs; raises `UserError` for a second one. Other ranks belong to the first."""
    if rank():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        raise UserError(f"another process {does} in {folder}: wait for it, or choose another {places}") from None
    try:
        yield
    finally:
        lock.release()


def last_checkpoint(run: Path, key: str, config: Config) -> Path | None:
    """The checkpoint to go on from; raises `UserError` for one that cannot be read, and when the folder holds a run of another configuration."""
    checkpoint = recover(run / "checkpoints" / "last.ckpt")
    if checkpoint is None and not (run / "done.json").is_file():
        return None
    held = "checkpoints" if checkpoint else "a result"
    ways_out = "choose another paths.run=DIR, or start over there with resume=false"
    if not (run / "run.json").is_file():
        raise UserError(f"{run} holds {held} and no run.json, which tells of what run: {ways_out}")
    if RunRecord(run).content.get("config_fingerprint") != key:
        raise UserError(f"{run} holds {held} of another configuration{_differences(run, config)}: {ways_out}")
    if checkpoint:
        checkpoint_step(checkpoint)  # one that cannot be read is told before any work
    return checkpoint


def _differences(run: Path, config: Config) -> str:
    """`" (loss.beta=0.1 there, 0.3 here; ...)"`: what makes another run of the one in the folder."""
    try:
        other = read_config(run)
    except UserError:
        return ""
    here, there = leaves(settings_of_run(config)), leaves(settings_of_run(other))
    # As their options say it, who may have chosen among several values of one meaning.
    said_here, said_there = leaves(to_dict(config)), leaves(to_dict(other))
    told = [
        f"{name}={said_there.get(name)} there, {said_here[name]} here" for name in here if there.get(name) != here[name]
    ]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f" ({'; '.join(told[:_SHOWN])}{more})" if told else ""
