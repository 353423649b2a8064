"""`debug=...`: each does what its first line asks."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from iterpref.registry import LINKS


@pytest.fixture(autouse=True)
def _ours_alone() -> Iterator[None]:
    """What a test registers is gone after it."""
    yield
    for name in set(LINKS) - set(LINKS.built_in):
        LINKS.remove(name)


def losses(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as handle:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(handle) if row["train/loss"]]


def test_fast_goes_from_end_to_end_in_one_step(tmp_path: Path, train: Callable[..., None]) -> None:
    from iterpref.evaluate import main as evaluate

    train("debug=fast", "paths.run=run")
    evaluate([str(tmp_path / "run")])
    assert len(losses(tmp_path / "run")) == 1
    assert (tmp_path / "run" / "export" / "model.safetensors").is_file()
    assert json.loads((tmp_path / "run" / "evaluation" / "after.json").read_text())["pass_at_1"] is None
    assert not (tmp_path / "run" / "wandb").exists()


def test_overfit_learns_its_four_pairs(tmp_path: Path, train: Callable[..., None]) -> None:
    train(
        "debug=overfit",
        "problems.limit=8",
        "data.global_batch=4",
        "data.micro_batch=4",
        "data.max_train_pairs=4",
        "paths.run=run",
        "debug.samples=2",
    )
    first, *_, last = losses(tmp_path / "run")
    assert last["train/preference_loss"] < 1e-3 < 0.5 < first["train/preference_loss"]
    assert (first["train/accuracy"], last["train/accuracy"]) == (0.5, 1)
    assert last["train/nll"] < 0.9 * first["train/nll"]
    assert last["train/lr"] == first["train/lr"]


def test_profile_says_where_the_time_went(tmp_path: Path, train: Callable[..., None]) -> None:
    train("debug=profile", "trainer.epochs=8", "paths.run=run")
    folder = tmp_path / "run" / "profile"
    assert len(losses(tmp_path / "run")) == 8
    assert "aten::mm" in (folder / "operations.txt").read_text()
    steps = [
        e
        for e in json.loads((folder / "trace.json").read_text())["traceEvents"]
        if "Optimizer.step" in e.get("name", "")
    ]
    assert len(steps) == 4


def broken(name: str, at: int, value: Callable[[torch.Tensor], torch.Tensor]) -> str:
    """A loss that is a margin until its call `at`; the name of it."""
    calls: list[int] = []

    @LINKS.register(name)
    def link(k_plus_P: torch.Tensor, k_minus_P: torch.Tensor, config: object) -> torch.Tensor:
        calls.append(1)
        margin_P = k_plus_P - k_minus_P
        return value(margin_P) if len(calls) == at else margin_P

    return name


def test_nan_stops_at_the_first_loss_that_is_none_and_names_step_and_pairs(
    train: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    name = broken("broken_loss", 3, lambda margin_P: margin_P * math.nan)  # the second call is the validation's
    with pytest.raises(SystemExit) as stopped:
        train("debug=nan", f"loss.link={name}", "loss.alpha=0", "paths.run=run")
    assert stopped.value.code == 2
    assert re.search(r"optimizer step 1, pairs bank/\S+, bank/\S+: the loss is nan", capsys.readouterr().err)


def test_nan_names_the_operation_whose_gradient_is_none(tmp_path: Path, train: Callable[..., None]) -> None:
    # sqrt at 0 has a value, and an infinite slope; times 0 that is no number.
    name = broken("broken_gradient", 1, lambda margin_P: (margin_P * 0).clamp(min=0).sqrt() * 0)
    with pytest.raises(RuntimeError, match="SqrtBackward0"):
        train("debug=nan", f"loss.link={name}", "loss.alpha=0", "paths.run=run")
    assert re.search(
        r"optimizer step 0, pairs bank/\S+, bank/\S+: Function 'SqrtBackward0' returned nan",
        (tmp_path / "run" / "train.log").read_text(),
    )
