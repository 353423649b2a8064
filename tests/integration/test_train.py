"""`python -m iterpref.train` from tasks to an exported model, once for real; then what happens around that run.

One prepared data folder serves all of them, so that the sandbox works only once.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iterpref import run_folder
from iterpref.config import Config
from iterpref.errors import UserError

HEAVY = ("torch", "transformers", "lightning", "datasets", "wandb", "triton")
# Two steps of two micro-batches an epoch, two epochs.
OVERRIDES = ["experiment=smoke", "problems.limit=4", "data.global_batch=2", "data.micro_batch=1", "model.hidden=32"]

# A policy that kills its own process in the third micro-batch of the second epoch, one logged step after the checkpoint.
KILLED = """
import os, signal, sys
from iterpref.models.module import FocalDPOModule

step = FocalDPOModule.training_step

def training_step(self, batch, batch_idx):
    if self.trainer.current_epoch == 1 and batch_idx == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

FocalDPOModule.training_step = training_step
from iterpref.train import main
main(sys.argv[1:])
"""
LOADED = f"""
import sys
from iterpref.train import main
try:
    main(sys.argv[1:])
finally:
    print("LOADED", [name for name in {HEAVY!r} if name in sys.modules])
"""


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # One thread: the runs are compared to the bit.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def overrides(work: Path, run: str) -> list[str]:
    return [*OVERRIDES, f"paths.data={work / 'data'}", f"paths.run={work / run}"]


@pytest.fixture(scope="module")
def finished(work: Path) -> Path:
    """The one real run, through the command line."""
    done = python("-m", "iterpref.train", *overrides(work, "run"), cwd=work)
    assert done.returncode == 0, done.stderr
    return work / "run"


@pytest.fixture
def in_process() -> Iterator[Any]:
    """`train(config)` here, on one thread; what it sets in torch is put back."""
    import torch

    from iterpref.train import train

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield train
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def config_of(run: Path, **changes: Any) -> Config:
    """The config of the finished run, moved to another folder, and changed."""
    from iterpref.run_record import read_config

    config = read_config(run.parent / "run")
    config.paths.run = str(run)
    for key, value in changes.items():
        section, _, leaf = key.rpartition("__")
        setattr(getattr(config, section) if section else config, leaf, value)
    return config


def metrics_of(run: Path) -> dict[str, float]:
    """Those of the last validation."""
    return json.loads((run / "done.json").read_text())["metrics"]


def rows(run: Path, *columns: str) -> list[tuple[str, ...]]:
    with (run / "metrics.csv").open(newline="") as handle:
        return [tuple(row[c] for c in columns) for row in csv.DictReader(handle) if all(row[c] for c in columns)]


def weights(folder: Path) -> bytes:
    return (folder / "export" / "model.safetensors").read_bytes()


def test_a_run_folder_has_all_that_a_reader_needs(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert {
        "config.yaml", "run.json", "metrics.csv", "done.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt", "export/config.json",
        "export/model.safetensors", "export/tokenizer.json",
    } <= names  # fmt: skip
    record = json.loads((finished / "run.json").read_text())
    assert record["finished"] is not None
    assert record["pairs"]["train"] == 4
    assert set(record["stage_seconds"]) == {"prepare", "load", "train", "export"}
    assert "experiment=smoke" in record["command"]
    assert [step for step, _ in rows(finished, "step", "train/loss")] == ["0", "1", "2", "3"]
    validated = rows(finished, "step", "val/loss")
    assert [step for step, _ in validated] == ["1", "3"]
    done = json.loads((finished / "done.json").read_text())
    assert done["metrics"]["val/loss"] == pytest.approx(float(validated[-1][1]))


def test_the_export_loads_as_it_is_and_is_the_trained_policy(finished: Path, work: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = AutoModelForCausalLM.from_pretrained(finished / "export").state_dict()
    trained = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert {f"policy.{name}" for name in exported} == set(trained)
    for name, weight in exported.items():
        assert torch.equal(weight, trained[f"policy.{name}"]), name
    (start,) = (path for path in (work / "data" / "models").glob("tiny-*"))
    before = AutoModelForCausalLM.from_pretrained(start).state_dict()
    assert not any(torch.equal(weight, before[name]) for name, weight in exported.items())
    assert AutoTokenizer.from_pretrained(finished / "export").chat_template


def test_a_benchmark_is_answered_before_and_after_training(finished: Path, work: Path) -> None:
    arguments = ["benchmark=bank", "benchmark.limit=2", "evaluate.max_new_tokens=8", f"paths.run={finished}"]
    done = python("-m", "iterpref.evaluate", *arguments, cwd=work)
    assert done.returncode == 0, done.stderr
    assert "after against before" in done.stdout
    figures = json.loads((finished / "evaluation" / "benchmark-bank.json").read_text())
    assert {label: scores["n_tasks_run"] for label, scores in figures["scores"].items()} == {"before": 2, "after": 2}
    assert figures["after_against_before"]["base"]["n_tasks"] == 2
    assert figures["scores"]["before"]["folder"] != figures["scores"]["after"]["folder"]


def test_the_same_command_again_does_nothing_and_loads_nothing(finished: Path, work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    again = python("-c", LOADED, *overrides(work, "run"), cwd=work)
    assert again.returncode == 0, again.stderr
    assert "LOADED []" in again.stdout
    assert "is finished with this configuration" in again.stdout + again.stderr
    after = {path: path.stat().st_mtime_ns for path in before if path.name != "train.log"}
    assert after == {path: time for path, time in before.items() if path.name != "train.log"}


def test_a_killed_run_goes_on_to_the_weights_of_an_undisturbed_one(finished: Path, work: Path, in_process: Any) -> None:
    killed = python("-c", KILLED, *overrides(work, "killed"), cwd=work)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run = work / "killed"
    assert not (run / "done.json").exists()
    assert not (run / "export").exists()
    assert [step for (step,) in rows(run, "step") if step] == ["0", "1", "1", "2"] or rows(run, "step", "train/loss")[
        -1
    ][0] == "2"
    metric = in_process(config_of(run))
    assert weights(run) == weights(finished)
    assert metrics_of(run) == metrics_of(finished)
    assert metric == metrics_of(finished)["val/focal_accuracy"]
    columns = ("step", "train/loss", "train/grad_norm", "train/lr")
    assert rows(run, *columns) == rows(finished, *columns)


def test_a_run_killed_before_its_last_word_still_has_its_metric(finished: Path, work: Path, in_process: Any) -> None:
    run = work / "nearly"
    shutil.copytree(finished, run)
    (run / "done.json").unlink()
    shutil.rmtree(run / "export")
    last = run / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[:-100_000] + bytes([whole[-100_000] ^ 1]) + whole[-99_999:])
    with pytest.raises(UserError, match=r"last\.ckpt is damaged.*copy best\.ckpt \(of step \d\) to its place"):
        in_process(config_of(run))
    last.write_bytes(whole)
    in_process(config_of(run))
    assert metrics_of(run) == pytest.approx(metrics_of(finished))
    assert weights(run) == weights(finished)
    assert len(rows(run, "step", "train/loss")) == 4


def test_the_metric_of_a_run_that_stops_early_is_that_of_its_last_weights(
    finished: Path, work: Path, in_process: Any
) -> None:
    in_process(config_of(work / "short", trainer__max_steps=1))
    assert rows(work / "short", "step", "train/loss")[-1][0] == "0"
    assert float(rows(work / "short", "val/loss")[-1][0]) == pytest.approx(metrics_of(work / "short")["val/loss"])


def test_the_folder_of_another_configuration_is_refused(finished: Path, in_process: Any) -> None:
    with pytest.raises(
        UserError, match=r"another configuration \(optim\.lr=\S+ there, 0\.0005 here\): .*paths\.run=DIR.*resume=false"
    ):
        in_process(config_of(finished, optim__lr=5e-4))
    assert (finished / "done.json").is_file()


def test_a_second_process_in_the_folder_is_refused(
    work: Path, in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "_PATIENCE_S", 0.1)
    with run_folder.alone(work / "shared"), pytest.raises(UserError, match=r"another process is training in .*shared"):
        in_process(config_of(work / "shared"))
    assert not (work / "shared/run.json").exists()


def test_a_result_without_checkpoints_is_not_trained_over_and_checkpoints_without_a_record_are_kept(
    finished: Path, work: Path, in_process: Any
) -> None:
    run = work / "bare"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match=r"holds a result of another configuration.*resume=false"):
        in_process(config_of(run, optim__lr=5e-4))
    assert (run / "done.json").is_file()
    shutil.copytree(finished / "checkpoints", run / "checkpoints")
    for name in ("run.json", "done.json"):
        (run / name).unlink()
    with pytest.raises(UserError, match=r"holds checkpoints and no run\.json.*resume=false"):
        in_process(config_of(run))
    assert (run / "checkpoints/last.ckpt").is_file()


def test_starting_over_leaves_nothing_that_a_kill_could_mistake_for_its_own(
    finished: Path, work: Path, in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iterpref.data.datamodule import CodeFlowDataModule

    run = work / "over"
    shutil.copytree(finished, run)

    def killed(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CodeFlowDataModule, "prepare_data", killed)
    with pytest.raises(KeyboardInterrupt):
        in_process(config_of(run, optim__lr=5e-4, resume=False))
    assert not (run / "done.json").exists()
    assert not list((run / "checkpoints").iterdir())


def test_more_devices_than_a_cpu_is_names_the_override(tmp_path: Path) -> None:
    refused = python(
        "-m", "iterpref.train", *overrides(tmp_path, "run"), "data.global_batch=8", "trainer.devices=4", cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "trainer.devices=4" in refused.stderr
    assert "set trainer.devices=1" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run" / "run.json").exists()


def test_help_waits_for_no_heavy_import(tmp_path: Path) -> None:
    shown = python("-c", LOADED, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "LOADED []" in shown.stdout


def test_a_rerun_repeats_a_run_to_the_bit_in_a_new_folder(finished: Path, work: Path) -> None:
    again = python("-m", "iterpref.train", "--rerun", str(finished), cwd=work)
    assert again.returncode == 0, again.stderr
    run = work / "run-rerun"
    assert "same code, versions, data and metrics" in again.stdout + again.stderr
    assert weights(run) == weights(finished)
    assert metrics_of(run) == metrics_of(finished)
    old, new = (json.loads((folder / "run.json").read_text()) for folder in (finished, run))
    assert (new["rerun_of"], new["differs"], new["data"]) == (str(finished), [], old["data"])
    assert new["tracker_id"] != old["tracker_id"]
    assert "data.global_batch=2" in old["overrides"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rerun", "RUN", "loss.beta=0.3"], "loss.beta would make another run of it"),
        (["--rerun=nowhere"], "nowhere is no run"),
    ],
)
def test_a_rerun_of_something_else_is_refused(arguments: list[str], expected: str, finished: Path, work: Path) -> None:
    refused = python("-m", "iterpref.train", *(str(finished) if a == "RUN" else a for a in arguments), cwd=work)
    assert refused.returncode == 2
    assert expected in refused.stderr


def convert(*arguments: str) -> None:
    from iterpref.convert import main

    main([*arguments])


def test_a_checkpoint_becomes_the_folder_that_training_exported(
    finished: Path, work: Path, commands_here: None
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    convert(str(finished), f"convert.path={work / 'converted'}")
    assert (work / "converted" / "model.safetensors").read_bytes() == weights(finished)
    assert {p.name for p in (work / "converted").iterdir()} == {p.name for p in (finished / "export").iterdir()}
    assert GenerationConfig.from_pretrained(work / "converted").eos_token_id is not None
    tokenizer = AutoTokenizer.from_pretrained(work / "converted")
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Sort it."}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    logits = [AutoModelForCausalLM.from_pretrained(f)(ids).logits for f in (work / "converted", finished / "export")]
    assert torch.equal(*logits)


def test_the_card_tells_method_data_metrics_and_licence(finished: Path) -> None:
    import yaml

    card = (finished / "export" / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "apache-2.0"
    assert {"dpo", "code"} <= set(header["tags"])
    accuracy = metrics_of(finished)["val/focal_accuracy"]
    assert f"| focal_accuracy | {accuracy:.4g} |" in card
    assert "after 4 optimizer steps" in card
    assert "| train pairs | 4 |" in card
    assert "beta 0.1" in card
    record = json.loads((finished / "run.json").read_text())
    assert record["data"]["pairs"] in card
    assert record["data"]["folder"] not in card


def test_the_hub_gets_the_folder_and_what_stands_in_the_way_is_told_before_the_conversion(
    finished: Path, commands_here: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import huggingface_hub

    told: list[Any] = []

    class Hub:
        def whoami(self) -> dict[str, Any]:
            return {"name": "me"}

        def create_repo(self, name: str, **options: Any) -> str:
            told.append((name, options))
            return f"https://hub.example/{name}"

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> None:
            told.append((repo_id, sorted(p.name for p in Path(folder_path).iterdir())))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    convert(str(finished), "convert.checkpoint=best", "convert.push=me/coder", "convert.private=false")
    assert told[0] == ("me/coder", {"repo_type": "model", "private": False, "exist_ok": True})
    assert told[1][0] == "me/coder"
    assert {"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(
        told[1][1]
    )
    assert "https://hub.example/me/coder" in capsys.readouterr().out
    assert (finished / "export-best" / "config.json").is_file()
    with pytest.raises(SystemExit):
        convert(str(finished), "convert.push=you/coder", f"convert.path={finished.parent / 'yours'}")
    assert "convert.push=you/coder: the token is me's" in capsys.readouterr().err
    assert not (finished.parent / "yours").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["convert.merge=false"], "trained without adapters"),
        (["convert.path=OTHER"], "holds something else"),
        (["convert.path=START"], "holds something else"),  # a model, but nobody's to replace
        (["convert.private=true"], "convert.private has no effect"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    arguments: list[str], expected: str, finished: Path, work: Path, commands_here: None, capsys: Any
) -> None:
    (start,) = (work / "data" / "models").glob("tiny-*")
    places = {"OTHER": work / "data", "START": start}
    with pytest.raises(SystemExit):
        convert(str(finished), *(re.sub("OTHER|START", lambda m: str(places[m[0]]), a) for a in arguments))
    assert expected in capsys.readouterr().err
    assert (start / "config.json").is_file()


def test_adapters_train_against_the_policy_with_them_off_and_are_merged(
    finished: Path, work: Path, in_process: Any, commands_here: None
) -> None:
    """One run with `reference=adapter`, one with stored log-probs: the same curve; the checkpoint is small; both forms load."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    curves = []
    for reference in ("adapter", "cached"):
        config = config_of(work / f"lora-{reference}", reference=reference)
        config.model.lora.rank = 4
        in_process(config)
        curves.append(rows(work / f"lora-{reference}", "step", "train/loss", "train/grad_norm"))
    for (step, *mine), (other, *theirs) in zip(*curves, strict=True):
        assert step == other
        assert [float(v) for v in mine] == pytest.approx([float(v) for v in theirs], rel=1e-4)
    run = work / "lora-adapter"
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert all("lora_" in name for name in stored["state_dict"])
    assert (run / "checkpoints" / "last.ckpt").stat().st_size < (
        finished / "checkpoints" / "last.ckpt"
    ).stat().st_size / 2
    convert(str(run), "convert.merge=false")
    (start,) = (work / "data" / "models").glob("tiny-*")
    ids = torch.arange(12)[None]
    whole = AutoModelForCausalLM.from_pretrained(run / "export")(ids).logits
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(start), run / "export-adapter")(ids).logits
    torch.testing.assert_close(whole, adapted, rtol=1e-4, atol=1e-4)
    assert (whole - AutoModelForCausalLM.from_pretrained(start)(ids).logits).abs().max() > 1e-3
    assert "LoRA adapters of rank 4" in (run / "export" / "README.md").read_text()
