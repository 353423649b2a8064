"""What `bench.short_run` reads out of a run, and the pairs that it trains on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iterpref.bench import code_pairs
from iterpref.bench.short_run import steps_of


def test_steps_are_read_from_the_lines_of_training_but_the_last_which_has_fewer_pairs(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    rates, peaks = (8, 64, 128, 128, 500), (1.0, 3.0, 2.0, 2.0, 9.0)
    lines = [f"{rate},{peak},{rate / 2},\n" for rate, peak in zip(rates, peaks, strict=True)]
    metrics.write_text("train/pairs_per_s,train/peak_gib,train/loss,val/loss\n" + "".join(lines) + ",,,0.5\n")
    found = steps_of(metrics)
    assert found["steps_s"] == [16.0, 2.0, 1.0, 1.0]
    assert found["losses"] == [4.0, 32.0, 64.0, 64.0]
    assert (found["pairs_per_s"], found["epoch_pairs_per_s"]) == (128.0, pytest.approx(128 * 4 / 20))
    assert found["peak_gib"] == 3.0


def test_a_run_that_logged_no_whole_step_has_none(tmp_path: Path) -> None:
    assert steps_of(tmp_path / "metrics.csv") == {}
    (tmp_path / "metrics.csv").write_text("train/pairs_per_s,train/peak_gib,train/loss\n100,1,1\n")
    assert steps_of(tmp_path / "metrics.csv") == {}


def test_a_file_of_pairs_is_the_one_that_the_benches_read(tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    code_pairs.main([str(file), "--pairs", "5"])
    assert len(json.loads(file.read_text())) == 5
    assert code_pairs.read_pairs(file, 5) == code_pairs.code_pairs(5)
