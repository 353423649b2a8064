"""Many trajectories through every stage: seconds, and peak memory, which must not grow with their number.

    python -m iterpref.bench.scale [--sizes 25000 100000] [--out docs/bench/scale.json]

Two samples a task. The model's answers are made up first (functions of the standard library under other names, broken in one to
three lines or right) and lie in a request cache; `generate=replay` reads them. Programs do not run: the verdict is whether the
text is the right one. All else is the real thing, each stage in a process of its own.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from iterpref.artifacts import Artifact
from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts, peak_mib
from iterpref.bench.localise import broken, functions
from iterpref.cli import run_task
from iterpref.codeflow.contamination import EvaluationTask
from iterpref.codeflow.debug import debug
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatParams, Completion, Message, request_key
from iterpref.codeflow.generate.setup import CACHE, llm_generator
from iterpref.codeflow.pair_stages import pairs_stage
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult
from iterpref.codeflow.stages import trajectories_stage
from iterpref.config import Config, DebugConfig, GenerateConfig, PairsConfig
from iterpref.progress import track
from iterpref.schema import Problem, SourceFile, TestSuite, Verdict

MODEL, SAMPLES, SEED = "made-up", 2, 0
RULES = DebugConfig(samples=SAMPLES, max_refinements=3, repeat=1, verify_reference=False, drop_stub_passes=False)
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wi", "zo")
ALIKE = 20  # one task of so many has the program of an earlier one
KNOWN = 200  # tasks that are evaluation tasks
STAGES = ("trajectories", "pairs", "tokens")
ORDER = ("answers", *STAGES)


def word(rng: random.Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=3))


@lru_cache(maxsize=1)
def _sources() -> list[tuple[str, list[str]]]:
    """Functions that stand by themselves, each with the names that may be changed in it; the first is its own."""
    found = []
    for text in map(textwrap.dedent, functions()):
        try:
            tree = ast.parse(text)
        except SyntaxError:  # a text in it begins further left than the function
            continue
        nodes = list(ast.walk(tree))
        bound = {n.arg for n in nodes if isinstance(n, ast.arg)}
        bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        assert isinstance(tree.body[0], ast.FunctionDef)
        found.append((text, [tree.body[0].name, *sorted(bound - {"self", tree.body[0].name})]))
    return found


@lru_cache(maxsize=4096)
def program(i: int) -> tuple[str, str]:
    """Name and text of the function that task `i` asks for."""
    if i % ALIKE == ALIKE - 1:
        return program(i - ALIKE // 2)
    rng = random.Random(f"program {i}")
    text, names = rng.choice(_sources())
    new = {name: f"{word(rng)}_{word(rng)}" for name in names}
    return new[names[0]], re.sub(rf"\b({'|'.join(map(re.escape, names))})\b", lambda m: new[m[0]], text)


def problem(i: int) -> Problem:
    name, text = program(i)
    rng = random.Random(f"prompt {i}")
    prompt = f"Task {i}. Write the function {name}: {' '.join(word(rng) for _ in range(40))}."
    tests = (
        f"import unittest\nfrom solution import {name}\n\n\nclass T(unittest.TestCase):\n    def test_it(self):\n"
        f"        self.assertEqual({name}.__doc__, '{digest(text)}')\n"
    )
    suite = TestSuite((SourceFile("test_solution.py", tests),), "unittest", 1, coverage=0.9)
    return Problem(f"made/{i:06d}", prompt, suite, source="made up", split="train" if i % 25 else "validation")


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


class StandIn:
    """A sandbox that compares texts: PASS for the one whose hash stands in the tests."""

    tier, workers = "none", 2

    def run(self, request: RunRequest) -> RunResult:
        assert isinstance(request.tests, TestSuite)
        if digest(request.files[0].text) in request.tests.files[0].text:
            return RunResult(Verdict.PASS, "", 1, 0)
        report = f"FAIL: T.test_it\nAssertionError: {digest(request.files[0].text)} is another\n" + "  line\n" * 20
        return RunResult(Verdict.FAIL, "T.test_it", 0, 1, stderr=report)

    def arun(self, request: RunRequest) -> asyncio.Future[RunResult]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(self.run(request))
        return done

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        return map(self.run, requests)

    def close(self) -> None:
        pass


class Inventor:
    """Stands for author and debugger: right one time in five, then three times in five; each answer goes to the cache."""

    model = MODEL

    def __init__(self, cache: RequestCache) -> None:
        self._cache = cache

    def of(self, role: str) -> Inventor:
        return self

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        key = request_key(MODEL, messages, params, attempt)
        text = messages[-1].content
        rng = random.Random(key)
        code = program(int(re.findall(r"Task (\d+)\.", text)[0]))[1]
        if rng.random() > (0.6 if "This is the program so far" in text else 0.2):
            code = broken(code, rng)
        answer = f'<file>solution.py</file>\n```python\n{code}```\n<json>{{"file_names": ["solution.py"], "packages": []}}</json>'
        made = Completion(answer, "stop", len(text) // 4, len(answer) // 4, MODEL, key)
        return self._cache.put(messages, params, attempt, made, "made up")

    async def close(self) -> None:
        pass


def make_answers(data: Path, n: int) -> None:
    """The cache that `n` trajectories need."""
    generator = llm_generator(GenerateConfig(name="replay", model=MODEL), data)
    cache = RequestCache(data / CACHE)
    generator.lines = Inventor(cache)
    sandbox = StandIn()

    async def all_of_them() -> None:
        for i in track(range(n // SAMPLES), n // SAMPLES, "answers"):
            for sample in range(SAMPLES):
                await debug(
                    problem(i), generator, sandbox.arun, sample=sample, seed=SEED, max_refinements=RULES.max_refinements, limits=Limits()
                )  # fmt: skip

    asyncio.run(all_of_them())
    cache.close()


def make_trajectories(data: Path, n: int) -> Artifact:
    problems = [problem(i) for i in range(n // SAMPLES)]
    generator = llm_generator(GenerateConfig(name="replay", model=MODEL), data)
    return trajectories_stage(data, problems, generator, StandIn, Limits(), RULES, SEED)


def make_pairs(data: Path, n: int) -> Artifact:
    known = [EvaluationTask(f"known/{i}", "", program(i)) for i in range(KNOWN)]
    rules = PairsConfig(near_duplicate=0.8, contamination=["made up"])
    return pairs_stage(data, finished(data, "trajectories"), rules, SEED, tasks=known)


def make_tokens(data: Path, n: int) -> Artifact:
    from iterpref.data.tokens import tokens_stage

    return tokens_stage(data, finished(data, "pairs"), Path(os.environ["ITERPREF_BENCH_MODEL"]), Config())


def finished(data: Path, stage: str) -> Artifact:
    (manifest,) = (data / stage).glob("*/manifest.json")
    return Artifact(manifest.parent, json.loads(manifest.read_text()))


def one_stage(stage: str, data: Path, n: int) -> dict[str, Any]:
    """Seconds, MiB before and at most, what came out; of the child processes the one that took most."""
    make: dict[str, Callable[[Path, int], Artifact]] = {
        "trajectories": make_trajectories,
        "pairs": make_pairs,
        "tokens": make_tokens,
    }
    _sources()
    before = peak_mib(resource.RUSAGE_SELF)
    begin, cpu = time.perf_counter(), os.times()
    artifact = make[stage](data, n)
    seconds, after = time.perf_counter() - begin, os.times()
    own = after.user + after.system - cpu.user - cpu.system
    size = sum(path.stat().st_size for path in artifact.folder.iterdir())
    return {
        "seconds": round(seconds, 1), "cpu_s": round(own + after.children_user + after.children_system, 1),
        "mib_before": before, "mib_peak": peak_mib(resource.RUSAGE_SELF), "mib_peak_child": peak_mib(resource.RUSAGE_CHILDREN),
        "mib_on_disk": round(size / 2**20, 1), "counts": artifact.manifest["counts"],
    }  # fmt: skip


def apart(stage: str, data: Path, n: int) -> dict[str, Any]:
    """In a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", "iterpref.bench.scale", "--stage", stage, "--data", str(data), "--sizes", str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


