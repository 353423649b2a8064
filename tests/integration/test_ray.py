"""Programs on a two-node Ray cluster: a node is lost or hangs in the middle, and the data set is that of an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from iterpref.artifacts import Artifact
from iterpref.build import build_sandbox
from iterpref.codeflow.pair_stages import pairs_stage
from iterpref.codeflow.sandbox.protocol import Limits
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.suites import asserts_suite
from iterpref.config import DebugConfig, PairsConfig, SandboxConfig
from iterpref.schema import Attempt, Draft, Problem, SourceFile, Trajectory

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")

SOON = {
    "health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 2,
}  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False, "_system_config": SOON})
    made.add_node(**small)
    made.wait_for_nodes()
    yield made
    made.shutdown()


class Debugger:
    """Writes `seed % 4` programs that are wrong, then one that is right; each takes a tenth of a second."""

    name = "debugger"

    def start(self, problem: Problem, seed: int) -> Draft:
        return self.revise(problem, [], "", seed)

    def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        off = max(seed % 4 - len(attempts), 0)
        code = f"import time\ntime.sleep(0.1)\n\n\ndef f(x):\n    return x + {int(problem.task_id)} + {off}\n"
        return Draft((SourceFile("solution.py", code),))

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name}


def prepare(data: Path, executor: str) -> None:
    """Trajectories and pairs."""
    problems = [Problem(f"{k:02d}", f"Write f, plus {k}.", asserts_suite(f"assert f(1) == {k + 1}")) for k in range(24)]
    rules = DebugConfig(samples=1, repeat=1, verify_reference=False)
    made = trajectories_stage(
        data, problems, Debugger(), lambda: build_sandbox(SandboxConfig(workers=1), executor), Limits(), rules, 0
    )
    pairs_stage(data, made, PairsConfig(), 0)


def trajectories(data: Path) -> list[Trajectory]:
    (manifest,) = (data / "trajectories").glob("[!.]*/manifest.json")
    return Artifact(manifest.parent, json.loads(manifest.read_text())).read("trajectories", Trajectory)


def disturb(node: Any, how: str) -> list[Any]:
    """The node's processes, of which some were killed or stopped."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    processes = [raylet, *raylet.children(recursive=True)]
    if how == "its machine goes down":
        chosen = processes
    elif how == "its raylet is killed":
        chosen = [raylet]
    else:
        chosen = [p for p in processes[1:] if "NodePool" in " ".join(p.cmdline())]
        assert chosen
    for process in chosen:
        process.send_signal(signal.SIGSTOP if how == "its sandbox hangs" else signal.SIGKILL)
    return processes


def versions_run(data: Path) -> int:
    """How many versions stand in the store of a run that is going on."""
    for path in (data / "trajectories").glob(".*.sqlite"):
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
                return store.execute("SELECT COUNT(*) FROM attempts").fetchone()[0]
        except sqlite3.OperationalError:
            continue
    return 0


@pytest.mark.parametrize(
    "how", ["its machine goes down", "its raylet is killed", "its sandbox is killed", "its sandbox hangs"]
)
def test_a_node_that_is_lost_costs_only_what_it_held(
    how: str,
    tmp_path: Path,
    cluster: Any,
    tables: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepare(tmp_path / "calm", "local")
    finished = tables(tmp_path / "calm")
    assert len(finished) == 6
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setattr("iterpref.codeflow.sandbox.cluster.SILENT_S", 5.0)
    (lost,) = cluster.worker_nodes
    at: list[int] = []
    left: list[Any] = []

    def disturb_in_the_middle() -> None:
        while versions_run(tmp_path / "spread") < 5:
            time.sleep(0.02)
        left.extend(disturb(lost, how))
        at.append(versions_run(tmp_path / "spread"))

    killer = threading.Thread(target=disturb_in_the_middle, daemon=True)
    killer.start()
    try:
        with caplog.at_level(logging.WARNING):
            prepare(tmp_path / "spread", "ray")
        killer.join()
    finally:
        for process in left:  # what a lost raylet leaves behind, and what was stopped
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    whole = sum(len(t.iterations) for t in trajectories(tmp_path / "spread"))
    assert at[0] < whole - 5, "the kill came too late to disturb anything"
    assert "is lost; 1 left, what it ran is run again" in caplog.text
    assert tables(tmp_path / "spread") == finished


def test_programs_on_a_cluster_get_the_verdicts_that_they_get_here() -> None:
    from iterpref.codeflow.sandbox.cluster import ClusterSandbox
    from iterpref.codeflow.sandbox.protocol import FunctionCases, RunRequest
    from iterpref.errors import UserError
    from iterpref.schema import SourceFile, TestSuite

    def request(code: str) -> RunRequest:
        return RunRequest((SourceFile("a.py", code),), FunctionCases(("f(2)",), (4,)))

    sandbox = ClusterSandbox(workers=2)
    try:
        codes = ["def f(x): return x + x", "def f(x): return x", "def f(x): 1 / 0", "def f(x): return x * 2"] * 3
        verdicts = [result.verdict.value for result in sandbox.run_many(map(request, codes))]
        assert verdicts == ["PASS", "FAIL", "ERROR", "PASS"] * 3
        with pytest.raises(UserError):  # our mistakes come back as they are
            sandbox.run(RunRequest((SourceFile("a.py", "x = 1"),), TestSuite((), "unittest", 0)))
    finally:
        sandbox.close()
    closed = sandbox.run(request(codes[0]))
    assert (closed.verdict.value, closed.detail) == ("HARNESS_ERROR", "cancelled")


def test_a_cluster_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from iterpref.codeflow.sandbox.cluster import ClusterSandbox
    from iterpref.errors import UserError

    monkeypatch.setenv("RAY_ADDRESS", "no address")
    with pytest.raises(UserError, match=r"executor=ray: the cluster cannot be reached .*check \$RAY_ADDRESS"):
        ClusterSandbox()
