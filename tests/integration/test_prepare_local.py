"""`iterpref.prepare generate=transformers`: a model in this process writes, the sandbox judges, and a kill costs no answer twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest
import torch

from iterpref.artifacts import find
from iterpref.config import ModelConfig
from iterpref.models.policy import load_model, load_tokenizer
from iterpref.models.saving import save_model
from iterpref.models.source import resolve_model
from iterpref.schema import Trajectory

TASKS = 8
CALLS = TASKS // 2 * 4  # a program that stays as it was is asked about again, for another sample
PROGRAM = "add = {1: 2}.get"  # no token of it comes twice


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that answers everything with `PROGRAM`, which is right for some tasks and wrong for the others.

    Its attention is switched off, so that a token depends on the one before it alone, whatever was asked.
    """
    torch.set_num_threads(1)
    folder = resolve_model(ModelConfig(name="tiny", source="tiny"), tmp_path_factory.mktemp("parrot"), 0)
    tokenizer, model = load_tokenizer(folder), load_model(folder, ModelConfig())
    ids = torch.tensor([tokenizer("\n" + PROGRAM + "<|end|>", add_special_tokens=False)["input_ids"]])
    assert len(set(ids[0].tolist())) == ids.shape[1]
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
    learned = [parameter for name, parameter in model.named_parameters() if "self_attn" not in name]
    optimizer = torch.optim.AdamW(learned, lr=3e-3)
    for _ in range(100):
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(model, folder)
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    rows = [
        {"task_id": f"add/{k}", "prompt": f"Write add(x), x plus {k % 2 + 1}. " + "Take care. " * k,
         "tests": "import unittest\nfrom solution import add\nclass T(unittest.TestCase):\n    def test_a(self):\n"
                  f"        self.assertEqual(add(1), {k % 2 + 2})\n"}
        for k in range(TASKS)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(data: Path, tasks: Path, *who: str) -> list[str]:
    return [
        sys.executable, "-m", "iterpref.prepare", "problems=jsonl", f"problems.path={tasks}", f"paths.data={data}", *who, "generate.max_tokens=40",
        "generate.temperature=0.1", "debug.samples=1", "debug.max_refinements=2", "debug.repeat=1", "sandbox.workers=2",
    ]  # fmt: skip


def local(model: Path) -> list[str]:
    return [
        "generate=transformers", "model=pretrained", f"model.path={model}", "generate.accelerator=cpu", "generate.concurrency=4",
        "generate.batch_rows=2",
    ]  # fmt: skip


def answered(data: Path) -> int:
    try:
        with sqlite3.connect(f"file:{data / 'answers.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def trajectories(data: Path) -> list[Trajectory]:
    (folder,) = [p for p in (data / "trajectories").iterdir() if (p / "manifest.json").is_file()]
    artifact = find(data / "trajectories", folder.name)
    assert artifact is not None
    return artifact.read("trajectories", Trajectory)


@pytest.mark.slow
def test_a_local_model_debugs_in_batches_and_kills_change_no_byte(tmp_path, tasks, parrot, runs, tables):
    calm, killed, again = (tmp_path / name for name in ("calm", "killed", "again"))
    runs.start(command(calm, tasks, *local(parrot)))
    runs.status()
    found = {t.task_id: t for t in trajectories(calm)}
    for k in range(TASKS):
        verdicts = [a.verdict.value for a in found[f"add/{k}"].iterations]
        assert verdicts == (["PASS"] if k % 2 == 0 else ["FAIL"] * 3)
    calls = {a.llm.request_key for t in found.values() for a in t.iterations}
    assert answered(calm) == len(calls) == CALLS
    model = found["add/0"].iterations[0].llm.model
    assert model.startswith("pretrained@")

    for enough in (2, 7):
        pid = runs.start(command(killed, tasks, *local(parrot)))
        while answered(killed) < enough and runs.alive(pid):
            time.sleep(0.002)
        assert runs.alive(pid), "it ended before it was killed"
        os.kill(pid, signal.SIGKILL)
        runs.status()
        assert answered(killed) < CALLS
    runs.start(command(killed, tasks, *local(parrot)))
    runs.status()
    assert tables(killed) == tables(calm)

    # Without the model, out of the cache alone: the same again.
    cache = killed / "answers.sqlite"
    runs.start(
        command(again, tasks, "generate=replay", f"generate.model={model}", f"generate.cache={cache}", "model=tiny")
    )
    runs.status()
    assert trajectories(again) == trajectories(calm)
