"""The wheel is the whole package: configs, bank, tokenizer and templates travel in it, and it runs outside the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, built and unpacked in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("iterpref-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def test_every_file_that_is_no_code_is_in_the_wheel(installed):
    package = installed / "iterpref"
    shipped = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert {path.relative_to(package / "configs") for path in (package / "configs").rglob("*.yaml")} == shipped
    for name in (
        "codeflow/bank/splits.json",
        "models/tiny/tokenizer.json",
        "models/tiny/chat_template.jinja",
        "reporting/page.html.j2",
    ):
        assert (package / name).is_file(), name
    source = ROOT / "src" / "iterpref" / "codeflow" / "bank" / "tasks"
    tasks = {path.relative_to(source) for path in source.rglob("*.py")}
    assert {
        path.relative_to(package / "codeflow/bank/tasks") for path in (package / "codeflow/bank/tasks").rglob("*.py")
    } == tasks


def test_the_installed_command_composes_its_configs_outside_the_repository(installed, tmp_path):
    where = run(installed, tmp_path, "-c", "import iterpref; print(iterpref.__file__)")
    assert where.stdout.startswith(str(installed))
    shown = run(installed, tmp_path, "-m", "iterpref.train", "--cfg", "job", "experiment=smoke")
    assert shown.returncode == 0, shown.stderr
    assert "name: smoke" in shown.stdout


def test_the_four_console_scripts_are_declared(installed):
    (entry_points,) = installed.glob("iterpref-*.dist-info/entry_points.txt")
    text = entry_points.read_text()
    for command in ("prepare", "train", "evaluate", "report"):
        assert f"iterpref-{command} = iterpref.{command}:main" in text
