"""Every program gets its verdict, with every form of tests, in every tier that this machine gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import iterpref
from iterpref.codeflow.sandbox import tiers

from .deviations import BWRAP, LANDLOCK, PLAIN
from .tables import NAMES, ONE_FORM, PROGRAMS, TIERS, run_all

ROOT = Path(__file__).parents[2]
WANTED = {tier: ONE_FORM if tier == "bwrap" else NAMES for tier in TIERS}


@cache
def _mismatches(tier: str) -> dict[str, str]:
    return run_all(tier, WANTED[tier])


@pytest.mark.parametrize(("tier", "name"), [(tier, name) for tier in TIERS for name in WANTED[tier]])
def test_each_program_gets_its_verdict(tier: str, name: str) -> None:
    if not tiers.probe(tier).works:
        pytest.skip(tiers.probe(tier).reason)
    wrong = _mismatches(tier).get(name)
    if wrong is None:
        pytest.skip("nothing is promised here")
    assert wrong == ""


def test_every_deviation_is_of_a_row() -> None:
    known = {*NAMES, *PROGRAMS}
    assert {name for table in (LANDLOCK, PLAIN, BWRAP) for name in table} <= known


def _interpreter() -> str | None:
    """One that every user can start, and that is new enough."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        real = Path(path).resolve()
        if real.exists() and all(parent.stat().st_mode & 1 for parent in real.parents):
            found = subprocess.run(
                [real, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
            )
            if found.stdout.strip() == "True":
                return str(real)
    return None


@pytest.fixture
def open_copy() -> Iterator[Path]:
    """The package and these tests where every user can read them."""
    folder = Path(tempfile.mkdtemp(prefix="as-user-", dir="/tmp"))
    try:
        shutil.copytree(
            Path(iterpref.__file__).parent, folder / "iterpref", ignore=shutil.ignore_patterns("configs", "__pycache__")
        )
        shutil.copytree(
            ROOT / "tests" / "sandbox", folder / "tests" / "sandbox", ignore=shutil.ignore_patterns("__pycache__")
        )
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are this one")
@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
def test_an_ordinary_user_gets_the_same_verdicts(open_copy: Path, tier: str) -> None:
    python = _interpreter()
    if python is None:
        pytest.skip("no Python >= 3.11 that another user can start")
    result = subprocess.run(
        [python, "-m", "tests.sandbox.tables", tier],
        cwd="/", env={"PYTHONPATH": str(open_copy), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]},
        user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    told = json.loads(result.stdout)[tier]
    if "absent" in told:
        pytest.skip(told["absent"])
    assert told == {}
