"""Every YAML under configs/ composes and validates, and the commands in its comments are commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from iterpref.cli import (
    CONFIG_DIR,
    check_overrides,
    checked_config,
    config_groups,
    register_schema,
    run_command,
)
from iterpref.config import SECTIONS
from iterpref.overrides import GLOBAL_GROUPS

YAMLS = sorted(path.relative_to(CONFIG_DIR).with_suffix("").as_posix() for path in CONFIG_DIR.rglob("*.yaml"))
CHOICES = [f"{group}={choice}" for group in GLOBAL_GROUPS if group != "launcher" for choice in config_groups()[group]]


pytestmark = pytest.mark.usefixtures("commands_here")


@pytest.mark.parametrize("choice", CHOICES)
def test_each_preset_composes_and_validates(choice: str) -> None:
    group, _, name = choice.partition("=")
    register_schema()
    model = ["generate=openai", "generate.model=NAME"] if name == "paper/sampling" else []
    overrides = [f"{group}='{name}'", *model]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        composed = compose("train", overrides, return_hydra_config=True)
    stated = OmegaConf.load(CONFIG_DIR / group / f"{name}.yaml")
    with open_dict(composed):
        hydra: Any = composed.pop("hydra")
    config = checked_config("train", composed, overrides, name if group == "experiment" else None)
    # It says what it says: each value that the file states is in what was composed.
    for key in _leaves(OmegaConf.to_container(stated)):
        where = OmegaConf.create({"hydra": hydra}) if key.startswith("hydra.") else OmegaConf.structured(config)
        found = OmegaConf.select(where, _path(key))
        assert str(getattr(found, "name", found)) == str(OmegaConf.select(stated, _path(key))), key


def _leaves(node: Any, prefix: tuple[str, ...] = ()) -> list[Any]:
    found: list[Any] = []
    for name, value in node.items():
        if name != "defaults":
            found += _leaves(value, (*prefix, name)) if isinstance(value, dict) else [".".join((*prefix, f"[{name}]"))]
    return found


def _path(key: str) -> str:
    return key.replace(".[", "[") if not key.startswith("[") else key.strip("[]")


def commands() -> list[tuple[str, str]]:
    """(YAML, command) of each command that a comment gives; those of the paper's experiments are run by a test of their own."""
    found = []
    for name in YAMLS:
        if name.startswith("experiment/paper/"):
            continue
        text = (CONFIG_DIR / f"{name}.yaml").read_text()
        for line in re.findall(r"^#.*?python -m iterpref\.(\w+ .*)$", text, re.M):
            if line.split()[0] in SECTIONS:  # the commands that Hydra composes
                found.append((name, line.split("  ")[0].removesuffix(" ...")))
    return found


@pytest.mark.parametrize(("yaml", "line"), commands())
def test_the_command_that_a_yaml_gives_is_one(yaml: str, line: str) -> None:
    command, *arguments = shlex.split(line)
    given = [a for a in arguments if "=" in a and not a.startswith("-")]
    if "pairs=PATH" not in given:  # short for two overrides
        check_overrides(command, given)
    Path("PATH").touch()
    if "-m" in arguments or any(a.startswith("sweep=") for a in given) or command in ("evaluate", "export", "report"):
        return  # tests/sweeps runs sweeps; the others need a run
    seen: list[Any] = []
    run_command(command, seen.append, arguments)
    assert len(seen) == 1


def test_comments_give_commands_and_every_yaml_has_a_comment() -> None:
    assert len(commands()) >= 15
    for name in YAMLS:
        first = (CONFIG_DIR / f"{name}.yaml").read_text().split("\n# @package _global_\n")[-1].lstrip()
        assert first.startswith("#"), name


def test_bash_completes_groups_choices_and_options(tmp_path: Path) -> None:
    script = f"""
export PATH={Path(sys.executable).parent}:$PATH
eval "$(iterpref-train -sc install=bash)"
for line in "iterpref-train debug=" "iterpref-train loss.be" "iterpref-train mask=so"; do
    COMP_LINE=$line; COMP_POINT=${{#line}}; COMP_WORDS=($line); COMP_CWORD=1
    hydra_bash_completion
    echo "${{COMPREPLY[@]}}"
done
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert done.stdout.split("\n")[:3] == [
        "debug=fast debug=nan debug=overfit debug=profile",
        "loss.beta=",
        "mask=soft",
    ], done.stderr
