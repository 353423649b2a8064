"""What a run was: command, code, versions, hardware, data, seconds by stage. `run.json` beside the resolved `config.yaml`."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig

from iterpref.config import Config, to_dict
from iterpref.config.training import ZERO
from iterpref.errors import UserError
from iterpref.launch import is_rank, rank
from iterpref.registry import LINKS, LOCALISERS, MASKS, SOURCES, added_sources
from iterpref.strict_json import read_object

_PACKAGES = (
    "iterpref",
    "torch",
    "triton",
    "lightning",
    "transformers",
    "datasets",
    "peft",
    "deepspeed",
    "hydra-core",
    "omegaconf",
    "wandb",
)

_RESTORE = "put it back from a copy, or train again in another paths.run=DIR"


class RunRecord:
    """`RUN/run.json`, rewritten in one piece at each change."""

    def __init__(self, run: Path) -> None:
        self.path = run / "run.json"
        self.content: dict[str, Any] = read_object(self.path, _RESTORE) if self.path.is_file() else {}

    @classmethod
    def start(cls, run: Path, config: Config) -> RunRecord:
        """Opens the record of this run, or goes on with the one that a killed process left."""
        run.mkdir(parents=True, exist_ok=True)
        if rank():
            return cls(run)  # rank 0 writes it
        write_whole(run / "config.yaml", yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))
        record = cls(run)
        git = git_state()
        fresh = {
            "command": shlex.join(sys.argv),
            "overrides": _overrides(),
            "cwd": os.getcwd(),
            "git": git,
            "versions": package_versions(),
            "hardware": hardware(),
            "seed": config.seed,
            "finished": None,
        }
        _keep_changes(run, git)
        record.update(
            **fresh,
            started=record.content.get("started") or now(),
            stage_seconds=record.content.get("stage_seconds", {}),
        )
        return record

    def update(self, **values: Any) -> None:
        self.content.update(values)
        if rank() == 0:
            write_whole(self.path, json.dumps(self.content, indent=2) + "\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the seconds of the block to `stage_seconds`."""
        begin = time.perf_counter()
        yield
        seconds = self.content.setdefault("stage_seconds", {})
        seconds[name] = round(seconds.get(name, 0) + time.perf_counter() - begin, 1)
        self.update()


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step, so that a reader or a crash never sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def read_config(run: Path) -> Config:
    """The config that `RUN` was made with; raises `UserError` when there is no run."""
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(
            f"{run} is no run: there is no config.yaml in it{likelier_run(run)}; name the folder of a run, or make one with: "
            f"python -m iterpref.train paths.run={shlex.quote(str(run))}"
        )
    from omegaconf import OmegaConf

    from iterpref.config import load

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} is damaged, it holds no YAML ({' '.join(str(error).split())}): {_RESTORE}") from None
    if not isinstance(written, dict):
        raise UserError(f"{path} is damaged, it holds no options: {_RESTORE}")
    try:
        return load(OmegaConf.create(written))
    except UserError as error:  # of another version of this package, perhaps
        raise UserError(
            f"{path}: {error}; the file is of another version of this package, or was changed: mend it there, or use the version "
            "that run.json names"
        ) from None


def likelier_run(folder: Path) -> str:
    """`" (the last run there: DIR)"` for a folder that is none but has runs below it, or beside it where it is not there;
    for one inside of a run, that run."""
    if around := next((f for f in folder.parents[:2] if (f / "run.json").is_file()), None):
        return f" (it is a part of the run {around})"
    base = next((f for f in (folder, *folder.parents[:2]) if f.is_dir()), None)
    if base is None:
        return ""
    below = [
        p.parent
        for depth in ("*", "*/*")
        for p in base.glob(f"{depth}/run.json")
        if (p.parent / "config.yaml").is_file()
    ]
    last = max(below, key=lambda run: (run / "run.json").stat().st_mtime, default=None)
    return f" (the last run there: {last})" if last else ""


def read_trained(run: Path) -> Config:
    """`read_config` of a run that has its model; raises `UserError` for one that is not finished."""
    config = read_config(run)
    if not (run / "export").is_dir():
        raise UserError(
            f"{run} has no trained model yet (no folder 'export'): finish it with python -m iterpref.train paths.run={run}"
        )
    return config


# What a run computes does not depend on them.
_NO_PART = ("paths", "logger", "report", "evaluate", "executor", "resume", "plan", "sweep", "plugins")
_NO_PART_OF = {  # it may go on with other devices, say, or behind other walls
    "trainer": ("devices", "nodes", "timeout_s", "checkpoints"),
    "sandbox": ("name", "tier", "allow_unsafe", "workers"),
    "data": ("prefetch",),
}


def run_key(config: Config) -> str:
    """Equal for two runs that compute the same; where a folder holds another key, it holds another run."""
    from iterpref.artifacts import fingerprint

    added = added_sources(
        link=(LINKS, config.loss.link), chosen=(MASKS, config.mask.chosen), rejected=(MASKS, config.mask.rejected),
        diff=(LOCALISERS, config.pairs.diff), problems=(SOURCES, config.problems.source),
    )  # fmt: skip
    return fingerprint("run", settings_of_run(config), added)


def settings_of_run(config: Config) -> dict[str, Any]:
    """The options that decide what a run computes, and in what form it keeps that."""
    plain = {k: v for k, v in to_dict(config).items() if k not in _NO_PART}
    for section, names in _NO_PART_OF.items():
        plain[section] = {k: v for k, v in plain[section].items() if k not in names}
    checkpoints = {"fsdp2": "shards", **dict.fromkeys(ZERO, "flat shards")}
    plain["trainer"]["strategy"] = checkpoints.get(config.trainer.strategy, "whole")
    return plain


def read_done(run: Path, key: str | None = None) -> dict[str, Any] | None:
    """`RUN/done.json`: the run's key, its last validation's metrics, and the step at which it was pruned, if it was; None
    where there is none, or one of another key."""
    path = run / "done.json"
    done = read_object(path, "delete it, and the run goes on from its last checkpoint") if path.is_file() else None
    return done if done is not None and key in (None, done.get("config")) else None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the code's checkout; None when it is installed from a wheel."""
    file = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=file.parent, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()  # fmt: skip

    try:
        # A wheel inside somebody's checkout is not that checkout's code.
        git("ls-files", "--error-unmatch", file.name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _keep_changes(run: Path, git: dict[str, Any] | None) -> None:
    """`RUN/uncommitted.patch`: what the commit alone does not say of the code."""
    patch = run / "uncommitted.patch"
    patch.unlink(missing_ok=True)
    if git is not None and git["dirty"]:
        changes = subprocess.run(
            ["git", "diff", "HEAD", "--binary"], cwd=Path(__file__).resolve().parent, capture_output=True, timeout=60
        )
        patch.write_bytes(changes.stdout)


def _overrides() -> list[str] | None:
    """Those of this run: in a sweep, of this job; None where no command line made it."""
    if HydraConfig.initialized():
        return list(HydraConfig.get().overrides.task)
    # One of several processes has the words of the command that started it, without Hydra.
    words = [a for a in sys.argv[1:] if not a.startswith(("-", "hydra."))]
    return [a for a in words if "=" in a or a.startswith("~")] if is_rank() else None


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Cores, memory in GiB, processor and GPUs."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1) if memory else None,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
