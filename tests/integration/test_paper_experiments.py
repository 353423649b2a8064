"""Each `experiment=paper/...` by the command in its own header, with a tiny model where a user puts a 7B one.

In this process, on one prepared data folder: what is tested is that the YAML trains, not how long Python takes to start.
"""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from iterpref.artifacts import find
from iterpref.bench.chat_server import ChatServer, Reply, Request, answer
from iterpref.cli import CONFIG_DIR
from iterpref.codeflow.problems import load_problems
from iterpref.config import ModelConfig
from iterpref.config.codeflow import ProblemsConfig
from iterpref.schema import PreferencePair

pytestmark = pytest.mark.usefixtures("commands_here")
# Those that name a model want its weights: tests/unit/test_memory.py.
FILES = {
    path.stem: path
    for group in ("experiment", "sweep")
    for path in (CONFIG_DIR / group / "paper").glob("*.yaml")
    if "\nmodel:" not in path.read_text()
}
EXPERIMENTS = sorted(FILES)
STEPS = 2
SMALL = [
    "trainer=cpu_exact", "logger=csv", "problems.limit=4", "sandbox.cpu_s=0.5", "data.global_batch=2", "data.micro_batch=1",
    f"trainer.max_steps={STEPS}", "optim.lr=1e-3",
]  # fmt: skip
BUGS = ["debug.samples=1", "generate.bugs_max=2", "generate.wrong_repair=0"]
SAMPLES = ["debug.samples=3", "debug.repeat=1"]  # of a language model, which may pass or fail
SWEEPS = {"beta": {0.1, 0.3, 0.5}, "alpha": {1.0, 3.0, 5.0}}  # configs/sweep/paper/

# (mask.chosen, mask.rejected, preference, alpha, side of the NLL) under reading=paper, and what else makes the experiment.
TARGET = ("full", "focal")
WANTED: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "dpo": (("full", "full", 1, 0, "chosen"), {}),
    "rpo": (("full", "full", 1, 1, "chosen"), {}),
    "target_dpo": ((*TARGET, 1, 0, "chosen"), {"mask.full_share": 0}),
    "target_rpo": ((*TARGET, 1, 1, "chosen"), {"loss.nll": "sum", "loss.beta": 0.1}),
    "sft_chosen": ((*TARGET, 0, 1, "chosen"), {}),
    "sft_rejected": ((*TARGET, 0, 1, "rejected"), {}),
    "hybrid_dpo": ((*TARGET, 1, 0, "chosen"), {"mask.full_share": 0.5}),
    "hybrid_rpo": ((*TARGET, 1, 1, "chosen"), {"mask.full_share": 0.5}),
    "diffaug_dpo": (("full", "diff_aug", 1, 0, "chosen"), {"mask.context_min": 1, "mask.context_max": 2}),
    "diffaug_rpo": (("full", "diff_aug", 1, 1, "chosen"), {"mask.context_min": 1, "mask.context_max": 2}),
    "symmetric": (("focal", "focal", 1, 0, "chosen"), {}),
    "prefix_suffix": ((*TARGET, 1, 0, "chosen"), {"pairs.diff": "prefix_suffix"}),
    "negatives_first": ((*TARGET, 1, 0, "chosen"), {"pairs.negative": "first"}),
    "negatives_last": ((*TARGET, 1, 0, "chosen"), {"pairs.negative": "last"}),
    "negatives_random": ((*TARGET, 1, 0, "chosen"), {"pairs.negative": "random"}),
    "sampling": ((*TARGET, 1, 0, "chosen"), {"pairs.by": "sampling", "debug.max_refinements": 0}),
    "beta": ((*TARGET, 1, 0, "chosen"), {}),
    "alpha": ((*TARGET, 1, None, "chosen"), {"loss.beta": 0.1}),
}


def header(name: str) -> dict[str, str]:
    """The labelled lines that a YAML opens with, continuation lines joined."""
    found: dict[str, str] = {}
    for line in FILES[name].read_text().splitlines():
        if not line.startswith("#"):
            break
        label, colon, text = line[2:].partition(": ")
        if colon and label in ("Source", "Measured", "Cost", "Run"):
            found[label] = text
        elif line.startswith("#   "):
            found[list(found)[-1]] += " " + line[4:]
    return found


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_its_source_its_figure_its_cost_and_its_command(name: str) -> None:
    lines = header(name)
    assert list(lines) == ["Source", "Measured", "Cost", "Run"]
    assert "arXiv 2503.02783" in lines["Source"]
    assert any(character.isdigit() for character in lines["Measured"]) or "no figure" in lines["Measured"]
    group = FILES[name].parents[1].name
    assert lines["Run"].startswith(f"python -m iterpref.train {group}=paper/{name} model=pretrained model.path=DIR")


def test_an_experiment_holds_no_value_of_a_small_machine() -> None:
    """The same file must serve 7B: sizes, lengths, rates and hardware come from the reading and the command line."""
    allowed = {"defaults", "name", "mask", "pairs", "hydra", "debug"}
    for name in EXPERIMENTS:
        assert set(yaml.safe_load(FILES[name].read_text())) <= allowed, name


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared data folder; beside it a tiny model as a folder of one's own, like any pretrained one."""
    from iterpref.models.source import resolve_model

    place = tmp_path_factory.mktemp("paper")
    made = resolve_model(ModelConfig(source="tiny", hidden=32, layers=1), place / "data", seed=0)
    shutil.copytree(made, place / "DIR")
    return place / "data"


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """Stands in for a language model: of its answers to one task the second passes, and the others lack a return."""
    tasks = {p.prompt: p.reference for p in load_problems(ProblemsConfig(limit=4))}
    asked: Counter[str] = Counter()

    def sample(request: Request, n: int) -> Reply:
        (task,) = (prompt for prompt in tasks if prompt in request["messages"][-1]["content"])
        asked[task] += 1
        texts = [(f.name, f.text if asked[task] == 2 else f.text.replace("return ", "", 1)) for f in tasks[task]]
        return answer("".join(f"<file>{name}</file>\n```python\n{text}```\n" for name, text in texts))

    with ChatServer(sample) as server:
        yield server.url


