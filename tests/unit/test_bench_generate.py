"""Rates of the answers of a model on this machine, by hand-made samples."""

from __future__ import annotations

import sys

import pytest

from iterpref.bench.generate import Sample, rates, watch


def test_the_clock_runs_from_the_first_work_of_the_gpu_to_the_last_answer() -> None:
    samples = [
        Sample(0.0, 0, 0, 0.0), Sample(4.0, 0, 0, 0.5), Sample(5.0, 20, 900, 1.0), Sample(6.0, 40, 2000, 0.9),
        Sample(7.0, 40, 2000, 0.0), Sample(9.0, 40, 2000, None),
    ]  # fmt: skip
    found = rates(samples)
    assert (found["seconds"], found["seconds_answering"], found["answers"]) == (9.0, 2.0, 40)
    assert (found["calls_per_s"], found["tokens_per_s"]) == (20.0, 1000.0)
    assert found["gpu_share"] == pytest.approx(0.8)


def test_without_a_gpu_the_clock_runs_from_the_start_and_no_share_is_told() -> None:
    found = rates([Sample(0.0, 0, 0, None), Sample(2.0, 10, 100, None), Sample(3.0, 10, 100, None)])
    assert (found["calls_per_s"], found["tokens_per_s"], found["gpu_share"]) == (5.0, 50.0, None)


def test_a_command_that_answers_nothing_is_watched_to_its_end(tmp_path) -> None:
    code, samples = watch([sys.executable, "-c", "raise SystemExit(2)"], tmp_path / "none")
    assert code == 2
    assert samples[-1].answers == 0
    assert rates(samples)["answers"] == 0
