"""What the four commands share: overrides checked first, one config, errors that a person can read.

Imports only Hydra and OmegaConf: `--help` must not wait for torch.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config import SECTIONS, Config, load, nearest, schema_keys, to_dict, unknown_key
from iterpref.config_rules import check_effects
from iterpref.errors import UserError
from iterpref.pairs_argument import write_out

CONFIG_DIR = Path(__file__).parent / "configs"
# Groups that reach into every section, and the commands that know them.
GLOBAL_GROUPS = {
    "experiment": ("prepare", "train", "export"),
    "reading": ("prepare", "train", "export"),
    "sweep": ("train",),
    "launcher": ("train",),
    "debug": ("prepare", "train"),
}


_NO_GROUPS = ("study",)  # files of `iterpref.study`, which Hydra does not compose

# Folders of YAML: ours, and with --config-dir one of the user's own.
_config_dirs = [CONFIG_DIR]


def config_groups() -> dict[str, list[str]]:
    """Config groups and their choices, as the folders have them: `{"loss": ["dpo", "target_rpo", ...], ...}`."""
    groups: dict[str, list[str]] = {}
    for folder in _config_dirs:
        for path in sorted(folder.rglob("*.yaml")):
            first, *rest = path.relative_to(folder).with_suffix("").parts
            if rest and first not in _NO_GROUPS and "/".join(rest) not in groups.setdefault(first, []):
                groups[first].append("/".join(rest))
    return groups


def _know_config_dir(arguments: Sequence[str]) -> None:
    """Lets the choices of `--config-dir DIR` (or `-cd DIR`, `--config-dir=DIR`) pass as choices."""
    _config_dirs[1:] = []
    for flag in ("--config-dir", "-cd"):
        given = [b for a, b in pairwise(arguments) if a == flag]
        given += [a.removeprefix(f"{flag}=") for a in arguments if a.startswith(f"{flag}=")]
        for name in given:
            if not Path(name).is_dir():
                raise UserError(f"{flag} {name}: there is no such folder")
            _config_dirs.append(Path(name).resolve())


def check_overrides(command: str, overrides: Sequence[str]) -> None:
    """Every override must name a key or a group of the schema that `command` uses; raises `UserError` with the nearest."""
    keys = {key for key, _ in schema_keys()}
    groups = config_groups()
    sections = SECTIONS[command]
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group.lstrip("/")
        root = key.split(".")[0].split("/")[0]
        if override.is_delete() and root != "hydra":
            raise UserError(f"'{override.input_line}': no option can be taken away; give {key}=VALUE, or leave it out")
        if root == "hydra":
            continue
        if key in GLOBAL_GROUPS and not isinstance(override.value(), dict):
            if command not in GLOBAL_GROUPS[key]:
                raise UserError(_no_effect(command, override.input_line or key))
            _check_choices(override, groups)
            continue
        if key not in keys and key not in groups:
            raise unknown_key(key, groups)
        if root not in sections:
            raise UserError(_no_effect(command, override.input_line or key))
        if key in groups:
            _check_choices(override, groups)


def _no_effect(command: str, line: str) -> str:
    return (
        f"'{line}' has no effect on iterpref.{command}, which uses only: {', '.join(SECTIONS[command])}. "
        "Leave it out, or give it to the command that uses it"
    )


def _check_choices(override: Override, groups: dict[str, list[str]]) -> None:
    """A choice, or each choice of a sweep: a grid must not find out at its last job that it cannot run."""
    group, value = override.key_or_group, override.value()
    known = groups[group]
    for choice in value.list if isinstance(value, ChoiceSweep) else [value]:
        text = choice.text if isinstance(choice, QuotedString) else choice
        if text is None or (isinstance(text, str) and text not in known):
            shown = "null" if text is None else text
            # The last word alone may be what was meant: target_rpo for paper/target_rpo; or a choice of another group.
            meant = [k for k in known if k.rpartition("/")[2] == shown]
            meant += [f"{g}={shown}" for g in GLOBAL_GROUPS if shown in groups.get(g, [])]
            hint = f"; did you mean '{meant[0]}'?" if meant else nearest(shown, known)
            raise UserError(f"{group}={shown} is none of {', '.join(known)}{hint}")


def check_groups(composed: DictConfig, overrides: Sequence[str]) -> None:
    """A group chosen on the command line must hold what it states; raises `UserError` where an experiment states otherwise.

    Experiments come after the groups, so that `mask=paper` could silently lose against an experiment's own mask.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    said = _keys_of(parsed)
    later = [
        f"{g}={o.value()}" for o in parsed if (g := o.key_or_group.lstrip("+")) in GLOBAL_GROUPS and g != "reading"
    ]
    for override in parsed:
        group, choice = override.key_or_group.lstrip("+"), override.value()
        path = next((p for d in _config_dirs if (p := d / group / f"{choice}.yaml").is_file()), None)
        if group in GLOBAL_GROUPS or path is None:
            continue
        made = _leaves(_plain(composed[group]))
        for leaf, stated in _leaves(_plain(OmegaConf.load(path))).items():
            key, found = f"{group}.{leaf}", made[leaf]
            if stated not in ("???", found) and key not in said:
                raise UserError(
                    f"{group}={choice} sets {key}={stated}, but {' or '.join(later)} comes after it and sets {found}: "
                    f"add {key}={stated}, or leave {group}={choice} out"
                )


