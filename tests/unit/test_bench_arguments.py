"""A bench's wrong argument ends it before anything is measured."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from iterpref.bench import benchmarks, sandbox
from iterpref.bench.arguments import at_least, output_file


def test_a_number_is_whole_and_large_enough() -> None:
    assert at_least(1)("3") == 3
    assert at_least(0.5)("0.5") == 0.5
    for text, message in (("0", "expected at least 1, got 0"), ("1.5", "a whole number, got '1.5'"), ("", "got ''")):
        with pytest.raises(ArgumentTypeError, match=message):
            at_least(1)(text)


def test_a_file_to_write_has_its_folder_before_the_measuring(tmp_path: Path) -> None:
    assert output_file(str(tmp_path / "new/figures.json")) == tmp_path / "new/figures.json"
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentTypeError, match="cannot be made"):
        output_file(str(tmp_path / "file/figures.json"))
    with pytest.raises(ArgumentTypeError, match="is a folder: name a file"):
        output_file(str(tmp_path))


def test_the_command_line_says_which_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for main, arguments, message in (
        (sandbox.main, ["--workers", "0"], "--workers: expected at least 1, got 0"),
        (sandbox.main, ["--json", str(tmp_path)], f"--json: {tmp_path} is a folder"),
        (benchmarks.main, ["bank", "--limit", "-1"], "--limit: expected at least 1, got -1"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert message in capsys.readouterr().err
