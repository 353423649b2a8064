"""What the commands share: overrides checked first, one config, errors that a person can read.

Imports only Hydra and OmegaConf: `--help` must not wait for torch.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config import SECTIONS, Config, load, to_dict
from iterpref.config.rules import check_effects
from iterpref.errors import UserError
from iterpref.output import reader_may_leave
from iterpref.overrides import (
    CONFIG_DIR,
    check_flags,
    check_groups,
    check_overrides,
    config_groups,
    keys_of,
    know_config_dir,
    leaves,
    names_option,
    parse,
    plain,
    refuse_idle_sweep,
    split_flags,
    unreadable,
    without_nulls,
)  # fmt: skip
from iterpref.pairs_argument import write_out

PLACES = "paths.data=DIR or paths.run=DIR"


def run_command(command: str, task: Callable[[Config], Any], argv: list[str] | None = None) -> None:
    """Runs `task` under Hydra with the config of `command`; ends the process with 2 after a `UserError`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Hydra would print a trimmed trace and exit; we want the exception itself, to tell user errors from ours.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")

    register_schema()

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=command)
    def under_hydra(composed: DictConfig) -> Any:
        hydra_config = HydraConfig.get()
        try:
            return run(composed, hydra_config)
        except UserError:
            _tidy(Path(hydra_config.runtime.output_dir), f"{hydra_config.job.name}.log")
            raise

    def run(composed: DictConfig, hydra_config: Any) -> Any:
        chosen = hydra_config.runtime.choices
        config = checked_config(command, composed, hydra_config.overrides.task, chosen.get("experiment"))
        job = hydra_config.mode == RunMode.MULTIRUN
        if not job:
            refuse_idle_sweep(hydra_config.overrides.task)
        presets = ("experiment", "debug", "sweep") if job else ("experiment", "debug")
        config.logger.tags += [f"{g}:{chosen[g]}" for g in presets if chosen.get(g) not in (None, "null")]
        if job:
            become_job(config, hydra_config)
        return task(config)

    def compose_and_run() -> None:
        nonlocal arguments
        know_config_dir(arguments)
        if "pairs" in SECTIONS[command]:
            arguments = write_out(arguments, config_groups()["pairs"], quoted)
        arguments = without_nulls(command, [_choice_as_text(argument) for argument in arguments])
        flags, overrides = split_flags(arguments)
        arguments = [*flags, *overrides]
        sys.argv = [f"iterpref-{command}", *arguments]
        # Hydra's own flags take words of their own (`--info all`), which are no overrides.
        completing = any(a in ("-sc", "--shell-completion") for a in flags)
        check_flags(flags)
        check_overrides(command, [] if completing else overrides)
        under_hydra()

    try:
        run_task(compose_and_run, "FOLDER or paths.data=DIR" if command == "export" else PLACES)
    finally:
        know_config_dir(())  # a notebook's next command has choices of its own


def _tidy(folder: Path, log: str) -> None:
    """Takes away what Hydra made for a run that never began: folders that hold nothing, or an empty log alone."""
    here = Path.cwd()
    if folder == here or any(f.name != log or f.stat().st_size for f in folder.iterdir()):
        return
    (folder / log).unlink(missing_ok=True)
    for one in (folder, *folder.parents):
        if one == here or any(one.iterdir()):
            return
        one.rmdir()


def _stop(message: str, code: int) -> NoReturn:
    print(f"\niterpref: {message}", file=sys.stderr)
    raise SystemExit(code)


def run_task(task: Callable[[], Any], places: str = PLACES, stop: Callable[[str, int], NoReturn] = _stop) -> None:
    """Calls `task`; ends the process with 2 after a `UserError`, whose message it prints.

    Args:
        places: the arguments that say where it writes.
        stop: ends the process with a message and a code, in another way than by printing the one here.
    """
    with reader_may_leave():
        _told(task, places, stop)


def _told(task: Callable[[], Any], places: str, stop: Callable[[str, int], NoReturn]) -> None:
    try:
        task()
    except UserError as error:
        stop(str(error), 2)
    except OverrideParseException as error:
        stop(str(unreadable(error)), 2)
    except (HydraException, OmegaConfBaseException) as error:
        stop(_missing_launcher(str(error)) or " ".join(str(error).split()), 2)
    except KeyboardInterrupt:
        stop("stopped by Ctrl-C; what was finished is kept: run the same command again to go on", 130)
    except OSError as error:
        stop(explain_os_error(error, places), 2)
    except ValueError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        stop(explain_os_error(error.__cause__, places), 2)  # of the log file that Hydra opens in the run's folder


def checked_config(command: str, composed: DictConfig, overrides: Sequence[str], experiment: str | None) -> Config:
    """The config of one run of `command`; raises `UserError` for anything that cannot mean what it says."""
    config = load(composed)
    for name, keys in _pair_rules_of_experiment(experiment).items():
        check_effects(config, keys, command, preset=name)
    check_effects(config, keys_of(parse(overrides)), command)
    check_groups(composed, overrides)
    return config


def become_job(config: Config, hydra_config: Any) -> None:
    """This process, or this turn of it, is one job of a sweep: its folder, its group in wandb, its GPU."""
    from iterpref.sweeps.gpus import claim_gpu, refuse_shared_devices

    refuse_shared_devices(config, hydra_config.runtime.choices.get("hydra/launcher"))
    config.paths.run = hydra_config.runtime.output_dir
    config.logger.group = config.logger.group or f"{config.name}/{Path(str(hydra_config.sweep.dir)).name}"
    claim_gpu(int(hydra_config.job.num))