def _leaves(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key: a group states some options of a section below it, and leaves the others."""
    found: dict[str, Any] = {}
    for name, value in node.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _plain(node: Any) -> dict[str, Any]:
    """As written: nothing resolved, nothing missing."""
    return OmegaConf.to_container(node)  # type: ignore[return-value]


def run_command(command: str, task: Callable[[Config], Any], argv: list[str] | None = None) -> None:
    """Runs `task` under Hydra with the config of `command`; ends the process with 2 after a `UserError`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Hydra would print a trimmed trace and exit; we want the exception itself, to tell user errors from ours.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")

    register_schema()

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=command)
    def under_hydra(composed: DictConfig) -> Any:
        hydra_config = HydraConfig.get()
        chosen = hydra_config.runtime.choices
        config = checked_config(command, composed, hydra_config.overrides.task, chosen.get("experiment"))
        job = hydra_config.mode == RunMode.MULTIRUN
        presets = ("experiment", "debug", "sweep") if job else ("experiment", "debug")
        config.logger.tags += [f"{g}:{chosen[g]}" for g in presets if chosen.get(g) not in (None, "null")]
        if job:
            become_job(config, hydra_config)
        return task(config)

    try:
        _know_config_dir(arguments)
        if "pairs" in SECTIONS[command]:
            arguments = write_out(arguments, config_groups()["pairs"], quoted)
        arguments = [_choice_as_text(argument) for argument in arguments]
        # Between overrides, argparse would take what follows for something else.
        flags = [a for a in arguments if a in ("-m", "--multirun")]
        arguments = [*flags, *(a for a in arguments if a not in flags)]
        sys.argv = [f"iterpref-{command}", *arguments]
        # Hydra's own flags take words of their own (`--info all`), which are no overrides.
        completing = any(a in ("-sc", "--shell-completion") for a in arguments)
        check_overrides(
            command,
            [a for a in arguments if not completing and (a.startswith("~") or ("=" in a and not a.startswith("-")))],
        )
        under_hydra()
    except UserError as error:
        _stop(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        _stop(" ".join(str(error).split()) + _missing_launcher(str(error)))
    except KeyboardInterrupt:
        _stop("stopped by Ctrl-C; what was finished is kept: run the same command again to go on", code=130)
    except OSError as error:
        _stop(explain_os_error(error))


def checked_config(command: str, composed: DictConfig, overrides: Sequence[str], experiment: str | None) -> Config:
    """The config of one run of `command`; raises `UserError` for anything that cannot mean what it says."""
    config = load(composed)
    for name, keys in _pair_rules_of_experiment(experiment).items():
        check_effects(config, keys, command, preset=name)
    check_effects(config, _keys_of(OverridesParser.create().parse_overrides(list(overrides))), command)
    check_groups(composed, overrides)
    return config


def become_job(config: Config, hydra_config: Any) -> None:
    """This process, or this turn of it, is one job of a sweep: its folder, its group in wandb, its GPU."""
    from iterpref.sweeps.gpus import claim_gpu

    config.paths.run = hydra_config.runtime.output_dir
    config.logger.group = config.logger.group or f"{config.name}/{Path(str(hydra_config.sweep.dir)).name}"
    claim_gpu(int(hydra_config.job.num))


def _choice_as_text(argument: str) -> str:
    """`debug='nan'` for `debug=nan`, which Hydra would read as a number."""
    key, _, value = argument.partition("=")
    return f"{key}={quoted(value)}" if value == "nan" and value in config_groups().get(key, []) else argument


def folder_argument(argv: list[str] | None, key: str = "paths.run") -> list[str]:
    """`iterpref-report RUN` for `iterpref-report paths.run=RUN`: a first word that is no override names the folder.

    A folder of a sweep has `=` in its name, so a folder that is there counts as one.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0].startswith("-") or ("=" in arguments[0] and not Path(arguments[0]).is_dir()):
        return arguments
    return [f"{key}={quoted(arguments[0])}", *arguments[1:]]


def quoted(text: str) -> str:
    """The text as a value of an override."""
    # Hydra reads backslashes as escapes only where they stand before a quote, and the end of the text is such a place.
    parts = text.split("'")
    return "'" + "\\'".join(part + "\\" * (len(part) - len(part.rstrip("\\"))) for part in parts) + "'"


def merge_overrides(command: Config, base: Config, sections: Sequence[str]) -> Config:
    """`base` with what this command line says about the given sections; the rest of `command` is only defaults."""
    merged = to_dict(base)
    said = to_dict(command)
    for override in OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)):
        section, _, leaf = override.key_or_group.lstrip("+").partition(".")
        if section in sections:
            value = override.value()
            named = (
                [leaf] if leaf else list(value) if isinstance(value, dict) else []
            )  # none: a scalar or a whole group
            merged[section] = {**merged[section], **{n: said[section][n] for n in named}} if named else said[section]
    return load(OmegaConf.create(merged))


def is_overridden(key: str) -> bool:
    """Whether this command line gives `key` a value."""
    return key in overridden_keys()


def overridden_keys() -> set[str]:
    """Keys that this command line, or this job of a sweep, gives a value; groups by their name, `{...}` by the keys in it."""
    return _keys_of(OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)))


def _pair_rules_of_experiment(choice: str | None) -> dict[str, set[str]]:
    """`{"experiment=NAME": keys of pairs}` that the chosen experiment states: it is about them, unlike the sizes that others set."""
    path = CONFIG_DIR / "experiment" / f"{choice}.yaml"
    stated = _plain(OmegaConf.load(path)).get("pairs", {}) if path.is_file() else {}
    return {f"experiment={choice}": {f"pairs.{leaf}" for leaf in _leaves(stated)}}


def _keys_of(overrides: Sequence[Override]) -> set[str]:
    keys = set()
    for override in overrides:
        key, value = override.key_or_group.lstrip("+"), override.value()
        if key in GLOBAL_GROUPS and not isinstance(value, dict):
            continue  # what a preset sets is no choice of its own, whatever section has its name
        keys |= {f"{key}.{leaf}" for leaf in value} if isinstance(value, dict) else {key}
    return keys


def register_schema() -> None:
    """Puts the dataclass defaults under `base.yaml`, so that YAML states only what differs and every key can be overridden.

    Stored as plain values: `config.load` checks types itself, and names the override where Hydra would name a node.
    """
    ConfigStore.instance().store(name="schema", node=to_dict(Config()))
    OmegaConf.register_new_resolver("n_gpus", _n_gpus, replace=True)


def _missing_launcher(message: str) -> str:
    """The remedy where a launcher's plugin is not installed."""
    absent = re.search(r"hydra/launcher[/:]\s*'?(joblib|submitit|ray)", message)
    return f": pip install 'iterpref[{'ray' if absent[1] == 'ray' else 'sweep'}]'" if absent else ""


def _n_gpus() -> int:
    """For `${n_gpus:}` in YAML: GPUs of this host that may be used, at least 1."""
    from iterpref.sweeps.gpus import visible_gpus

    return max(len(visible_gpus()), 1)


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
