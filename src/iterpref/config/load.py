"""A composed Hydra config -> a checked `Config`, or a `UserError` that names the override and the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config.root import Config, schema_keys
from iterpref.config.rules import check_rules
from iterpref.errors import UserError, nearest
from iterpref.registry import Registry, import_plugins


def load(composed: DictConfig) -> Config:
    """Checks a composed config against the schema and the rules; raises `UserError` before any work is done."""
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key} cannot be worked out: {str(error).splitlines()[0]}") from None
    assert isinstance(plain, dict)
    known = _fields()
    for key in _leaf_keys(plain):
        if key not in known:
            raise unknown_key(key)
        if _dig(plain, key) == "???":
            raise UserError(f"{key} has no value yet: give {key}=VALUE")
    for key, item in known.items():
        if is_dataclass(item.default_factory) and not isinstance(_dig(plain, key), dict):
            raise UserError(f"{key}={_dig(plain, key)}: a section of options was expected; give {key}.OPTION=VALUE")
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    except OmegaConfBaseException as error:
        key = str(error.full_key).partition("[")[0]
        came, wanted = _dig(plain, key), str(known[key].type)
        brackets = (
            f"; write it in brackets: {key}=[{came}]" if wanted.startswith("list") and isinstance(came, str) else ""
        )
        raise UserError(f"{key}={came!r} has the wrong type: {wanted} was expected{brackets}") from None
    assert isinstance(config, Config)
    import_plugins(config.plugins)
    _check_ranges(config)
    check_rules(config)
    return config


def _leaf_keys(node: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _leaf_keys(value, key + ".")
        yield key


def _dig(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _check_ranges(config: Config) -> None:
    for key in _fields():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        check_value(key, value)


@cache
def _fields() -> dict[str, Any]:
    return dict(schema_keys())


def check_value(key: str, value: Any) -> None:
    """Raises `UserError` for a value of the right type that the option `key` cannot have."""
    rule = _fields()[key].metadata
    if value == "":
        raise UserError(f"{key} is empty: give {key}=VALUE, or leave it out")
    if value is None or not rule:
        return
    if rule["choices"] and value not in rule["choices"]:
        hint = nearest(str(value), rule["choices"])
        if not hint and isinstance(rule["choices"], Registry):
            hint = "; one of your own is known once its file is imported: plugins=[FILE.py]"
        raise UserError(f"{key}={value} is none of {', '.join(rule['choices'])}{hint}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high, above = rule["low"], rule["high"], rule["above"]
        # Written so that NaN fails too.
        inside = (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
        if not inside or value in (float("inf"), float("-inf")):
            bounds = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
            bounds += [f"at most {high}"] * (high is not None)
            raise UserError(f"{key}={value} is out of range: {' and '.join([*bounds, 'finite'])} was expected")


def unknown_key(key: str, groups: Iterable[str] = ()) -> UserError:
    """The error for a key that the schema lacks; its own name elsewhere, else the nearest in its section, then anywhere."""
    keys = [*(k for k, _ in schema_keys()), *groups]
    section, _, leaf = key.rpartition(".")
    own = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == section}
    every = {k.rpartition(".")[2]: k for k in reversed(keys)}  # of equal names the first one stays
    same = {name: key for name, key in every.items() if name == leaf}
    for names in (same, own, every):
        if close := difflib.get_close_matches(leaf, names, n=1):
            return UserError(f"unknown option '{key}'; did you mean '{names[close[0]]}'?")
    hint = f"; the options of {section} are {', '.join(own)}" if section and own else nearest(key, keys)
    return UserError(f"unknown option '{key}'{hint}")
