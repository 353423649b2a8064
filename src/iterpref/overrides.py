"""Overrides as a person writes them: each must name something, and hold what it says. Checked before Hydra composes, and after."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from iterpref.config import SECTIONS, schema_keys, unknown_key
from iterpref.errors import UserError, nearest

CONFIG_DIR = Path(__file__).parent / "configs"
# Groups that reach into every section, and the commands that know them.
GLOBAL_GROUPS = {
    "experiment": ("prepare", "train", "export"),
    "reading": ("prepare", "train", "export"),
    "sweep": ("train",),
    "launcher": ("train",),
    "debug": ("prepare", "train"),
}
# Options of Hydra that would mislead, and why.
_OF_HYDRA = {
    "hydra.run.dir": "would move a log alone: give paths.run=DIR, and paths.data=DIR for what is prepared",
    "hydra.job.chdir": "would look for all relative paths in the run's folder, data_cache among them: leave it out",
}
_NO_GROUPS = ("study",)  # files of `iterpref.study`, which Hydra does not compose

# Folders of YAML: ours, and with --config-dir one of the user's own.
_config_dirs = [CONFIG_DIR]


def config_groups() -> dict[str, list[str]]:
    """Config groups and their choices, as the folders have them: `{"loss": ["sft", "target_dpo", ...], ...}`."""
    groups: dict[str, list[str]] = {}
    for folder in _config_dirs:
        for path in sorted(folder.rglob("*.yaml")):
            first, *rest = path.relative_to(folder).with_suffix("").parts
            if rest and first not in _NO_GROUPS and "/".join(rest) not in groups.setdefault(first, []):
                groups[first].append("/".join(rest))
    return groups


def know_config_dir(arguments: Sequence[str]) -> None:
    """Lets the choices of `--config-dir DIR` (or `-cd DIR`, `--config-dir=DIR`) pass as choices."""
    _config_dirs[1:] = []
    for flag in ("--config-dir", "-cd"):
        given = [b for a, b in pairwise(arguments) if a == flag]
        given += [a.removeprefix(f"{flag}=") for a in arguments if a.startswith(f"{flag}=")]
        for name in given:
            if not Path(name).is_dir():
                raise UserError(f"{flag} {name}: there is no such folder")
            _config_dirs.append(Path(name).resolve())


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their words, and the overrides: argparse takes no override behind a flag that follows one."""
    overrides = [
        i for i, a in enumerate(arguments)
        if a.startswith("~") or ("=" in a and not a.startswith("-") and arguments[i - 1 : i] not in (["--config-dir"], ["-cd"]))
    ]  # fmt: skip
    return [a for i, a in enumerate(arguments) if i not in overrides], [arguments[i] for i in overrides]


def check_flags(flags: Sequence[str]) -> None:
    """Raises `UserError` for `--OPTION`: argparse would take `--experiment` for the beginning of a flag of Hydra's."""
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if flag.startswith("--") and names_option(name):
            raise UserError(f"'{flag}': options are written without dashes: {name}={value or 'VALUE'}")


def names_option(word: str) -> bool:
    """Whether the word is a group or a dotted key, which a value is missing from."""
    return word in config_groups() or word in {key for key, _ in schema_keys()}


def refuse_idle_sweep(overrides: Sequence[str]) -> None:
    """Raises `UserError` for options of a sweep in a command that runs one job, which has no use for them."""
    for override in parse(overrides):
        if override.key_or_group.split(".")[0] in ("sweep", "launcher"):
            raise UserError(
                f"'{override.input_line}' is for a sweep, and this command runs one job: add -m, or leave it out"
            )


