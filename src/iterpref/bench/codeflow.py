"""python -m iterpref.bench.codeflow: does CodeFlow keep a language model busy, and the sandbox at the same time?

A server in a process of its own answers after 200 ms, 64 calls at once. Ideal wall time is calls x latency / concurrency; of the
whole stage it is the longer one of that and of the sandbox's own time for the same programs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from iterpref.bench.chat_server import ChatServer, Reply, Request, answer
from iterpref.bench.facts import machine_facts
from iterpref.build import build_generator
from iterpref.codeflow.flow import Flow
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatParams, Message
from iterpref.codeflow.generate.client import CallLimits, ChatClient
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.generate.openai import OpenAIBackend
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.suites import as_tests, asserts_suite
from iterpref.config import DebugConfig, GenerateConfig
from iterpref.schema import Problem, SourceFile, Trajectory

CALLS_EACH = 3  # of a trajectory: two versions that fail, and one that passes


def program(k: int, version: int) -> str:
    return f"def add(x):\n    return x + {k} + {CALLS_EACH - 1 - version}\n"


def serve(end: Connection, delay_s: float) -> None:
    def developer(request: Request, n: int) -> Reply:
        text = request["messages"][-1]["content"]
        k = int(re.findall(r"plus (\d+)", text)[0])
        failed = re.findall(r"return x \+ \d+ \+ (\d+)", text)
        version = CALLS_EACH - int(failed[0]) if failed else 0
        return answer(f"```python\n{program(k, version)}```", delay_s=delay_s)

    with ChatServer(developer) as server:
        end.send(server.url)
        end.recv()


def calls(url: str, data: Path, n: int, concurrency: int) -> tuple[float, float]:
    """Seconds that `n` different calls take, cache included, and CPU seconds of this process, which no other work on the machine changes."""
    stop = Stop()
    cache = RequestCache(data / "calls.sqlite")
    client = ChatClient(OpenAIBackend("m", url), cache, CallLimits(concurrency=concurrency), stop)

    async def ask(k: int) -> None:
        await client.complete([Message("user", f"Write add, plus {k}")], ChatParams())

    begin = cpu = 0.0
    # As the stage does: so many at once that a freed place is taken at once, and no more.
    with Flow(range(n + concurrency), ask, width=2 * concurrency, stop=stop, finish=client.close) as flow:
        for done, (_, outcome) in enumerate(flow, 1):
            assert outcome is None, outcome
            if done == concurrency:  # the first round opens the connections
                begin, cpu = time.perf_counter(), time.process_time()
    cache.close()
    return time.perf_counter() - begin, time.process_time() - cpu


def stage(url: str, data: Path, n: int, concurrency: int) -> float:
    """Seconds that the first stage takes for `n` tasks, its start-up (a stage of two tasks) taken off."""

    def build(folder: Path, count: int) -> float:
        problems = [
            Problem(f"add/{k}", f"Write add(x), x plus {k}.", asserts_suite(f"assert add(1) == {k + 1}"))
            for k in range(count)
        ]
        config = GenerateConfig(name="openai", model="m", base_url=url, concurrency=concurrency)
        rules = DebugConfig(samples=1, repeat=1, drop_stub_passes=False)
        begin = time.perf_counter()
        made = trajectories_stage(folder, problems, build_generator(config, folder), PooledSandbox, Limits(), rules, 0)
        seconds = time.perf_counter() - begin
        assert all(len(t.iterations) == CALLS_EACH for t in made.iterate("trajectories", Trajectory))
        return seconds

    start = build(data / "start", 2) - CALLS_EACH * 0.2
    return build(data / "whole", n) - start


def sandbox_alone(n: int) -> float:
    """Seconds for the programs of that stage: each version, and the last one for its coverage."""
    sandbox = PooledSandbox()
    requests = [
        RunRequest((SourceFile("solution.py", program(k, v)),), as_tests(asserts_suite(f"assert add(1) == {k + 1}")))
        for k in range(n) for v in (*range(CALLS_EACH), CALLS_EACH - 1)
    ]  # fmt: skip
    list(sandbox.run_many(requests[:8]))
    begin = time.perf_counter()
    for _ in sandbox.run_many(requests):
        pass
    seconds = time.perf_counter() - begin
    sandbox.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1920)
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.2, help="the server's latency, seconds")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts: others use the machine too")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, given.delay), daemon=True)
    server.start()
    url = ours.recv()
    rounds = []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            made = calls(url, Path(folder), given.calls, given.concurrency)
            alone = sandbox_alone(given.tasks)
            rounds.append((*made, alone, stage(url, Path(folder), given.tasks, given.concurrency)))
    seconds, cpu, alone, whole = map(min, zip(*rounds, strict=True))
    ideal, ideal_calls = (n * given.delay / given.concurrency for n in (given.calls, given.tasks * CALLS_EACH))
    each = 1000 * cpu / given.calls
    figures = {
        "machine": machine_facts(),
        "arguments": {k: str(v) for k, v in vars(given).items()},
        "calls": {"seconds": seconds, "ideal": ideal, "ratio": seconds / ideal, "cpu_ms_a_call": each},
        "stage": {"seconds": whole, "ideal_calls": ideal_calls, "sandbox_alone": alone, "ratio": whole / max(ideal_calls, alone)},
        "rounds": rounds,
    }  # fmt: skip
    print(
        f"{given.calls} calls: {seconds:.2f} s, ideal {ideal:.2f} s, ratio {seconds / ideal:.3f}; {each:.2f} ms of CPU a call\n"
        f"{given.tasks} trajectories: {whole:.2f} s; calls {ideal_calls:.2f} s, sandbox alone {alone:.2f} s, one after the other "
        f"{ideal_calls + alone:.2f} s; ratio to the longer one {whole / max(ideal_calls, alone):.3f}"
    )
    ours.send("stop")
    server.join()
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
