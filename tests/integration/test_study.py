"""A small study through the real commands: run, cut off, gone on with, and told in tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from iterpref.run_folder import alone
from iterpref.study.__main__ import main

PAIRS = Path(__file__).parents[1] / "data/codeflow_shape.json"
STUDY = {
    "model": ["model=tiny", "model.layers=1"],
    "train": ["experiment=smoke", "pairs={pairs}", "pairs.test_share=0.2", "data.max_train_pairs=8", "logger=csv"],
    "arms": {"sft": ["loss=sft"], "target_dpo": ["loss=target_dpo"]},
    "variants": {"sharp": {"of": "target_dpo", "change": ["loss.beta=0.5"]}},
    "seeds": [1],
    "tune": {"lrs": [1e-3], "by": "small", "also": ["large"], "beyond": [2e-3]},
    "evaluations": {
        "small": ["benchmark=bank", "benchmark.limit=1", "evaluate.max_new_tokens=4"],
        "large": ["benchmark=bank", "benchmark.limit=2", "evaluate.max_new_tokens=4"],
    },
    "compared": ["large"],
    "held_out": {"own": [], "real": ["evaluate.pairs={real}"]},
    "baseline": "sft",
    "against": {"sharp": ["sft"]},
}
BEFORE_RATES = ["--phase", "start,tune,main,variants"]


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped_and_its_tables_come_out_of_the_records(
    tmp_path: Path, commands_here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(STUDY))
    real = tmp_path / "real.json"
    real.write_text(json.dumps(json.loads(PAIRS.read_text())[:12]))
    command = ["run", str(file), "--out", str(out), "--file", f"pairs={PAIRS}", "--file", f"real={real}"]
    main([*command, "--phase", "tune", "--arms", "sft", "--", "trainer.epochs=1"])
    assert [path.name for path in (out / "records").iterdir()] == ["tune-sft-lr0.001.json"]
    first = (out / "records/tune-sft-lr0.001.json").read_bytes()

    # What a kill leaves: a folder of work without a record, here of a job that had not come to its checkpoint.
    (out / "work/main-sft-seed1/run").mkdir(parents=True)
    main([*command, *BEFORE_RATES, "--parallel", "2", "--", "trainer.epochs=1"])
    names = sorted(path.stem for path in (out / "records").iterdir())
    assert names == [
        "main-sft-seed1", "main-target_dpo-seed1", "start", "tune-sft-lr0.001", "tune-target_dpo-lr0.001", "variants-sharp-seed1",
    ]  # fmt: skip
    assert (out / "records/tune-sft-lr0.001.json").read_bytes() == first
    assert not any(path.is_dir() for path in (out / "work").iterdir())
    record = json.loads((out / "records/main-sft-seed1.json").read_text())
    assert record["lr"] == 1e-3
    assert set(record["benchmarks"]["large"]["tasks"].values()) <= {0.0, 1.0}
    assert record["run"]["pairs"]["test"] > 0
    assert str(tmp_path) not in json.dumps(record)
    assert record["held_out"]["own"]["after"]["n_pairs"] == record["run"]["pairs"]["test"]
    assert 0 < record["held_out"]["real"]["after"]["n_pairs"] < 12
    assert any("val/focal_accuracy" in row for row in record["curve"])
    before = {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    main([*command, *BEFORE_RATES, "--", "trainer.epochs=1"])
    assert before == {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()}

    main([*command, "--phase", "rates", "--arms", "sft", "--", "trainer.epochs=1"])
    after = {path.stem: json.loads(path.read_text()) for path in (out / "records").glob("rates-*")}
    assert sorted(after) == ["rates-sft-lr0.001", "rates-sft-lr0.002"]
    assert all(list(one["benchmarks"]) == ["large"] and not one["held_out"] for one in after.values())

    capsys.readouterr()
    main(["table", str(file), "--out", str(out)])
    told = capsys.readouterr().out
    assert "| target_dpo | 1 | 0.001 |" in told
    assert "| sharp | target_dpo |" in told
    assert "| sharp | sft |" in told
    assert "| arm | 0.001 | 0.002 (not tuned) | highest | chosen by tuning |" in told
    assert "8 jobs" in told
    assert (out / "likelihood.png").stat().st_size > 5000
    assert json.loads((out / "study.json").read_text())["arms"]["target_dpo"]["against"]["sft"]["large"]["n_tasks"] == 2
    packed = tmp_path / "small.jsonl.xz"
    main(["pack", str(file), str(packed), "--out", str(out)])
    capsys.readouterr()
    main(["table", str(file), "--out", str(tmp_path / "tables"), "--records", str(packed)])
    assert capsys.readouterr().out == told
    assert (tmp_path / "tables/study.json").read_bytes() == (out / "study.json").read_bytes()


def test_mistakes_end_with_a_sentence(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    (here / "empty").mkdir()
    (here / "other.jsonl").write_text('{"prompt": 1}\n')
    (here / "test.jsonl").write_text('{"prompt": "p", "chosen": "a = 1\\n", "rejected": "a = 2\\n", "split": "test"}\n')
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"arms": {"sft": ["loss=sft"], "target_dpo": ["loss=target_dpoo"]}}))
    other = tmp_path / "other.yaml"
    absent = {"small": ["benchmark=bank"], "large": ["benchmark=mbpp", "benchmark.path=absent.jsonl"]}
    other.write_text(yaml.safe_dump(STUDY | {"evaluations": absent}))
    bare = tmp_path / "bare.yaml"
    bare.write_text(yaml.safe_dump(STUDY | {"tune": {"lrs": [1e-3], "by": "small"}}))
    given = ["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--phase", "main"]
    for arguments, message in (
        (["run", str(file), "--out", str(tmp_path)], "add --file pairs=PATH"),
        (["run", str(file), "--out", str(tmp_path), "--file", "pairs"], "expected NAME=PATH"),
        (["run", str(file), "--out", str(tmp_path), "--file", "pairs=absent.json"], "absent.json is not there"),
        (["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--arms", "dpo"], "--arms dpo"),
        (
            ["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--file", f"pear={PAIRS}"],
            "names no {pear}",
        ),
        (["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--phase", "tun"], "--phase tun"),
        (["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--parallel", "0"], "--parallel 0"),
        (
            ["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--minutes", "0"],
            "--minutes 0: expected a time",
        ),
        (["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--minutes", "nan"], "--minutes nan"),
        (
            ["run", str(file), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--arms", ""],
            "--arms : the study has sft",
        ),
        (["run", str(file), "--out", str(tmp_path), *["--file", f"pairs={PAIRS}"] * 2], "give one path"),
        (
            [
                "run",
                str(file),
                "--out",
                str(tmp_path),
                "--file",
                f"pairs={PAIRS}",
                "--phase",
                "tune",
                "--arms",
                "sharp",
            ],
            "no job of",
        ),
        (["run", str(bare), "--out", str(tmp_path), "--file", f"pairs={PAIRS}", "--phase", "rates"], "add tune.also"),
        (["table", str(file), "--out", str(tmp_path)], "no record of a job yet"),
        (
            [*given[:4], "--file", "pairs=empty"],
            "nothing has run yet: tune-sft-lr0.001 has a command that cannot run: train",
        ),
        ([*given[:4], "--file", "pairs=other.jsonl"], "has no column 'chosen'"),
        ([*given[:4], "--file", "pairs=test.jsonl"], "there is no training pair among 1"),
        ([*given, "--file", "real=other.jsonl"], "main-sft-seed1 has a command that cannot run: evaluate"),
        (given, "main-target_dpo-seed1 has a command that cannot run: train"),
        (["run", str(other), *given[2:]], "main-sft-seed1 has a command that cannot run: evaluate"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"study.yaml", "other.yaml", "bare.yaml"}


def test_two_at_once_do_not_run_the_same_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("iterpref.run_folder._PATIENCE_S", 0.0)
    monkeypatch.setattr("iterpref.study.schedule.check_commands", lambda jobs: None)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    out = tmp_path / "out"
    with alone(out), pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "study.yaml"), "--out", str(out), "--file", f"pairs={PAIRS}"])
    assert end.value.code == 2
    assert f"another process runs a study in {out}: wait for it, or choose another --out DIR" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [".lock"]
