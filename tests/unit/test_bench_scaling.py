"""The bookkeeping of two benches: what is compared, and that a row that fails costs no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from iterpref.bench import exchange, kills, scaling
from iterpref.bench.step_ours import Repeated
from iterpref.errors import UserError
from iterpref.schema import Example


def test_a_cell_that_fails_is_followed_by_the_next_in_a_new_group(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = []

    def launch(config: Any, run: Path, command: tuple[str, ...]) -> None:
        job = Path(command[2])
        cells = json.loads(job.read_text())["cells"]
        groups.append([cell["name"] for cell in cells])
        for number, cell in enumerate(cells):
            ranks = range(1 if cell["name"] == "killed" else config.trainer.devices)
            for rank in ranks:
                said = {"name": cell["name"]} | ({"error": "no memory"} if cell["name"] == "fails" else {})
                (job.parent / f"{number}-{rank}.json").write_text(json.dumps(said))
            if cell["name"] in ("killed", "fails"):
                raise UserError("rank 1 of 2 ended")

    monkeypatch.setattr(scaling, "launch", launch)
    found = scaling.run_cells([{"name": n} for n in ("first", "killed", "fails", "last")], 2)
    assert groups == [["first", "killed", "fails", "last"], ["fails", "last"], ["last"]]
    names = [[r.get("name") for r in ranks] for ranks in found]
    assert names == [["first"] * 2, ["killed", None], ["fails"] * 2, ["last"] * 2]
    assert ["error" in scaling._row({"shape": "7B"}, ranks) for ranks in found[1:3]] == [True, True]
    assert scaling._row({"shape": "7B"}, [{"peak_gib": 1.0}, {"peak_gib": 2.0}])["peak_gib"] == 2.0


def test_time_without_other_kernels_is_exchange_or_waiting_for_the_slowest_rank() -> None:
    found = exchange.spans([("gemm", 0, 40), ("ncclDevKernel", 30, 60), ("add", 35, 38), ("gemm", 70, 100)])
    assert found == exchange.Spans(step_s=100e-6, computing_s=70e-6, exchanging_s=20e-6)
    # The second rank computes 10 longer in the first step, the first one 20 in the second.
    first = [exchange.Spans(100, 60, 30), exchange.Spans(100, 80, 10)]
    second = [exchange.Spans(100, 70, 20), exchange.Spans(100, 60, 30)]
    said = exchange.shares([first, second])
    assert said == pytest.approx({"computing": 0.675, "waiting": 0.075, "exchange": 0.15, "idle": 0.1})


def test_a_strategy_is_compared_with_one_device_by_the_gradient_and_by_the_way_that_weights_went(
    tmp_path: Path,
) -> None:
    one = {
        "gradients": {"w": torch.tensor([3.0, 4.0])},
        "weights": {"w": torch.tensor([2.0, 0.0])},
        "before": {"w": torch.zeros(2)},
    }
    other = {
        "gradients": {"w": torch.tensor([3.0, 4.5])},
        "weights": {"w": torch.tensor([2.0, 1.0])},
        "before": one["before"],
    }
    torch.save(one, tmp_path / "one")
    torch.save(other, tmp_path / "ddp")
    ranks = [{"digest": "a", "losses": [1.0], "norms": [5.0]}, {"digest": "b"}]
    row = scaling._against_one(tmp_path, "ddp", ranks)
    assert (row["gradient"], row["weights"], row["ranks_agree"]) == (0.1, 0.5, False)


def test_runs_are_compared_digit_by_digit_and_byte_by_byte(tmp_path: Path) -> None:
    lines = ["step,train/loss,train/grad_norm,train/lr,val/loss", "0,2.5,1.0,0.1,", "0,,,,7.0", "1,2.0,1.0,0.2,"]
    for run in ("plain", "killed"):
        (tmp_path / run / "export").mkdir(parents=True)
        (tmp_path / run / "export" / "model.safetensors").write_bytes(b"weights")
        (tmp_path / run / "metrics.csv").write_text("\n".join(lines))
    found = kills.compare(tmp_path / "plain", tmp_path / "killed")
    assert found == {"steps": [2, 2], "curves_equal": True, "largest_relative": 0.0, "weights_equal": True}
    (tmp_path / "killed" / "metrics.csv").write_text("\n".join([*lines[:3], "1,2.5,1.0,0.2,"]))
    found = kills.compare(tmp_path / "plain", tmp_path / "killed")
    assert (found["curves_equal"], found["largest_relative"]) == (False, 0.25)


def test_each_epoch_of_a_timed_run_has_the_same_passes(make_examples: Callable[..., list[Example]]) -> None:
    def make_batch(group: list[Example], step_pairs: int) -> Any:
        return group

    pairs = Repeated(make_examples(9), make_batch, global_batch=4, micro_batch=2, seed=0)
    assert list(pairs.plan(3)) == list(pairs.plan(0)) != list(super(Repeated, pairs).plan(3))
    assert list(pairs.plan(3, 2)) == list(pairs.plan(0))[2:]


def test_efficiency_is_against_one_device_of_the_same_run_or_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {1: 10.0, 2: 18.0, 4: 32.0}

    def run_cells(cells: list[dict[str, Any]], devices: int) -> list[list[dict[str, Any]]]:
        return [[{"free_pairs_per_s": speeds[devices], "peak_gib": 1.0}] * devices for _ in cells]

    monkeypatch.setattr(scaling, "run_cells", run_cells)
    rows = list(scaling.scaling([4, 1], ["7B"], ["ddp", "fsdp2"], {}))
    assert [(r["devices"], r["strategy"], r.get("efficiency")) for r in rows] == [
        (1, "auto", None),
        (4, "ddp", pytest.approx(0.8)),
        (4, "fsdp2", pytest.approx(0.8)),
    ]
    (later,) = scaling.scaling([2], ["7B"], ["ddp"], {}, before=rows)
    assert later["efficiency"] == pytest.approx(0.9)
    (alone,) = scaling.scaling([2], ["1.5B"], ["ddp"], {}, before=rows)
    assert "efficiency" not in alone
