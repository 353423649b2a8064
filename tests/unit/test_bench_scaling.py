"""The bookkeeping of two benches: what is compared, and that a row that fails costs no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from iterpref.bench import kills, scaling
from iterpref.errors import UserError


def test_a_cell_that_fails_is_followed_by_the_next_in_a_new_group(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = []

    def launch(config: Any, run: Path, command: tuple[str, ...]) -> None:
        job = Path(command[2])
        cells = json.loads(job.read_text())["cells"]
        groups.append([cell["name"] for cell in cells])
        for number, cell in enumerate(cells):
            ranks = range(1 if cell["name"] == "bad" else config.trainer.devices)
            for rank in ranks:
                (job.parent / f"{number}-{rank}.json").write_text(json.dumps({"name": cell["name"], "rank": rank}))
            if cell["name"] == "bad":
                raise UserError("rank 1 of 2 was killed by signal 9")

    monkeypatch.setattr(scaling, "launch", launch)
    found = scaling.run_cells([{"name": n} for n in ("first", "bad", "last")], 2)
    assert groups == [["first", "bad", "last"], ["last"]]
    assert [[r.get("name") for r in ranks] for ranks in found] == [["first"] * 2, ["bad", None], ["last"] * 2]
    assert "error" in scaling._row({"shape": "7B"}, found[1])
    assert scaling._row({"shape": "7B"}, [{"peak_gib": 1.0}, {"peak_gib": 2.0}])["peak_gib"] == 2.0


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
    torch.save(one, tmp_path / "auto.pt")
    torch.save(other, tmp_path / "ddp.pt")
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
