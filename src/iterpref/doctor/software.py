"""Installed packages against pyproject.toml, GPUs, weights, and what wandb and the hub would do. Nothing is fetched."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from iterpref.doctor import imports
from iterpref.doctor.finding import Finding, words

IMPORTED = ("transformers", "lightning", "datasets", "wandb")  # besides torch and triton, which get lines of their own
TEST_TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "ruff", "mypy")
# The first whose instructions Triton compiles for.
TRITON_CAPABILITY = (7, 0)
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def check_packages() -> Iterator[Finding]:
    """Every package that pyproject.toml names; those that our code touches most on a line each."""
    required = _required("")
    rest = []
    for name, wanted in required.items():
        if name in IMPORTED:
            yield _package(name, wanted)
        elif name not in ("torch", "triton"):
            rest.append((name, wanted, _installed(name)))
    bad = [(name, wanted, version) for name, wanted, version in rest if not _fits(version, wanted)]
    if bad:
        found = ", ".join(f"{name} {version or 'is absent'}" for name, _, version in bad)
        yield Finding("Other packages", "missing", found, _pip([(name, wanted) for name, wanted, _ in bad]))
    else:
        yield Finding("Other packages", "ok", f"{len(rest)} within their ranges")


def _package(name: str, wanted: str) -> Finding:
    version, answer = _installed(name), imports.answers().answer(name)
    if not version:
        return Finding(name, "missing", "not installed", _pip([(name, wanted)]))
    if not _fits(version, wanted):
        return Finding(name, "missing", f"{version}; expected {wanted}", _pip([(name, wanted)]))
    if "error" in answer:
        # Most of them import torch: whoever mends that has mended them.
        culprit = ("torch", _required("")["torch"]) if "error" in imports.answers().answer("torch") else (name, wanted)
        return Finding(name, "missing", f"{version} is broken: {words(answer['error'])}", _pip([culprit], anew=True))
    return Finding(name, "ok", f"{version} (not imported: {answer['untried']})" if "untried" in answer else version)


def check_test_tools() -> Iterator[Finding]:
    wanted = {name: needed for name, needed in _required("dev").items() if name in TEST_TOOLS}
    bad = [(name, needed) for name, needed in wanted.items() if not _fits(_installed(name), needed)]
    if bad:
        found = f"absent or too old: {', '.join(name for name, _ in bad)}"
        yield Finding("Test tools", "missing", found, _pip(bad))
    else:
        yield Finding("Test tools", "ok", ", ".join(wanted))


def check_torch() -> Iterator[Finding]:
    wanted, answer = _required("")["torch"], imports.answers().answer("torch")
    if not _installed("torch"):
        yield Finding("torch", "missing", "not installed", _pip([("torch", wanted)]))
        return
    if "error" in answer:
        found = f"{_installed('torch')} is broken: {words(answer['error'])}"
        yield Finding("torch", "missing", found, _pip([("torch", wanted)], anew=True))
        return
    built = f"CUDA {answer['cuda']}" if answer["cuda"] else f"ROCm {answer['hip']}" if answer["hip"] else "CPU only"
    if _fits(answer["version"], wanted):
        yield Finding("torch", "ok", f"{answer['version']}, built for {built}")
    else:
        yield Finding("torch", "missing", f"{answer['version']}; expected {wanted}", _pip([("torch", wanted)]))
    yield from _gpus(answer, wanted)


def _gpus(answer: dict[str, object], wanted: str) -> Iterator[Finding]:
    gpus = answer["gpus"]
    assert isinstance(gpus, list)
    for i, gpu in enumerate(gpus):
        capability = tuple(gpu["capability"])
        found = f"{gpu['name']}, {gpu['memory_gib']:.0f} GiB, compute capability {'.'.join(map(str, capability))}"
        if capability < TRITON_CAPABILITY:
            yield Finding(f"GPU {i}", "warning", f"{found}: too old for Triton", "ops=torch")
        else:
            yield Finding(f"GPU {i}", "ok", found)
    if gpus:
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if answer["mps"]:
        yield Finding("GPU", "ok", "Apple GPU")
    elif not (NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi")):
        yield Finding("GPU", "ok", "none; the demo and the tests need none")
    elif not answer["cuda"]:
        found = "this machine has an NVIDIA driver, and torch was built without CUDA"
        yield Finding("GPU", "warning", found, _pip([("torch", wanted)], anew=True))
    elif hidden is not None and not hidden.strip("-1 "):
        yield Finding("GPU", "warning", f"hidden by CUDA_VISIBLE_DEVICES={hidden!r}", "unset CUDA_VISIBLE_DEVICES")
    else:
        found = f"this machine has an NVIDIA driver, and torch with CUDA {answer['cuda']} sees no GPU"
        yield Finding("GPU", "warning", found, "nvidia-smi  # does the driver work, and is it as new as that CUDA?")


def check_triton() -> Iterator[Finding]:
    wanted, answer = _required("").get("triton"), imports.answers().answer("triton")
    if wanted is None:
        yield Finding("triton", "ok", f"not needed on {sys.platform}: ops=torch is used")
    elif not _fits(_installed("triton"), wanted):
        found = f"{_installed('triton') or 'not installed'}, expected {wanted}"
        yield Finding("triton", "warning", f"{found}; ops=torch is used", _pip([("triton", wanted)]))
    elif "error" in answer:
        found = f"{_installed('triton')} is broken: {words(answer['error'])}"
        yield Finding("triton", "warning", f"{found}; ops=torch is used", _pip([("triton", wanted)], anew=True))
    elif "untried" in answer:
        yield Finding("triton", "ok", f"{_installed('triton')} (not imported: {answer['untried']})")
    elif imports.answers().answer("torch").get("gpus"):
        yield Finding("triton", "ok", f"{answer['version']}, kernels run on the GPU")
    elif os.environ.get("TRITON_INTERPRET") == "1":
        yield Finding("triton", "ok", f"{answer['version']}, interpreted (TRITON_INTERPRET=1)")
    else:
        yield Finding(
            "triton", "ok", f"{answer['version']}; without a GPU ops=torch is used, and tests interpret the kernel"
        )


def check_weights() -> Iterator[Finding]:
    """The demo's model, and what reads it."""
    from iterpref.models.source import READERS_COMMAND, WHEEL_COMMAND, find_weights, missing_readers

    weights = find_weights()
    if weights is None:
        yield Finding("SmolLM2 weights", "missing", "not installed; the demo needs them", WHEEL_COMMAND)
    elif readers := missing_readers():
        found = f"{weights.name}, but {' and '.join(readers)} to read it is absent"
        yield Finding("SmolLM2 weights", "missing", found, READERS_COMMAND)
    else:
        yield Finding("SmolLM2 weights", "ok", f"{weights.name}, {weights.stat().st_size / 1e6:.0f} MB")


