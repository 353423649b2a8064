"""The order of a sweep's jobs and what a reader sees of them; and that one process runs a sweep."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from iterpref.config.sweep import METRICS, best_first, scale_changed_by
from iterpref.errors import UserError
from iterpref.markdown import markdown_table
from iterpref.run_record import write_whole
from iterpref.sweeps.leaderboard import as_csv, as_markdown, draw, publish, show
from iterpref.sweeps.record import SweepRecord


def record(folder: Path, metric: str, *values: float | None) -> SweepRecord:
    """A finished job for each value; a job without one failed."""
    made = SweepRecord(folder, metric, "iterpref-train -m loss.beta=1,2")
    for number, value in enumerate(values):
        row = made.add(number, f"job{number}", {"loss.beta": number / 10})
        row.state = "failed" if value is None else "finished"
        row.metrics = {} if value is None else {metric: value}
        row.reason = "a|b" if value is None else ""
    return made


@pytest.mark.parametrize(
    ("metric", "values", "order"),
    [
        ("val/loss", (2.0, 1.0, None, 3.0), [1, 0, 3, 2]),
        ("val/focal_accuracy", (0.5, 0.9, None, 0.5), [1, 0, 3, 2]),  # of equal ones the first comes first
        ("val/focal_margin", (math.nan, -1.0), [1, 0]),
    ],
)
def test_jobs_are_ranked_by_the_metrics_better_side(
    metric: str, values: tuple[float | None, ...], order: list[int], tmp_path: Path
) -> None:
    assert [row.number for row in record(tmp_path, metric, *values).ranked()] == order


def test_csv_and_markdown_have_ranks_values_and_the_reason_of_a_failure(tmp_path: Path) -> None:
    made = record(tmp_path, "val/loss", 2.0, None, 1.0)
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [(r["rank"], r["loss.beta"], r["val/loss"], r["state"], r["reason"], r["folder"]) for r in rows] == [
        ("1", "0.2", "1.0", "finished", "", "job2"),
        ("2", "0.0", "2.0", "finished", "", "job0"),
        ("", "0.1", "", "failed", "a|b", "job1"),
    ]
    text = as_markdown(made)
    assert "lower is better" in text
    assert "|  | 0.1 |  | failed: a\\|b |" in text


def test_a_cell_of_any_text_stays_one_cell() -> None:
    text = markdown_table(("step", "count"), [("a|b", 1), ("two\nlines", None)])
    assert text.split("\n") == ["| step | count |", "|---|---|", "| a\\|b | 1 |", "| two lines | None |"]


def test_brackets_in_a_reason_are_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = record(tmp_path, "val/loss", 2.0, None)
    made.rows["job1"].reason = "no such file [/a] or [red]"
    show(made)
    told = " ".join(capsys.readouterr().out.split())
    assert "[/a]" in told
    assert "[red]" in told


def test_a_sweep_without_any_result_is_published_without_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(record(tmp_path, "val/loss", None, None))
    assert "failed: a|b" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["leaderboard.csv", "leaderboard.md"]


def test_swept_words_and_numbers_are_drawn(tmp_path: Path) -> None:
    made = record(tmp_path, "val/focal_accuracy", 0.1, 0.5, 0.9)
    for row, rule in zip(made.rows.values(), ("paper", "full", "soft"), strict=True):
        row.swept |= {"mask": rule, "trainer.deterministic": True}
    draw(made)
    assert (tmp_path / "leaderboard.png").stat().st_size > 5000


def test_the_record_comes_back_as_it_was_and_tells_what_became_of_a_job(tmp_path: Path) -> None:
    made = record(tmp_path, "val/loss", 2.0, None)
    made.add(2, "job2", {"loss.beta": 3})
    made.add(3, "job3", {"loss.beta": 4})
    done: dict[str, Any] = {"config": "k", "metrics": {"val/loss": 0.5}, "pruned": None}
    for name, pruned in (("job2", None), ("job3", 4)):
        (tmp_path / name).mkdir()
        write_whole(tmp_path / name / "done.json", json.dumps({**done, "pruned": pruned}))
    assert [made.settle(f"job{i}").state for i in (2, 3)] == ["finished", "pruned"]
    assert made.settle("job1").reason == "it ended without a result"
    assert made.settle("job2", "it broke").state == "failed"
    made.write()
    assert SweepRecord.read(tmp_path).rows == made.rows
    with pytest.raises(UserError, match="is no sweep"):
        SweepRecord.read(tmp_path / "nowhere")


def test_a_metric_of_the_loss_compares_no_losses() -> None:
    assert scale_changed_by("val/loss", ["optim.lr", "loss.beta"]) == "loss.beta"
    assert scale_changed_by("val/margin", ["mask"]) == "mask"
    assert scale_changed_by("val/loss", ["optim.lr"]) is None
    assert all(scale_changed_by(m, ["loss.beta"]) is None for m in METRICS if "focal" in m or "accuracy" in m)
    assert best_first("val/loss", None) == math.inf
