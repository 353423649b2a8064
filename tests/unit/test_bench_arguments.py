"""A bench's wrong argument ends it before anything is measured."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from iterpref.bench import benchmarks, code_pairs, generate, kills, lengths, sandbox, scale, scaling, short_run, step
from iterpref.bench.arguments import at_least, benchmark_options, output_file
from iterpref.bench.code_pairs import read_pairs
from iterpref.errors import UserError


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
    rows = tmp_path / "rows.json"
    rows.write_text('{"rows": [1]}')
    for main, arguments, message in (
        (sandbox.main, ["--workers", "0"], "--workers: expected at least 1, got 0"),
        (sandbox.main, ["--json", str(tmp_path)], f"--json: {tmp_path} is a folder"),
        (benchmarks.main, ["bank", "--limit", "-1"], "--limit: expected at least 1, got -1"),
        (scale.main, ["--stage", "pairs"], "--stage pairs needs --data DIR"),
        (scale.main, ["--stage", "answers"], "--stage answers needs --data DIR"),
        (
            scale.main,
            ["--stage", "tokens", "--data", str(tmp_path)],
            f"{tmp_path} has no pairs yet: run the stage before it",
        ),
        (scale.main, ["--data", str(tmp_path)], "--data has no effect without --stage"),
        (scale.main, ["--sizes", "1"], "--sizes: expected at least 2, got 1"),
        (kills.main, ["--kills", "60"], "--kills: expected fewer than the run's 60 steps, got 60"),
        (scaling.main, ["one", "--shapes", "9B"], "--shapes: invalid choice: '9B'"),
        (scaling.main, ["one"], "the following arguments are required: --tokenizer"),
        (scaling.main, ["equality", "--devices", "1"], "--devices: expected at least 2, got 1"),
        (scaling.main, ["equality", "--shapes", "7B"], "unrecognized arguments: --shapes 7B"),
        (scaling.main, ["devices", "--tokenizer", "t", "--against", str(rows)], "--against: expected files that"),
        (step.main, ["--tokenizer", "t", "--shapes", "1.5B,9B"], "--shapes: '9B' is none of"),
        (lengths.main, ["--tokenizer", "t", "--ways", "eager"], "--ways: invalid choice: 'eager'"),
        (lengths.main, ["--tokenizer", "t", "--pairs", "1"], "--pairs: expected at least 2, got 1"),
        (short_run.main, ["--tokenizer", "t"], "the following arguments are required: --pairs-file"),
        (
            code_pairs.main,
            [str(tmp_path / "pairs.json"), "--pairs", "99999"],
            "--pairs: 99999 pairs asked for, but this Python",
        ),
        (generate.main, [f"paths.data={tmp_path}"], "give a folder that is not there yet"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert message in capsys.readouterr().err


def test_options_of_a_benchmark_are_those_of_the_commands() -> None:
    assert benchmark_options(name="bank", split="validation").split == "validation"
    for said, message in (
        ({"name": "bank", "split": "foo"}, r"benchmark\.split=foo is none of"),
        ({"name": "bank", "rules": "0.3"}, r"benchmark\.rules=0\.3 has no effect with benchmark=bank"),
    ):
        with pytest.raises(UserError, match=message):
            benchmark_options(**said)


def test_a_bench_that_measures_a_run_ends_where_the_run_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ended with 2 before a model had answered"):
        generate.main([f"paths.data={tmp_path / 'new'}", "generate=nothing"])
    with pytest.raises(UserError, match=r"ended with 2: python -m iterpref\.train .*foo=bar says why"):
        kills.main(["foo=bar", "--out", str(tmp_path / "kills.json")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected a JSON list of objects"), ('[{"prompt": 1}]', "expected a JSON list"), ("{}", "expected a JSON list"),
        ('[{"prompt": "p", "chosen": "a = 1", "rejected": "a = 2"}]', "2 pairs are asked for, and it has 1"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_pairs_for_a_bench_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    file.write_text(text)
    with pytest.raises(UserError, match=rf"--pairs-file .*pairs\.json: {message}"):
        read_pairs(file, 2)
    with pytest.raises(UserError, match="FileNotFoundError"):
        read_pairs(tmp_path / "absent.json", 2)
