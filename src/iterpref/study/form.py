"""Values of a study's YAML file, each of the form that its place asks for, or a sentence that names the place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config.load import check_value
from iterpref.errors import UserError, nearest, nearest_file


class NoFile(Exception):
    """An override asks for a file that nobody gave: its name, and the override."""

    def __init__(self, name: str, line: str) -> None:
        super().__init__(name)
        self.name, self.line = name, line


class Form:
    """Of the file at `path`. `files`: what `{NAME}` may stand for in an override; None: for itself."""

    def __init__(self, path: Path, files: Mapping[str, str] | None) -> None:
        self.path, self.files = path, files
        self.asked = set[str]()  # names of files

    def load(self) -> dict[str, Any]:
        """The whole of it."""
        try:
            raw = OmegaConf.to_container(OmegaConf.load(self.path))
        except FileNotFoundError:
            raise UserError(f"{self.path} is not there{nearest_file(self.path)}") from None
        except (OSError, OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{self.path}: no study can be read ({' '.join(str(error).split())})") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise UserError(f"{self.path}: no YAML ({' '.join(str(error).split())})") from None
        if not isinstance(raw, dict):
            raise UserError(f"{self.path}: expected the options of a study, got {type(raw).__name__}")
        return {str(key): value for key, value in raw.items()}

    def wrong(self, place: str, expected: str, came: Any) -> UserError:
        shown = "nothing" if came is None else repr(came)
        return UserError(f"{self.path}: {place}: expected {expected}, got {shown}")

    def keys(self, place: str, value: Any, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
        """A section of options."""
        found = self.named(place, value)
        for key in found:
            if key not in known:
                raise UserError(f"{self.path}: {place} has no '{key}'{nearest(key, known)}; it has {', '.join(known)}")
        if lacking := [name for name in needed if name not in found]:
            raise UserError(
                f"{self.path}: {place} needs {' and '.join(lacking)}, and has {', '.join(found) or 'nothing'}"
            )
        return found

    def named(self, place: str, value: Any) -> dict[str, Any]:
        """Something for each name; nothing is an empty one."""
        if not isinstance(value, dict | None):
            raise self.wrong(place, "NAME: VALUE in lines or in {}", value)
        return {str(name): own for name, own in (value or {}).items()}

    def several(self, place: str, value: Any, what: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(place, f"a list of {what} in [] or in lines that begin with -", value)
        return value

    def names(self, place: str, value: Any) -> tuple[str, ...]:
        found = tuple(str(name) for name in self.several(place, value, "names"))
        self.once(place, found)
        return found

    def once(self, place: str, found: tuple[Any, ...]) -> None:
        if twice := next((one for one in found if found.count(one) > 1), None):
            raise UserError(f"{self.path}: {place} names {twice} twice: name it once")

    def option(self, place: str, key: str, value: Any) -> Any:
        """A value that the training's option `key` may have."""
        whole = key == "seed"
        try:
            number = value if whole else float(value)
            if isinstance(value, bool) or not isinstance(number, int if whole else float):
                raise ValueError
        except (TypeError, ValueError):
            raise self.wrong(place, "a whole number" if whole else "a number", value) from None
        try:
            check_value(key, number)
        except UserError as error:
            raise UserError(f"{self.path}: {place}: {error}") from None
        return number

    def overrides(self, place: str, lines: Any, set_elsewhere: Mapping[str, str]) -> tuple[str, ...]:
        """Overrides of a command, but for the keys that something else sets. Raises `NoFile`."""
        if not isinstance(lines, list) or not all(isinstance(line, str) and "=" in line for line in lines):
            raise self.wrong(place, "a list of overrides such as [loss=sft, optim.lr=1e-5]", lines)
        for line in lines:
            refuse_set_elsewhere(f"{self.path}: {place}", line, set_elsewhere)
            self._check_files(place, line)
        return tuple(lines)

    def _check_files(self, place: str, line: str) -> None:
        try:
            asked = [name for _, name, _, _ in Formatter().parse(line) if name is not None]
            self.asked.update(asked)
            if self.files is not None:
                line.format_map(self.files)
        except KeyError:
            raise NoFile(next(name for name in asked if name not in self.files), line) from None  # type: ignore[operator]
        except (ValueError, IndexError) as error:
            raise UserError(
                f"{self.path}: {place}: in {line!r}, {{NAME}} stands for a file of --file NAME=PATH ({error}); a brace that is "
                "meant as such stands twice"
            ) from None


def refuse_set_elsewhere(where: str, line: str, set_elsewhere: Mapping[str, str]) -> None:
    """Raises `UserError` for an override whose key the study sets itself, by what `set_elsewhere` says."""
    key = line.partition("=")[0].lstrip("+").strip()
    if key in set_elsewhere:
        raise UserError(f"{where}: '{line}' has no effect: {set_elsewhere[key]}; leave it out")
