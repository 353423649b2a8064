"""python -m iterpref.bench.codeflow: does CodeFlow keep a language model busy, and the sandbox at the same time?

A server in a process of its own answers after 200 ms, 64 calls at once. Ideal is

    calls alone   calls x latency / concurrency
    the stage     max(calls x latency / concurrency, CPU seconds / cores) + latency

where the CPU seconds are those of the same programs in the sandbox alone and of the same calls alone, both ends of them, since all
share this machine's cores; before the first answer nothing runs. Seconds of CPU hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.chat_server import ChatServer, Reply, Request, answer
from iterpref.bench.facts import machine_facts
from iterpref.build import build_generator
from iterpref.cli import run_task
from iterpref.codeflow.flow import Flow
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.generate.chat import ChatParams, Message
from iterpref.codeflow.generate.client import CallLimits, ChatClient
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.generate.openai import OpenAIBackend
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.suites import as_tests, asserts_suite
from iterpref.config import DebugConfig, GenerateConfig
from iterpref.schema import Problem, SourceFile, Trajectory

CALLS_EACH = 3  # of a trajectory: two versions that fail, and one that passes


def program(k: int, version: int) -> str:
    return f"def add(x):\n    return x + {k} + {CALLS_EACH - 1 - version}\n"


@dataclass(frozen=True)
class Cost:
    seconds: float  # on the wall clock
    cpu: float  # seconds of CPU time, of processes that were started and have ended included

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.seconds - other.seconds, self.cpu - other.cpu)


def now() -> Cost:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used))


def serve(end: Connection, delay_s: float) -> None:
    """Tells its address, and then its CPU seconds whenever it is asked."""

    def developer(request: Request, n: int) -> Reply:
        text = request["messages"][-1]["content"]
        k = int(re.findall(r"plus (\d+)", text)[0])
        failed = re.findall(r"return x \+ \d+ \+ (\d+)", text)
        version = CALLS_EACH - int(failed[0]) if failed else 0
        return answer(f"```python\n{program(k, version)}```", delay_s=delay_s)

    with ChatServer(developer) as server:
        end.send(server.url)
        while end.recv() == "cpu":
            end.send(time.process_time())


def calls(url: str, data: Path, n: int, concurrency: int) -> Cost:
    """What `n` different calls take, cache included."""
    stop = Stop()
    cache = RequestCache(data / "calls.sqlite")
    client = ChatClient(OpenAIBackend("m", url), cache, CallLimits(concurrency=concurrency), stop)

    async def ask(k: int) -> None:
        await client.complete([Message("user", f"Write add, plus {k}")], ChatParams())

    begin = now()
    # As the stage does: so many at once that a freed place is taken at once, and no more.
    with Flow(range(n + concurrency), ask, width=2 * concurrency, stop=stop, finish=client.close) as flow:
        for done, (_, outcome) in enumerate(flow, 1):
            assert outcome is None, outcome
            if done == concurrency:  # the first round opens the connections
                begin = now()
    cache.close()
    return now() - begin


def stage(url: str, data: Path, n: int, concurrency: int, delay_s: float) -> Cost:
    """What the first stage takes for `n` tasks, its start-up (a stage of two tasks, less its calls) taken off."""

    def build(folder: Path, count: int) -> Cost:
        problems = [
            Problem(f"add/{k}", f"Write add(x), x plus {k}.", asserts_suite(f"assert add(1) == {k + 1}"))
            for k in range(count)
        ]
        config = GenerateConfig(name="openai", model="m", base_url=url, concurrency=concurrency)
        rules = DebugConfig(samples=1, repeat=1, drop_stub_passes=False)
        begin = now()
        made = trajectories_stage(folder, problems, build_generator(config, folder), PooledSandbox, Limits(), rules, 0)
        cost = now() - begin
        assert all(len(t.iterations) == CALLS_EACH for t in made.iterate("trajectories", Trajectory))
        return cost

    start = build(data / "start", 2) - Cost(CALLS_EACH * delay_s, 0.0)
    return build(data / "whole", n) - start


def sandbox_alone(n: int) -> Cost:
    """What the programs of that stage take: each version, and the last one for its coverage. Start-up is taken off."""

    def run(requests: list[RunRequest]) -> Cost:
        begin = now()
        sandbox = PooledSandbox()
        for _ in sandbox.run_many(requests):
            pass
        sandbox.close()  # its processes have ended, and so are counted
        return now() - begin

    requests = [
        RunRequest((SourceFile("solution.py", program(k, v)),), as_tests(asserts_suite(f"assert add(1) == {k + 1}")))
        for k in range(n) for v in (*range(CALLS_EACH), CALLS_EACH - 1)
    ]  # fmt: skip
    return run(requests) - run(requests[:8])


def measure(given: argparse.Namespace) -> list[dict[str, Cost]]:
    """The rounds; `server` is what its end took for the calls alone."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, given.delay), daemon=True)
    server.start()
    url = ours.recv()

    def server_cpu() -> float:
        ours.send("cpu")
        return float(ours.recv())

    rounds = []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            before = server_cpu()
            made = calls(url, Path(folder), given.calls, given.concurrency)
            rounds.append({
                "calls": made, "server": Cost(0.0, server_cpu() - before), "sandbox": sandbox_alone(given.tasks),
                "stage": stage(url, Path(folder), given.tasks, given.concurrency, given.delay),
            })  # fmt: skip
    ours.send("stop")
    server.join()
    return rounds