def parse(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Hydra's own reading; `loader` is asked for the choices of `glob(*)`. Raises `UserError` for what cannot be read."""
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise unreadable(error) from None


def unreadable(error: OverrideParseException) -> UserError:
    """The error for a word of the command line that Hydra cannot read, with the way to write what was meant."""
    word = error.override
    reason = next((line for line in str(error.message).splitlines() if not line.startswith("Error parsing")), "")
    key, equals, value = word.partition("=")
    if not equals:
        groups = config_groups()
        meant = next((f"; did you mean {group}={word}?" for group, choices in groups.items() if word in choices), "")
        return UserError(
            f"'{word}' gives no option a value ({reason}): OPTION=VALUE was expected, without spaces around the ="
            + (f", as in {word}=VALUE" if names_option(word) else meant)
        )
    if "Unknown function" in reason:
        return UserError(
            f"'{word}' cannot be read ({reason}): values of a sweep are a,b,c or range(a,b,step), interval(a,b) and "
            f"tag(log,interval(a,b)) (docs/sweeps.md); a text with brackets in it stands in quotes, \"{key}='{value}'\""
        )
    quotes = value.replace("'", "\\'")
    return UserError(
        f"'{word}' cannot be read ({reason}): a value with spaces, quotes, brackets, commas or = in it stands in quotes, "
        f"and for the shell all of it once more: \"{key}='{quotes}'\""
    )


def check_overrides(command: str, overrides: Sequence[str]) -> None:
    """Every override must name a key or a group of the schema that `command` uses; raises `UserError` with the nearest."""
    keys = {key for key, _ in schema_keys()}
    groups = config_groups()
    sections = SECTIONS[command]
    for override in parse(overrides):
        key = override.key_or_group
        if not key:
            raise UserError(
                f"'{override.input_line}' names no option: OPTION=VALUE was expected, without spaces around the ="
            )
        root = key.split(".")[0].split("/")[0]
        if override.is_delete() and root != "hydra":
            raise UserError(f"'{override.input_line}': no option can be taken away; give {key}=VALUE, or leave it out")
        if root == "hydra":
            if key in _OF_HYDRA and override.value() is not False:
                raise UserError(f"'{override.input_line}' {_OF_HYDRA[key]}")
            continue
        if key in GLOBAL_GROUPS and not isinstance(override.value(), dict):
            _refuse_addition(override, forced=True)
            if command not in GLOBAL_GROUPS[key]:
                raise UserError(_no_effect(command, override.input_line or key))
            _check_choices(command, override, groups)
            continue
        if key not in keys and key not in groups:
            raise unknown_key(key, groups)
        _refuse_addition(override, forced=key in groups)
        if root not in sections:
            raise UserError(_no_effect(command, override.input_line or key))
        if key in groups:
            _check_choices(command, override, groups)


def _refuse_addition(override: Override, forced: bool) -> None:
    """`+KEY=VALUE`: Hydra adds what is not there yet, and every option is. `forced`: nor does it take `++` for this one."""
    if override.is_add() or (forced and override.is_force_add()):
        line = str(override.input_line)
        raise UserError(f"'{line}': every option is there already, so that none can be added; give {line.lstrip('+')}")


def _no_effect(command: str, line: str) -> str:
    return (
        f"'{line}' has no effect on iterpref.{command}, which uses only: {', '.join(SECTIONS[command])}. "
        "Leave it out, or give it to the command that uses it"
    )


def _check_choices(command: str, override: Override, groups: dict[str, list[str]]) -> None:
    """A choice, or each choice of a sweep: a grid must not find out at its last job that it cannot run."""
    group, value = override.key_or_group, override.value()
    known = groups[group]
    if isinstance(value, IntervalSweep | RangeSweep):
        raise UserError(
            f"'{override.input_line}': {group} is chosen by name, not by number: give {group}={','.join(known[:2])}"
        )
    for choice in value.list if isinstance(value, ChoiceSweep) else [value]:
        text = choice.text if isinstance(choice, QuotedString) else choice
        if text is None or (isinstance(text, str) and text not in known):
            shown = "null" if text is None else text
            # The last word alone may be what was meant: target_rpo for paper/target_rpo; or a choice of another group.
            meant = [k for k in known if k.rpartition("/")[2] == shown]
            meant += [f"{g}={shown}" for g in GLOBAL_GROUPS if shown in groups.get(g, [])]
            hint = f"; did you mean '{meant[0]}'?" if meant else nearest(shown, known) or _without(command, group)
            raise UserError(f"{group}={shown} is none of {', '.join(known)}{hint}")


def without_nulls(command: str, arguments: Sequence[str]) -> list[str]:
    """The arguments, less what `GROUP=null` takes back: no choice of a group that the command can do without.

    Hydra has no word for that; left to it, each null would be an error.
    """
    last = {
        a.partition("=")[0].lstrip("+"): a.partition("=")[2] for a in arguments if "=" in a and not a.startswith("-")
    }
    none = {key for key, value in last.items() if value.lower() == "null" and _may_be_none(command, key)}
    return [a for a in arguments if a.partition("=")[0].lstrip("+") not in none]


def _may_be_none(command: str, group: str) -> bool:
    """Whether the command does without a choice of the group unless one is given: then `GROUP=null` says just that."""
    defaults = plain(OmegaConf.load(CONFIG_DIR / f"{command}.yaml"))["defaults"]
    return any(isinstance(entry, dict) and entry.get(group, "") is None for entry in defaults)


def _without(command: str, group: str) -> str:
    return (
        f"; for none of them, {group}=null" if _may_be_none(command, group) else f"; for the default, leave {group} out"
    )


def check_groups(composed: DictConfig, overrides: Sequence[str]) -> None:
    """A group chosen on the command line must hold what it states; raises `UserError` where an experiment states otherwise.

    Experiments come after the groups, so that `mask=paper` could silently lose against an experiment's own mask.
    """
    parsed = parse(overrides)
    said = keys_of(parsed)
    later = [f"{g}={o.value()}" for o in parsed if (g := o.key_or_group) in GLOBAL_GROUPS and g != "reading"]
    for override in parsed:
        group, choice = override.key_or_group, override.value()
        path = next((p for d in _config_dirs if (p := d / group / f"{choice}.yaml").is_file()), None)
        if group in GLOBAL_GROUPS or path is None:
            continue
        made = leaves(plain(composed[group]))
        for leaf, stated in leaves(plain(OmegaConf.load(path))).items():
            key, found = f"{group}.{leaf}", made[leaf]
            if stated not in ("???", found) and key not in said:
                raise UserError(
                    f"{group}={choice} sets {key}={stated}, but {' or '.join(later)} comes after it and sets {found}: "
                    f"add {key}={stated}, or leave {group}={choice} out"
                )


def leaves(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key: a group states some options of a section below it, and leaves the others."""
    found: dict[str, Any] = {}
    for name, value in node.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def plain(node: Any) -> dict[str, Any]:
    """As written: nothing resolved, nothing missing."""
    return OmegaConf.to_container(node)  # type: ignore[return-value]


def swept_texts(override: Override) -> list[str]:
    """What `a,b`, `choice(...)`, `range(...)` or `glob(...)` stands for; raises `UserError` where that is nothing, or has no end."""
    value, line = override.value(), override.input_line
    if isinstance(value, RangeSweep) and not value.step:
        raise UserError(f"'{line}': the step of a range cannot be 0")
    texts = list(override.sweep_string_iterator())
    if not texts:
        raise UserError(
            f"'{line}' stands for no value, so that there is no job: range(a,b) ends before b, and glob(*) is for groups"
        )
    return texts


def keys_of(overrides: Sequence[Override]) -> set[str]:
    """Keys that the overrides give a value; groups by their name, `{...}` by the keys in it."""
    keys = set()
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if key in GLOBAL_GROUPS and not isinstance(value, dict):
            continue  # what a preset sets is no choice of its own, whatever section has its name
        keys |= {f"{key}.{leaf}" for leaf in value} if isinstance(value, dict) else {key}
    return keys
