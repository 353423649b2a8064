"""What a run leaves in its offline wandb file: read back, record by record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.test_eval_tasks import humaneval_row, written

from iterpref.config.sweep import METRICS

from .wandb_file import OfflineRun, offline_runs


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"folder": tmp_path_factory.mktemp("tracked")}


@pytest.fixture
def run(tracked: dict[str, Any], train: Callable[..., None]) -> OfflineRun:
    """One run with two validations, trained and evaluated once for this module."""
    if "run" not in tracked:
        from iterpref.evaluate import main as evaluate

        place = f"paths.run={tracked['folder'] / 'run'}"
        train("logger.wandb=offline", "logger.tags=[mine]", "logger.pairs=2", "optim.lr=1e-2", place)
        evaluate([str(tracked["folder"] / "run"), "evaluate.pass_at_1=false", "evaluate.split=validation"])
        tracked["run"], tracked["evaluation"] = offline_runs(tracked["folder"])
    return tracked["run"]


@pytest.fixture
def folder(run: OfflineRun, tracked: dict[str, Any]) -> Path:
    return tracked["folder"] / "run"


def test_the_config_is_the_resolved_one(run: OfflineRun) -> None:
    assert run.config["loss"]["beta"] == 0.1
    assert run.config["optim"]["lr"] == 1e-2
    assert run.config["name"] == "smoke"
    assert not any("${" in json.dumps(value) for value in run.config.values())


def test_the_run_is_named_grouped_tagged_and_ended(run: OfflineRun) -> None:
    assert (run.id, run.job_type, run.exit_code) == (run.file_id, "train", 0)
    assert set(run.tags) == {"mine", "experiment:smoke"}


def test_the_summary_has_best_and_last_values_of_what_was_logged(run: OfflineRun, folder: Path) -> None:
    done = json.loads((folder / "done.json").read_text())["metrics"]
    validated = [row for row in run.history if "val/loss" in row]
    assert len(validated) == 2
    for name, best in (("val/loss", min), ("val/focal_margin", max)):
        values = [row[name] for row in validated]
        assert values[0] != values[1]
        assert run.summary[name] == pytest.approx({best.__name__: best(values), "last": values[-1]})
        assert values[-1] == pytest.approx(done[name])


def test_the_axis_of_every_metric_is_the_optimizer_step(run: OfflineRun) -> None:
    assert run.metrics["*"].step_metric == run.metrics["val/loss"].step_metric == "trainer/global_step"
    assert [row["trainer/global_step"] for row in run.history if "train/loss" in row] == [0, 1]


def test_the_table_has_each_token_of_the_validation_pairs_before_and_after(run: OfflineRun, folder: Path) -> None:
    (reference,) = [row["validation_pairs"] for row in run.history if "validation_pairs" in row]
    # What the browser shows is the table's own artifact: rows, and a page for each side.
    (artifact,) = [a for a in run.artifacts if a.type == "run_table"]
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert all(path.is_relative_to(folder) for path in files.values())  # they travel with the run
    table = json.loads(files["validation_pairs.table.json"].read_text())
    assert reference["nrows"] == len(table["data"]) > 0
    for cells in table["data"]:
        row = dict(zip(table["columns"], cells, strict=True))
        tokens = {side: json.loads(row[f"{side}_tokens"]) for side in ("rejected", "chosen")}
        # K is the sum of weighted log-ratios, after less before.
        for side, k in (("rejected", "k_minus"), ("chosen", "k_plus")):
            assert sum(t["weight"] * (t["after"] - t["before"]) for t in tokens[side]) == pytest.approx(
                row[k], abs=0.02
            )
            assert any(t["after"] != t["before"] for t in tokens[side])
        punished = [t["text"] for t in tokens["rejected"] if t["weight"]]
        assert 0 < len(punished) < len(tokens["rejected"])
        page = files[row["rejected"]["path"]].read_text()
        assert page.count('<i class="x') == len(punished)


def test_artifacts_lead_from_trajectories_to_the_evaluation(
    run: OfflineRun, tracked: dict[str, Any], folder: Path
) -> None:
    data = json.loads((folder / "run.json").read_text())["data"]
    evaluation = tracked["evaluation"]
    found = {a.name: a for a in [*run.artifacts, *evaluation.artifacts] if a.type != "run_table"}
    tokens, pairs, trajectories = (f"{kind}-{data[kind]}" for kind in ("tokens", "pairs", "trajectories"))
    model, scores = f"model-{run.id}", f"evaluation-{run.id}"
    inputs = {name: json.loads(a.metadata)["inputs"] for name, a in found.items()}
    assert inputs == {scores: [model], model: [tokens], tokens: [pairs], pairs: [trajectories], trajectories: []}
    assert {name: a.type for name, a in found.items()} == {name: name.partition("-")[0] for name in found}
    # What a run reads it uses, what it makes it logs.
    assert {a.name for a in run.artifacts if a.use_after_commit} == {trajectories, pairs, tokens}
    assert [(a.name, a.use_after_commit) for a in evaluation.artifacts] == [(model, True), (scores, False)]
    assert (evaluation.group, evaluation.job_type, evaluation.exit_code) == (run.group, "evaluation", 0)


def test_a_benchmark_has_a_run_of_its_own_with_tables_and_plots_and_a_section_in_the_report(
    run: OfflineRun, folder: Path
) -> None:
    from iterpref.evaluate import main as evaluate
    from iterpref.report import main as report

    tasks = written(folder.parent / "he.jsonl", [humaneval_row(n) for n in range(2)])
    options = ["evaluate.max_new_tokens=4", "sandbox.allow_unsafe=true"]
    evaluate([str(folder), "benchmark=humaneval", f"benchmark.path={tasks}", *options])
    (tracked,) = [r for r in offline_runs(folder.parent) if r.id == f"{run.id}-humaneval"]
    assert (tracked.group, tracked.job_type, tracked.exit_code) == (run.group, "evaluation", 0)
    assert (tracked.summary["before/base/pass@1"], tracked.summary["after/base/pass@1"]) == (0.0, 0.0)
    shown = {key for row in tracked.history for key in row}
    assert {"humaneval/humaneval", "humaneval/samples by verdict", "humaneval/tasks", "humaneval/pass"} <= shown
    tables = {
        entry.path: json.loads(Path(entry.local_path).read_text())
        for artifact in tracked.artifacts
        for entry in artifact.manifest.contents
        if entry.path.endswith("tasks.table.json")
    }
    (table,) = tables.values()
    assert table["columns"] == ["task", "model", "base: passed", "base: verdict", "base: detail"]
    assert [row[:3] for row in table["data"]] == [
        [f"HumanEval/{n}", model, False] for model in ("before", "after") for n in range(2)
    ]
    report([str(folder)])
    page = (folder / "report.html").read_text()
    assert "humaneval (unknown, 2 tasks)" in page
    assert "Of 2 tasks 0 gained, 0 lost; p = 1 (McNemar" in page.replace("&#39;", "'")
    assert "Calibration error" in page


def test_the_agents_command_is_one_of_ours(in_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    from iterpref.cli import run_command

    sweep = yaml.safe_load((Path(__file__).parents[2] / "docs" / "wandb_sweep.yaml").read_text())
    drawn = {key: {"value": p.get("values", [p.get("min")])[-1]} for key, p in sweep["parameters"].items()}
    words = {**create_sweep_command_args({"args": drawn}), "env": ["/usr/bin/env"], "program": [sweep["program"]]}
    command = [w for c in create_sweep_command(sweep["command"]) for w in words.get(c[2:-1], [c])]
    assert command[:4] == ["/usr/bin/env", "python", "-m", "iterpref.train"]
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    seen: list[Any] = []
    run_command("train", seen.append, command[4:])
    assert (seen[0].loss.beta, seen[0].loss.alpha, seen[0].optim.lr) == (0.03, 3, 1e-6)
    assert seen[0].paths.run == "runs/agent/abc123"
    assert sweep["metric"]["name"].removesuffix(".last") in METRICS