def figures(given: argparse.Namespace, rounds: list[dict[str, Cost]]) -> dict[str, Any]:
    """The best of the rounds, each figure by itself, beside what is ideal."""
    best = {
        name: Cost(min(r[name].seconds for r in rounds), min(r[name].cpu for r in rounds)) for name in rounds[0]
    }  # fmt: skip
    ideal, ideal_calls = (n * given.delay / given.concurrency for n in (given.calls, given.tasks * CALLS_EACH))
    share = given.tasks * CALLS_EACH / given.calls
    # The first round of calls opens the connections and is not among `calls`; the server saw it as well.
    needed = best["sandbox"].cpu + share * (best["calls"].cpu + best["server"].cpu)
    cores = usable_cores()
    ideal_stage = max(ideal_calls, needed / cores) + given.delay
    return {
        "machine": machine_facts(),
        "arguments": {k: str(v) for k, v in vars(given).items()},
        "calls": {**asdict(best["calls"]), "ideal": ideal, "ratio": best["calls"].seconds / ideal,
                  "cpu_ms_a_call": 1000 * best["calls"].cpu / given.calls, "server_cpu": best["server"].cpu},
        "sandbox": asdict(best["sandbox"]),
        "stage": {**asdict(best["stage"]), "ideal_calls": ideal_calls, "ideal_cpu": needed / cores, "ideal": ideal_stage,
                  "ratio": best["stage"].seconds / ideal_stage, "cpu_ratio": (best["stage"].cpu + share * best["server"].cpu) / needed,
                  "one_after_the_other": ideal_calls + best["sandbox"].seconds},
        "rounds": [{name: asdict(cost) for name, cost in r.items()} for r in rounds],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=at_least(1), default=1920)
    parser.add_argument("--tasks", type=at_least(1), default=400)
    parser.add_argument("--concurrency", type=at_least(1), default=64)
    parser.add_argument("--delay", type=at_least(0.0), default=0.2, help="the server's latency, seconds")
    parser.add_argument(
        "--rounds", type=at_least(1), default=3, help="the best of so many counts: others use the machine too"
    )
    parser.add_argument("--out", type=output_file, help="JSON file for the figures")
    given = parser.parse_args()
    found = figures(given, measure(given))
    made, alone, whole = found["calls"], found["sandbox"], found["stage"]
    print(
        f"{given.calls} calls: {made['seconds']:.2f} s, ideal {made['ideal']:.2f} s, ratio {made['ratio']:.3f}; "
        f"{made['cpu_ms_a_call']:.2f} ms of CPU a call\n"
        f"the programs of {given.tasks} trajectories alone: {alone['seconds']:.2f} s, {alone['cpu']:.2f} s of CPU\n"
        f"{given.tasks} trajectories: {whole['seconds']:.2f} s, ideal {whole['ideal']:.2f} s (calls {whole['ideal_calls']:.2f} s, CPU "
        f"{whole['ideal_cpu']:.2f} s), ratio {whole['ratio']:.3f}; {whole['cpu']:.2f} s of CPU, {whole['cpu_ratio']:.3f} of what its parts take alone"
    )
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