def _choice_as_text(argument: str) -> str:
    """`debug='nan'` for `debug=nan`, which Hydra would read as a number."""
    key, _, value = argument.partition("=")
    return f"{key}={quoted(value)}" if value == "nan" and value in config_groups().get(key, []) else argument


def folder_argument(argv: list[str] | None, key: str = "paths.run") -> list[str]:
    """`iterpref-report RUN` for `iterpref-report paths.run=RUN`: a first word that is no override names the folder.

    A folder of a sweep has `=` in its name, so a folder that is there counts as one. Behind overrides the folder is the one
    word that is none, and no word of a flag.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or (arguments[0][:1] != "-" and ("=" not in arguments[0] or Path(arguments[0]).is_dir())):
        places = [0] if arguments else []
    else:
        words = [i for i, a in enumerate(arguments) if a[:1] not in ("-", "~") and "=" not in a]
        places = [i for i in words if not arguments[i - 1].startswith("-") and not names_option(arguments[i])]
        if len(places) != 1 or any(a.startswith(f"{key}=") for a in arguments):
            return arguments
    return [f"{key}={quoted(a)}" if i in places else a for i, a in enumerate(arguments)]


def named_run(config: Config, command: str) -> Path:
    """The run that this command line names; raises `UserError` where it names none, instead of looking at a folder not made yet."""
    run = Path(config.paths.run)
    if not is_overridden("paths.run"):
        from iterpref.run_record import likelier_run

        raise UserError(f"of which run? python -m iterpref.{command} RUN{likelier_run(run)}")
    return run


def quoted(text: str) -> str:
    """The text as a value of an override."""
    # Hydra reads backslashes as escapes only where they stand before a quote, and the end of the text is such a place.
    parts = text.split("'")
    return "'" + "\\'".join(part + "\\" * (len(part) - len(part.rstrip("\\"))) for part in parts) + "'"


def merge_overrides(command: Config, base: Config, sections: Sequence[str]) -> Config:
    """`base` with what this command line says about the given sections; the rest of `command` is only defaults."""
    merged = to_dict(base)
    said = to_dict(command)
    for override in parse(HydraConfig.get().overrides.task):
        section, _, leaf = override.key_or_group.partition(".")
        if section in sections:
            value = override.value()
            # No name: a scalar, or a whole group.
            named = [leaf] if leaf else list(value) if isinstance(value, dict) else []
            merged[section] = {**merged[section], **{n: said[section][n] for n in named}} if named else said[section]
    return load(OmegaConf.create(merged))


def is_overridden(key: str) -> bool:
    """Whether this command line gives `key` a value."""
    return key in overridden_keys()


def overridden_keys() -> set[str]:
    """Keys that this command line, or this job of a sweep, gives a value; groups by their name, `{...}` by the keys in it."""
    return keys_of(parse(HydraConfig.get().overrides.task))


def _pair_rules_of_experiment(choice: str | None) -> dict[str, set[str]]:
    """`{"experiment=NAME": keys of pairs}` that the chosen experiment states: it is about them, unlike the sizes that others set."""
    path = CONFIG_DIR / "experiment" / f"{choice}.yaml"
    stated = plain(OmegaConf.load(path)).get("pairs", {}) if path.is_file() else {}
    return {f"experiment={choice}": {f"pairs.{leaf}" for leaf in leaves(stated)}}


def register_schema() -> None:
    """Puts the dataclass defaults under `base.yaml`, so that YAML states only what differs and every key can be overridden.

    Stored as plain values: `config.load` checks types itself, and names the override where Hydra would name a node.
    """
    ConfigStore.instance().store(name="schema", node=to_dict(Config()))
    OmegaConf.register_new_resolver("n_gpus", _n_gpus, replace=True)


def _missing_launcher(message: str) -> str:
    """What to say where a launcher's plugin is not installed; nothing of another error."""
    absent = re.search(r"hydra/launcher[/:]\s*'?((joblib|submitit|ray)\w*)", message)
    extra = "ray" if absent and absent[2] == "ray" else "sweep"
    return f"the launcher {absent[1]} is not installed: pip install 'iterpref[{extra}]'" if absent else ""


def _n_gpus() -> int:
    """For `${n_gpus:}` in YAML: GPUs of this host that may be used, at least 1."""
    from iterpref.sweeps.gpus import visible_gpus

    return max(len(visible_gpus()), 1)


# What the system's error says of a place, and what to do.
_OF_THE_DISK = {
    errno.ENOSPC: ("the disk is full while writing {}", "free some space, or choose another disk with {}"),
    errno.EDQUOT: ("the disk quota is used up while writing {}", "free some space, or choose another disk with {}"),
    errno.EROFS: ("{} is on a read-only disk", "choose a writable folder with {}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), ("no permission for {}", "choose a writable folder with {}")),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), ("{}: a file stands where a folder is needed", "choose another place with {}")),
    errno.EISDIR: ("{}: a folder stands where a file is needed", "take it away, or choose another {}"),
    errno.ENOENT: ("{} cannot be made or found", "choose another place with {}"),
}  # fmt: skip


def explain_os_error(error: OSError, places: str = PLACES) -> str:
    """A full disk, a missing permission and their like, with the path and the remedy; re-raises what it does not know."""
    if error.errno not in _OF_THE_DISK:
        raise error
    what, remedy = _OF_THE_DISK[error.errno]
    place = error.filename2 or error.filename or "the output folder"
    return f"{what.format(place)}: {remedy.format(places)}. Nothing that was finished is lost; run the same command again to go on"
