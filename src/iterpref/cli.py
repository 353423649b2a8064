"""What the four commands share: overrides checked first, one config, errors that a person can read.

Imports only Hydra and OmegaConf: `--help` must not wait for torch.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from iterpref.config import SECTIONS, Config, load, nearest, schema_keys, to_dict, unknown_key
from iterpref.errors import UserError

CONFIG_DIR = Path(__file__).parent / "configs"
_GROUPS_ANYWHERE = ("experiment", "hydra")


def config_groups() -> dict[str, list[str]]:
    """Config groups and their choices, as the folder has them: `{"loss": ["dpo", "target_rpo", ...], ...}`."""
    groups: dict[str, list[str]] = {}
    for path in sorted(CONFIG_DIR.rglob("*.yaml")):
        group = path.parent.relative_to(CONFIG_DIR).as_posix()
        if group != ".":
            parts = path.relative_to(CONFIG_DIR).with_suffix("").parts
            groups.setdefault(parts[0], []).append("/".join(parts[1:]))
    return groups


def check_overrides(command: str, overrides: Sequence[str]) -> None:
    """Every override must name a key or a group of the schema that `command` uses; raises `UserError` with the nearest."""
    keys = {key for key, _ in schema_keys()}
    groups = config_groups()
    sections = SECTIONS[command]
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group.lstrip("/")
        root = key.split(".")[0].split("/")[0]
        if root in _GROUPS_ANYWHERE and (root == "hydra" or key in groups):
            if root == "experiment":
                if "problems" not in sections:
                    raise UserError(_no_effect(command, override.input_line or key))
                _check_choice(key, override.value(), groups)
            continue
        if override.is_delete() or (key in keys and key not in groups and root not in sections) or (
            key in groups and key not in sections
        ):  # fmt: skip
            raise UserError(_no_effect(command, override.input_line or key))
        if key in groups and isinstance(override.value(), str):
            _check_choice(key, override.value(), groups)
        elif key not in keys and key not in groups:
            if "." not in key and nearest(key, [*groups, *keys]):
                raise UserError(f"unknown option '{key}'{nearest(key, [*groups, *(k for k in keys if '.' not in k)])}")
            raise unknown_key(key)


def _no_effect(command: str, line: str) -> str:
    return (
        f"'{line}' has no effect on iterpref.{command}, which uses only: {', '.join(SECTIONS[command])}. "
        "Leave it out, or give it to the command that uses it"
    )


def _check_choice(group: str, value: Any, groups: dict[str, list[str]]) -> None:
    if isinstance(value, str) and value not in groups[group]:
        known = ", ".join(groups[group])
        raise UserError(f"{group}={value}: no such choice{nearest(value, groups[group])} The choices are: {known}")


def run_command(command: str, task: Callable[[Config], Any], argv: list[str] | None = None) -> None:
    """Runs `task` under Hydra with the config of `command`; ends the process with 2 after a `UserError`."""
    arguments = sys.argv[1:] if argv is None else argv
    sys.argv = [f"iterpref-{command}", *arguments]
    # Hydra would print a trimmed trace and exit; we want the exception itself, to tell user errors from ours.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")

    register_schema()

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=command)
    def under_hydra(composed: DictConfig) -> Any:
        config = load(composed)
        hydra_config = HydraConfig.get()
        if hydra_config.mode == RunMode.MULTIRUN:
            config.paths.run = hydra_config.runtime.output_dir
            _refuse_parallel_spawn(config)
        return task(config)

    try:
        check_overrides(command, [a for a in arguments if "=" in a and not a.startswith("-")])
        under_hydra()
    except UserError as error:
        _stop(str(error))
    except HydraException as error:
        _stop(" ".join(str(error).split()))
    except KeyboardInterrupt:
        _stop("stopped by Ctrl-C; what was finished is kept: run the same command again to go on", code=130)
    except OSError as error:
        _stop(explain_os_error(error))


def run_folder_argument(argv: list[str] | None) -> list[str]:
    """`iterpref-report RUN` for `iterpref-report paths.run=RUN`: a first word that is no override names the run folder."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and "=" not in arguments[0] and not arguments[0].startswith("-"):
        quoted = arguments[0].replace("\\", "\\\\").replace("'", "\\'")
        arguments[0] = f"paths.run='{quoted}'"
    return arguments


def merge_overrides(command: Config, base: Config, sections: Sequence[str]) -> Config:
    """`base` with what this command line says about the given sections; the rest of `command` is only defaults."""
    merged = to_dict(base)
    said = to_dict(command)
    for override in OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)):
        section, _, leaf = override.key_or_group.lstrip("+").partition(".")
        if section in sections:
            merged[section] = {**merged[section], leaf: said[section][leaf]} if leaf else said[section]
    return load(OmegaConf.create(merged))


def register_schema() -> None:
    """Puts the dataclass defaults under `base.yaml`, so that YAML states only what differs and every key can be overridden.

    Stored as plain values: `config.load` checks types itself, and names the override where Hydra would name a node.
    """
    ConfigStore.instance().store(name="schema", node=to_dict(Config()))


def _refuse_parallel_spawn(config: Config) -> None:
    if config.trainer.devices > 1:
        raise UserError(
            f"--multirun with trainer.devices={config.trainer.devices}: spawned ranks would each draw hyperparameters of "
            "their own; sweep with trainer.devices=1, or start one run a job"
        )


def explain_os_error(error: OSError) -> str:
    """A full disk, a missing permission and their like, with the path and the remedy; re-raises what it does not know."""
    place = error.filename or "the output folder"
    remedies = {
        errno.ENOSPC: f"the disk is full while writing {place}: free some space, or move paths.data=DIR and paths.run=DIR to another disk",
        errno.EDQUOT: f"the disk quota is used up while writing {place}: free some space, or set paths.data=DIR and paths.run=DIR",
        errno.EACCES: f"no permission for {place}: choose a writable folder with paths.data=DIR or paths.run=DIR",
        errno.EPERM: f"no permission for {place}: choose a writable folder with paths.data=DIR or paths.run=DIR",
        errno.EROFS: f"{place} is on a read-only disk: choose a writable folder with paths.data=DIR or paths.run=DIR",
        errno.ENOENT: f"{place} cannot be made or found: choose another paths.data=DIR or paths.run=DIR",
        errno.ENOTDIR: f"{place}: a file stands where a folder is needed; choose another paths.data=DIR or paths.run=DIR",
        errno.EEXIST: f"{place}: a file stands where a folder is needed; choose another paths.data=DIR or paths.run=DIR",
    }
    if error.errno not in remedies:
        raise error
    return remedies[error.errno] + ". Nothing that was finished is lost; run the same command again to go on"


def _stop(message: str, code: int = 2) -> None:
    print(f"\niterpref: {message}", file=sys.stderr)
    raise SystemExit(code)