def check_wandb_login() -> Iterator[Finding]:
    """What `logger.wandb=auto` would do. Keys are looked for, never shown."""
    answer, asked = imports.answers().answer("wandb mode"), os.environ.get("WANDB_MODE", "")
    if "mode" not in answer:
        yield Finding("wandb runs", "warning", words(answer.get("error") or answer["untried"]), "logger=csv")
        return
    does = {
        "online": "logged in: runs go to the server",
        "offline": "runs are kept in the run's folder, offline",
        "disabled": "switched off",
    }[answer["mode"]]
    if asked == "online" and answer["mode"] == "offline":
        yield Finding("wandb runs", "warning", f"WANDB_MODE=online without a login: {does}", "wandb login")
    elif asked and asked not in ("online", "offline", "disabled"):
        yield Finding("wandb runs", "warning", f"WANDB_MODE is set to no mode that we know: {does}", "unset WANDB_MODE")
    else:
        why = f"WANDB_MODE={asked}: " if asked else "not logged in: " if answer["mode"] == "offline" else ""
        yield Finding("wandb runs", "ok", f"{why}{does}")


def check_hub() -> Iterator[Finding]:
    """Only the environment: the demo fetches nothing."""
    said = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    offline = [name for name in said if os.environ.get(name, "").lower() in ("1", "true", "yes", "on")]
    others = [name for name in ("HF_ENDPOINT", "HF_HOME", "HF_TOKEN") if os.environ.get(name)]
    tail = f"; {', '.join(others)} set" if others else ""
    if offline:
        found = f"{offline[0]} is set: model.path must be a folder, or fetched before{tail}"
        yield Finding("Hugging Face hub", "warning", found, f"unset {' '.join(offline)}")
    else:
        yield Finding("Hugging Face hub", "ok", f"allowed, not tried; only model=pretrained uses it{tail}")


def _required(extra: str) -> dict[str, str]:
    """Package -> its range, of what pyproject.toml asks for on this machine: always, or only with `extra`."""
    from packaging.requirements import Requirement

    found = {}
    for line in importlib.metadata.requires("iterpref") or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if not extra else not always and marker is not None and marker.evaluate({"extra": extra}):
            found[requirement.name] = str(requirement.specifier)
    return found


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _fits(version: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return bool(version) and SpecifierSet(wanted).contains(version, prereleases=True)


def _pip(packages: list[tuple[str, str]], anew: bool = False) -> str:
    names = " ".join(f'"{name}{wanted}"' for name, wanted in packages)
    return f"pip install --force-reinstall {names}" if anew else f"pip install {names}"