def run(name: str, data: Path, folder: Path, *more: str, model_url: str = "") -> list[Path]:
    """The header's command, small; the run folders it made."""
    from iterpref.train import main

    words = shlex.split(header(name)["Run"])
    assert words[:3] == ["python", "-m", "iterpref.train"]
    given = {"DIR": str(data.parent / "DIR"), "NAME": "stand-in", "URL": model_url}
    command = [f"{key}={given.get(value, value)}" for key, _, value in (word.partition("=") for word in words[3:])]
    command += SAMPLES if "generate=openai" in command else BUGS
    place = [f"hydra.sweep.dir={folder}"] if name in SWEEPS else [f"paths.run={folder}"]
    main([*command, *SMALL, f"paths.data={data}", *place, *more])
    return sorted(path.parent for path in folder.rglob("done.json"))


def value(config: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


def columns(run_folder: Path) -> list[dict[str, float]]:
    with (run_folder / "metrics.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return [{k: float(v) for k, v in row.items() if v} for row in rows if row["train/loss"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_command_in_its_header_trains(name: str, data: Path, tmp_path: Path, model_url: str) -> None:
    runs = run(name, data, tmp_path / "run", model_url=model_url)
    swept = {f"loss.{name}={value:g}" for value in SWEEPS.get(name, ())}
    assert {folder.name for folder in runs} == (swept or {"run"})
    (chosen, rejected, preference, alpha, side), others = WANTED[name]
    for folder in runs:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        loss = config["loss"]
        assert (config["mask"]["chosen"], config["mask"]["rejected"]) == (chosen, rejected)
        assert (loss["preference"], loss["nll_side"], loss["link"]) == (preference, side, "sigmoid")
        assert alpha is None or loss["alpha"] == alpha
        assert {key: value(config, key) for key in others} == others
        logged = columns(folder)
        assert len(logged) == STEPS
        # The policy starts as its own reference: every margin is zero, and the preference term log 2.
        assert not preference or logged[0]["train/preference_loss"] == pytest.approx(math.log(2), abs=1e-3)
        weights = {"train/preference_loss": loss["preference"], "train/nll": loss["alpha"]}
        for row in logged:
            combined = sum(weight * row[term] for term, weight in weights.items() if weight)
            assert row["train/loss"] == pytest.approx(combined, rel=1e-4)
            assert row["train/grad_norm"] > 0
        assert (folder / "export" / "model.safetensors").is_file()
        assert math.isfinite(json.loads((folder / "done.json").read_text())["metrics"]["val/loss"])


@pytest.mark.slow
def test_pairs_by_sampling_hold_a_sample_that_passed_and_one_that_failed(
    data: Path, tmp_path: Path, model_url: str
) -> None:
    (folder,) = run("sampling", data, tmp_path / "run", model_url=model_url)
    made = json.loads((folder / "run.json").read_text())["data"]
    stages = {name: find(data / name, made[name]) for name in ("trajectories", "pairs")}
    assert stages["trajectories"].manifest["counts"]["status"] == {"solved_at_once": 4, "unsolved": 8}
    pairs = stages["pairs"].read("pairs", PreferencePair)
    assert len(pairs) == 4
    for pair in pairs:
        assert {pair.chosen_iter, pair.rejected_iter} < {0, 1, 2}
        assert pair.chosen.count("return ") == pair.rejected.count("return ") + 1
        assert len(pair.d_minus) == 1


@pytest.mark.slow
def test_a_sweep_names_its_runs_and_the_command_line_has_the_last_word(data: Path, tmp_path: Path) -> None:
    # max_steps=1: another configuration than that of the test above, so that these runs are made here.
    (folder,) = run("beta", data, tmp_path / "sweep", "loss.beta=0.2", "trainer.max_steps=1")
    assert folder.name == "loss.beta=0.2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides", "told"),
    [
        ("sft_rejected", [], "plain fine-tuning on y\u2212 (SFT); in the metrics, K+ counts"),
        ("target_dpo", ["loss.link=ipo", "loss.length_normalised=true"], "Target-DPO (ipo link, \u03b2 0.1, means per token)"),
    ],
)  # fmt: skip
def test_evaluation_and_report_know_the_loss(
    name: str, overrides: list[str], told: str, data: Path, tmp_path: Path
) -> None:
    from iterpref.evaluate import main as evaluate
    from iterpref.report import main as report

    (folder,) = run(name, data, tmp_path / "run", *overrides)
    evaluate([str(folder), "evaluate.pass_at_1=false"])
    report([str(folder)])
    before, after = (json.loads((folder / "evaluation" / f"{label}.json").read_text()) for label in ("before", "after"))
    assert before["preference"]["margin"]["mean"] == 0
    assert after["preference"]["margin"]["mean"] != 0
    page = (folder / "report.html").read_text()
    assert told in page
    assert ("so the loss pushes it down" in page) == (name == "target_dpo")
    # Of one held-out pair the page says what the table says: K+ - K- with the normalisation of the loss.
    (row,) = [json.loads(line) for line in (folder / "evaluation" / "pairs.jsonl").read_text().splitlines()]
    assert row["k_plus"] - row["k_minus"] == pytest.approx(after["preference"]["margin"]["mean"], abs=1e-6)


def test_every_experiment_of_the_paper_has_its_row_in_this_test() -> None:
    assert set(WANTED) == set(EXPERIMENTS)
