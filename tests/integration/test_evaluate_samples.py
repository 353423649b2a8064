"""python -m iterpref.evaluate samples=FILE: scores, resumes after kill -9, compares, and refuses what has no effect."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_eval_tasks import humaneval_row, written

ALLOW = "sandbox.allow_unsafe=true"


def evaluate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iterpref.evaluate", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve tasks; samples `good` solve all, `half` every second one."""
    folder = tmp_path_factory.mktemp("place")
    rows = [humaneval_row(n) for n in range(12)]
    written(folder / "he.jsonl", rows)
    reference = rows[0]["prompt"] + rows[0]["canonical_solution"]

    def samples(name: str, good: Any) -> None:
        programs = [reference if good(n) else "def double(x):\n    return {}[x]\n" for n in range(12)]
        written(folder / name, [{"task_id": f"HumanEval/{n}", "solution": text} for n, text in enumerate(programs)])

    samples("good.jsonl", lambda n: True)
    samples("half.jsonl", lambda n: n % 2)
    return folder


def test_samples_are_scored_without_a_model_and_compared_task_by_task(place: Path) -> None:
    for name in ("good", "half"):
        done = evaluate(f"samples={name}.jsonl", "benchmark=humaneval", "benchmark.path=he.jsonl", ALLOW, cwd=place)
        assert done.returncode == 0, done.stderr
    assert "50.0% [25.4%, 74.6%]" in done.stdout
    assert "KeyError" in done.stdout
    (folder,) = (place / "half.scores").iterdir()
    (verdicts,) = folder.glob("verdicts-*.jsonl")
    assert {file.name for file in folder.iterdir() if not file.name.startswith(".")} == {
        "scores.json", "scores.md", "results.jsonl", verdicts.name, "pass.svg", "errors.svg"
    }  # fmt: skip
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["errors"] == {"KeyError": 6}
    assert scores["benchmark"]["version"] == "unknown"
    assert len(scores["benchmark"]["sha256"]) == 64
    compared = evaluate("good.scores", "against=half.scores", cwd=place)
    assert compared.returncode == 0, compared.stderr
    (good,) = (place / "good.scores").iterdir()
    (found,) = good.glob("against-*.json")
    base = json.loads(found.read_text())["parts"]["base"]
    assert (base["gained"], base["lost"], base["p_mcnemar"]) == (6, 0, pytest.approx(2 / 64))


def test_a_killed_scoring_asks_for_no_verdict_twice(place: Path) -> None:
    slow = "import time\ndef double(x):\n    time.sleep(0.2)\n    return 2 * x  # {}\n"
    written(place / "slow.jsonl", [{"task_id": f"HumanEval/{n}", "solution": slow.format(n)} for n in range(12)])
    arguments = ("samples=slow.jsonl", "benchmark=humaneval", "benchmark.path=he.jsonl", "sandbox.workers=1", ALLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "iterpref.evaluate", *arguments], cwd=place, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while sum(file.read_bytes().count(b"\n") for file in place.glob("slow.scores/*/verdicts-*.jsonl")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (ledger,) = place.glob("slow.scores/*/verdicts-*.jsonl")
    before = ledger.read_text().splitlines()
    done = evaluate(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    after = ledger.read_text().splitlines()
    assert after[: len(before)] == before
    assert len({json.loads(line)["sha256"] for line in after}) == len(after) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("samples=good.jsonl",), "by which benchmark? add benchmark=NAME"),
        (("samples=good.jsonl", "benchmark=humanval"), "did you mean 'humaneval'"),
        (("samples=none.jsonl", "benchmark=humaneval", "benchmark.path=he.jsonl"), "samples=none.jsonl"),
        (("samples=good.jsonl", "benchmark=mbpp_plus"), "give benchmark.path=FILE"),
        (("samples=good.jsonl", "benchmark=humaneval", "evaluate.batch_size=3"), "evaluate.batch_size has no effect with samples="),
        (("samples=good.jsonl", "benchmark=humaneval", "sandbox.cpu_s=3"), "benchmark.time_factor=N scales them"),
        (("samples=good.jsonl", "benchmark=humaneval", "benchmark.after=2024-01-01"), "it is for livecodebench"),
        (("good.jsonl", "against=half.scores"), "expected one folder of scores"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(place: Path, arguments: tuple[str, ...], message: str) -> None:
    done = evaluate(*arguments, cwd=place)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
