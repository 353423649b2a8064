"""python -m iterpref.evaluate MODEL benchmark=NAME: a local model, one behind a server, a kill in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.test_eval_tasks import humaneval_row, written

from iterpref.bench.chat_server import ChatServer, answer
from iterpref.config import BenchmarkConfig
from iterpref.eval.samples import read_samples
from iterpref.eval.tasks import load_benchmark

ALLOW = "sandbox.allow_unsafe=true"
BENCHMARK = ("benchmark=humaneval", "benchmark.path=he.jsonl", ALLOW)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    written(folder / "he.jsonl", [humaneval_row(n) for n in range(6)])
    return folder


def evaluate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iterpref.evaluate", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_a_killed_evaluation_generates_no_answer_twice(place: Path) -> None:
    arguments = ("model=tiny", *BENCHMARK, "evaluate.max_new_tokens=24", "evaluate.batch_size=1")
    process = subprocess.Popen(
        [sys.executable, "-m", "iterpref.evaluate", *arguments], cwd=place, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not any(file.read_bytes().count(b"\n") >= 2 for file in place.glob("runs/evaluate/tiny/*/answers.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (ledger,) = place.glob("runs/evaluate/tiny/*/answers.jsonl")
    before = ledger.read_text().splitlines(keepends=True)
    done = evaluate(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    after = ledger.read_text().splitlines(keepends=True)
    whole = [line for line in before if line.endswith("\n")]
    assert after[: len(whole)] == whole
    assert sorted(json.loads(line)["task_id"] for line in after) == [f"HumanEval/{n}" for n in range(6)]
    scores = json.loads((ledger.parent / "scores.json").read_text())
    assert scores["tokens"]["new"] == 6 - len(whole)
    assert scores["generation"]["chat"] is True
    # Ours can be scored by the official tools.
    benchmark = load_benchmark(BenchmarkConfig("humaneval", str(place / "he.jsonl")))
    samples = read_samples(ledger.parent / "samples.jsonl", benchmark)
    results = [json.loads(line) for line in (ledger.parent / "results.jsonl").read_text().splitlines()]
    assert [(s.task_id, s.sha256) for s in samples] == [(row["task_id"], row["sha256"]) for row in results]


def test_a_model_behind_a_server_is_asked_once_for_each_sample(place: Path) -> None:
    replies = ("Sure:\n```python\ndef double(x):\n    return 2 * x\n```\n", "I cannot do that.")
    server = ChatServer(lambda request, n: answer(replies[request["seed"] % 2]))
    try:
        arguments = (
            "generate=openai", "generate.model=stand-in", f"generate.base_url={server.url}", *BENCHMARK,
            "evaluate.n_samples=2", "evaluate.temperature=0.8", "evaluate.max_new_tokens=64",
        )  # fmt: skip
        for _ in range(2):
            done = evaluate(*arguments, cwd=place)
            assert done.returncode == 0, done.stderr
    finally:
        server.close()
    # The six tasks ask the same: two samples are two requests, and a second evaluation makes none.
    assert len(server.requests) == 2
    assert {request["max_tokens"] for request in server.requests} == {64}
    (found,) = place.glob("runs/evaluate/stand-in/*/scores.json")
    scores = json.loads(found.read_text())
    assert scores["parts"]["base"]["pass@1"]["mean"] == 0.5
    assert scores["samples_a_task"] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("benchmark=bank",), "of which model?"),
        (
            ("model=tiny", *BENCHMARK, "evaluate.max_tasks=3"),
            "evaluate.max_tasks has no effect with benchmark=humaneval",
        ),
        (("model=tiny", *BENCHMARK, "evaluate.n_samples=3"), "add evaluate.temperature=0.2"),
        (("some_run", "seed=1"), "seed has no effect with a run's own held-out tasks"),
    ],
)
def test_mistakes_are_told_in_one_line(place: Path, arguments: tuple[str, ...], message: str) -> None:
    done = evaluate(*arguments, cwd=place)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
