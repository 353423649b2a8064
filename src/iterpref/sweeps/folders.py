"""Names of folders: a sweep's by what its jobs share, a job's by what it alone has. The same command finds them again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from iterpref.cli import quoted
from iterpref.overrides import parse

LONGEST = 96  # characters of a folder's name; file systems give 255 bytes, and files below it need room too
_UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]")
# What does not change what a job computes, or is in the sweep's path already.
_NO_PART = ("paths", "logger", "report", "evaluate", "resume", "sweep", "launcher", "hydra", "name")


def folder_name(values: Mapping[str, Any]) -> str:
    """`key=value,key=value` in the order of the keys, with the characters of a portable file name; a hash takes the place of
    what is too long, and tells apart what such characters alone tell apart."""
    text = _text(values) or "one"
    safe = _UNSAFE.sub("_", text)
    if safe == text and len(safe) <= LONGEST and text == text.lower():
        return safe
    # Capitals count as well: some file systems do not tell them apart.
    mark = "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return safe[: LONGEST - len(mark)] + mark


def _shown(value: Any) -> str:
    if isinstance(value, QuotedString):
        value = value.text
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_shown(v)}" for k, v in sorted(value.items(), key=lambda item: str(item[0]))) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_shown, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _text(values: Mapping[str, Any]) -> str:
    """The values as one text that does not depend on their order."""
    return ",".join(f"{key}={_shown(value)}" for key, value in sorted(values.items()))


def swept_keys(arguments: Sequence[Override], params: Mapping[str, Any]) -> list[str]:
    """Keys that differ between jobs: those given several values, and those that the sweep's YAML names."""
    return list(dict.fromkeys([*params, *(o.key_or_group for o in arguments if o.is_sweep_override())]))


def place_sweep(config: DictConfig, params: Mapping[str, Any]) -> None:
    """Sets `hydra.sweep.dir`, unless the command line gave one: the configured folder, and a hash of the overrides that all jobs
    share, so that another `trainer.epochs` is another sweep, and more values of a swept key are the same one."""
    given = OmegaConf.to_container(config.hydra.overrides.hydra)
    if any(o.key_or_group == "hydra.sweep.dir" for o in parse(given)):  # type: ignore[arg-type]
        return
    arguments = parse(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
    swept = set(swept_keys(arguments, params))
    shared = {
        o.key_or_group: o.value()
        for o in arguments
        if o.key_or_group not in swept and o.key_or_group.split(".")[0].split("/")[0] not in _NO_PART
    }
    if shared.get("experiment") == config.name:
        del shared["experiment"]
    if shared:
        mark = hashlib.sha256(_text(shared).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = f"{config.hydra.sweep.dir}-{mark}"


def place_job(sweep_dir: str, name: str) -> list[str]:
    """The overrides that put a job into its folder."""
    return [f"hydra.sweep.dir={quoted(sweep_dir)}", f"hydra.sweep.subdir={quoted(name)}"]