def _choose_model(models: Path) -> None:
    """For this process and those that it starts."""
    from iterpref.models.source import resolve_model

    os.environ.setdefault("ITERPREF_BENCH_MODEL", str(resolve_model(Config().model, models, 0).resolve()))


def _check_stage(parser: argparse.ArgumentParser, stage: str, data: Path | None) -> None:
    """Ends with a usage error where one stage alone lacks its folder, or what the stage before it makes there."""
    if data is None:
        parser.error(f"--stage {stage} needs --data DIR, where it works")
    before = {"trajectories": CACHE, "pairs": "trajectories", "tokens": "pairs"}.get(stage)
    if before is not None and not (data / before).exists():
        parser.error(f"--stage {stage}: {data} has no {before} yet: run the stage before it there ({', '.join(ORDER)})")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=at_least(SAMPLES), nargs="+", default=[25_000, 100_000], help="trajectories")
    parser.add_argument("--models", type=Path, default=Path("data_cache"), help="folder of converted models")
    parser.add_argument("--out", type=output_file, help="JSON file for the figures")
    parser.add_argument("--data", type=Path, help="where a single stage works")
    parser.add_argument("--stage", choices=ORDER, help="this one alone, of one size; --data is needed")
    given = parser.parse_args(argv)
    if given.stage is None and given.data:
        parser.error("--data has no effect without --stage: a whole run works in a folder of its own")
    if given.stage:
        _check_stage(parser, given.stage, given.data)
    if given.stage == "answers":
        make_answers(given.data, given.sizes[0])
        return
    if given.stage == "tokens":
        _choose_model(given.models)
    if given.stage:
        print(json.dumps(one_stage(given.stage, given.data, given.sizes[0])))
        return
    _choose_model(given.models)
    figures: dict[str, Any] = {"machine": machine_facts(), "sizes": {}}
    for n in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            apart("answers", Path(folder), n)
            rows = figures["sizes"][str(n)] = {stage: apart(stage, Path(folder), n) for stage in STAGES}
        for stage, row in rows.items():
            print(f"{n:>7} {stage:<13} {row['seconds']:>7} s, peak {row['mib_peak']} MiB ({row['mib_before']} before it began)"
                  f"{', of a child ' + str(row['mib_peak_child']) if row['mib_peak_child'] else ''}", flush=True)  # fmt: skip
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
