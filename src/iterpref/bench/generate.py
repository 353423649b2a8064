"""python -m iterpref.bench.generate OVERRIDES: how fast does a data set's model answer, and how busy is the GPU?

Runs `iterpref.prepare` with these overrides as a process of its own. Beside it, five times a second, the answers in the cache are
counted and `nvidia-smi` is asked for the share of time in which a kernel ran. The clock runs from the first sample that sees the GPU
at work (without a GPU: from the start) to the last answer. Needs a new `paths.data`, for answers that are there already cost no time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.bench.arguments import output_file
from iterpref.bench.facts import machine_facts
from iterpref.cli import run_task
from iterpref.codeflow.generate.setup import CACHE
from iterpref.errors import UserError

_EVERY_S = 0.2


@dataclass(frozen=True)
class Sample:
    at: float  # seconds since the start
    answers: int
    tokens: int  # of prompts and answers together
    gpu: float | None  # share of the last moments in which a kernel ran, in [0, 1]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of iterpref.prepare, paths.data=DIR among them")
    parser.add_argument("--out", type=output_file, help="JSON file for the figures")
    given = parser.parse_args(argv)
    overrides, out = given.overrides, given.out
    data = next((Path(o.partition("=")[2]) for o in overrides if o.startswith("paths.data=")), None)
    if data is None or data.exists():
        parser.error("give a folder that is not there yet: paths.data=DIR")
    code, samples = watch([sys.executable, "-m", "iterpref.prepare", *overrides], data)
    if not any(sample.answers for sample in samples):
        raise UserError(f"iterpref.prepare ended with {code} before a model had answered, so there is nothing to tell")
    machine = {**machine_facts(), "gpus": ask_gpu("name")}
    figures = {"machine": machine, "overrides": overrides, "exit": code, **rates(samples), **harvest(data)}
    print(json.dumps(figures, indent=1))
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n")


def watch(command: list[str], data: Path) -> tuple[int, list[Sample]]:
    """Runs the command; its exit code (2 where no pair came out), and what was seen meanwhile."""
    begin = time.monotonic()
    process = subprocess.Popen(command)
    samples: list[Sample] = []
    while process.poll() is None:
        answers, tokens = answered(data)
        samples.append(Sample(time.monotonic() - begin, answers, tokens, gpu_share()))
        time.sleep(_EVERY_S)
    answers, tokens = answered(data)
    samples.append(Sample(time.monotonic() - begin, answers, tokens, None))
    return process.returncode, samples


def answered(data: Path) -> tuple[int, int]:
    try:
        with sqlite3.connect(f"file:{data / CACHE}?mode=ro", uri=True) as db:
            answers, tokens = db.execute("SELECT COUNT(*), COALESCE(SUM(tokens), 0) FROM answers").fetchone()
            return int(answers), int(tokens)
    except sqlite3.OperationalError:
        return 0, 0


def ask_gpu(what: str) -> list[str]:
    """A line for each GPU; none without one."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    asked = subprocess.run(command, capture_output=True, text=True)
    return asked.stdout.strip().splitlines() if asked.returncode == 0 else []


def gpu_share() -> float | None:
    """Of the busiest GPU."""
    return max((float(line) / 100 for line in ask_gpu("utilization.gpu")), default=None)


def rates(samples: list[Sample]) -> dict[str, Any]:
    """Answers and tokens a second, and the GPU's share, between the first work and the last answer."""
    last = samples[-1].answers
    first = next((s.at for s in samples if s.gpu), samples[0].at)
    end = next((s.at for s in samples if s.answers == last), samples[-1].at)
    seconds = max(end - first, 1e-9)
    shares = [s.gpu for s in samples if s.gpu is not None and first <= s.at <= end]
    return {
        "seconds": round(samples[-1].at, 1), "seconds_answering": round(seconds, 1), "answers": last,
        "calls_per_s": round(last / seconds, 2), "tokens_per_s": round(samples[-1].tokens / seconds, 1),
        "gpu_share": round(statistics.fmean(shares), 3) if shares else None,
    }  # fmt: skip


def harvest(data: Path) -> dict[str, Any]:
    """What the finished stages count."""
    found: dict[str, Any] = {}
    for stage in ("trajectories", "pairs"):
        for manifest in sorted((data / stage).glob("*/manifest.json")):
            found[stage] = json.loads(manifest.read_text())["counts"]
    return found


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
