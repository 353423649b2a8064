"""kill -9 of `iterpref.prepare` with a language model at twenty random moments: the same tables, and no call paid twice."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from iterpref.bench.chat_server import ChatServer, Reply, Request, answer, error

KILLS = 20
TASKS = 20


def developer(request: Request, n: int) -> Reply:
    """A function of the request alone: right or wrong by its hash, and now and then no program at all."""
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).digest()
    k = int(re.findall(r"plus (\d+)", " ".join(m["content"] for m in request["messages"]))[0])
    if digest[1] < 20:
        return answer("No.", delay_s=0.1)
    wrong = digest[0] % 3 > 0
    return answer(
        f"```python\ndef add(x):\n    return x + {k}{' + 1' if wrong else ''}  # {digest[2]}\n```", delay_s=0.05
    )


def command(data: Path, tasks: Path, url: str) -> list[str]:
    return [
        sys.executable, "-m", "iterpref.prepare", "experiment=smoke", "problems=jsonl", f"problems.path={tasks}", "problems.limit=null",
        "generate=openai", "generate.model=m", f"generate.base_url={url}", "generate.concurrency=3", "debug.samples=1",
        "debug.max_refinements=4", "debug.repeat=1", "sandbox.workers=2", f"paths.data={data}",
    ]  # fmt: skip


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    with path.open("w") as out:
        for k in range(TASKS):
            tests = f"import unittest\nfrom solution import add\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(add(1), {1 + k})\n"
            out.write(
                json.dumps({"task_id": f"add/{k}", "prompt": f"Write add(x), x plus {k}.", "tests": tests}) + "\n"
            )
    return path


@pytest.mark.slow
def test_twenty_kills_change_no_byte_and_pay_no_answered_call_twice(tmp_path, tasks, runs, tables):
    with ChatServer(developer) as server:
        calm, killed = (command(tmp_path / name, tasks, server.url) for name in ("calm", "killed"))
        runs.start(calm)
        assert runs.status() == 0
        undisturbed = len(server.requests)
        rng = random.Random(6)
        kills = at_work = 0
        for turn in range(KILLS):
            before = len(server.requests)
            pid = runs.start(killed)
            # In every third run the clock starts with the process, else with the first call.
            while turn % 3 and len(server.requests) == before and runs.alive(pid):
                time.sleep(0.002)
            moment = time.monotonic() + rng.uniform(0, 0.15)
            while time.monotonic() < moment and runs.alive(pid):
                time.sleep(0.002)
            if runs.alive(pid):
                os.kill(pid, signal.SIGKILL)
                kills += 1
                at_work += len(server.requests) > before
            runs.status()
        assert kills >= 15
        assert at_work >= 8, "the kills came when nothing was going on"
        runs.start(killed)
        assert runs.status() == 0
        paid_again = len(server.requests) - 2 * undisturbed
        assert paid_again <= 3 * kills  # those in flight
        finished = tables(tmp_path / "calm")
        assert finished
        assert tables(tmp_path / "killed") == finished
        n = len(server.requests)
        runs.start(killed)
        assert runs.status() == 0
        assert len(server.requests) == n


def test_a_wrong_key_and_a_broken_server_end_the_command_with_what_to_change(tmp_path, tasks):
    def respond(request: Request, n: int) -> Reply:
        return error(401, "Incorrect API key provided")

    with ChatServer(respond) as server:
        done = subprocess.run(
            [*command(tmp_path / "d", tasks, server.url), "generate.key_env=OLD_KEY"], capture_output=True, text=True, timeout=300,
            env={**os.environ, "OLD_KEY": "sk-expired"},
        )  # fmt: skip
        assert done.returncode == 2
        assert "refused the key in $OLD_KEY (401: Incorrect API key provided)" in done.stderr
        assert "generate.key_env=NAME" in done.stderr
        assert "Traceback" not in done.stderr
        assert len(server.requests) <= 3


def test_ctrl_c_keeps_every_answer_that_was_in_flight(tmp_path, tasks):
    counts: Counter[str] = Counter()

    def slow(request: Request, n: int) -> Reply:
        counts[json.dumps(request)] += 1
        reply = developer(request, n)
        return Reply(reply.status, reply.body, delay_s=0.4)

    with ChatServer(slow) as server:
        process = subprocess.Popen(
            command(tmp_path / "d", tasks, server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while len(server.requests) < 7:
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        assert "stopping when what is in flight has ended; Ctrl-C again waits for nothing" in told
        assert "stopped by Ctrl-C; what was finished is kept" in errors
        done = subprocess.run(command(tmp_path / "d", tasks, server.url), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert set(counts.values()) == {1}
