"""A sandbox spread over a Ray cluster: an actor on each node holds a pool there, and what a lost node held is run elsewhere.

Calls of models, the store and every decision stay with the driver: nodes are given programs, and give back verdicts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import iterpref
from iterpref.codeflow.sandbox.pool import READ_AHEAD, PooledSandbox
from iterpref.codeflow.sandbox.protocol import RunRequest, RunResult
from iterpref.errors import UserError
from iterpref.schema import Verdict

log = logging.getLogger(__name__)
LOSSES = 3  # nodes that one run may be lost with: it may be what ends them
LOOK_S = 2.0  # between two looks whether a node is still there, while it runs something
SILENT_S = 30.0  # longest wait for a word of a node that the cluster takes for alive: a hanging one is as good as lost
START_S = 120.0  # longest wait for the cores of all nodes


class NodePool:
    """What an actor is: the pool of its node, one thread for each run."""

    def __init__(self, workers: int, tier: str, allow_unsafe: bool) -> None:
        self._pool = PooledSandbox(workers, tier, allow_unsafe)

    def about(self) -> tuple[str, str]:
        return self._pool.tier, iterpref.__version__

    def run(self, request: RunRequest) -> RunResult:
        return self._pool.run(request)


class _Node:
    def __init__(self, node: dict[str, Any], actor: Any, workers: int) -> None:
        self.id, self.name = node["NodeID"], node["NodeManagerHostname"]
        self.actor, self.workers = actor, workers
        self.busy = 0  # runs that it has been given


class ClusterSandbox:
    """`Sandbox` over the nodes of the cluster at $RAY_ADDRESS, or of one that Ray starts on this machine.

    Args:
        workers: runs at once on a node; None: as many as Ray counts cores there.
        tier, allow_unsafe: as for `PooledSandbox`, on every node.

    Raises `UserError` without Ray, without a node, and where a node has no such tier, other code than ours, or no core to give.
    """

    def __init__(self, workers: int | None = None, tier: str = "auto", allow_unsafe: bool = False) -> None:
        try:
            import ray
        except ImportError:
            raise UserError('executor=ray needs the ray package; run: pip install "iterpref[ray]"') from None
        self._ray = ray
        self._owner = not ray.is_initialized()
        if self._owner:
            _connect(ray)
        self._changed = threading.Condition()
        self._closed = False
        self._nodes = [self._start(node, workers, tier, allow_unsafe) for node in ray.nodes() if _cores(node)]
        try:
            self.tier = self._checked()
        except BaseException:
            self.close()
            raise
        self.workers = sum(node.workers for node in self._nodes)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="cluster")
        log.info("sandboxes: %s", ", ".join(f"{n.workers} on {n.name}" for n in self._nodes))

    def run(self, request: RunRequest) -> RunResult:
        """The verdict, from whichever node has most room. A node that is lost on the way costs the run, which is asked for again."""
        for _ in range(LOSSES):
            if (node := self._take()) is None:
                break
            try:
                result = self._asked(node, request)
                if result is not None:
                    return result
                self._lose(node)
            finally:
                self._give(node)
        detail = (
            "cancelled" if self._closed else "its nodes were lost" if self._nodes else "no node of the cluster is left"
        )
        return RunResult(Verdict.HARNESS_ERROR, detail, 0, 0, stderr=detail, tier=self.tier)

    def _asked(self, node: _Node, request: RunRequest) -> RunResult | None:
        """The node's verdict; None when the node is lost."""
        errors = self._ray.exceptions
        try:
            answer = node.actor.run.remote(request)
            while not self._ray.wait([answer], timeout=LOOK_S)[0]:
                if not self._lives(node):
                    return None
            return self._ray.get(answer, timeout=SILENT_S)
        except (errors.RayActorError, errors.NodeDiedError, errors.ObjectLostError, errors.GetTimeoutError):
            return None
        except errors.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None

    def _lives(self, node: _Node) -> bool:
        """A call to a machine that is gone may wait for long, and the cluster knows earlier; of a process that hangs it never
        knows, but that one has no word for us either."""
        if not any(n["NodeID"] == node.id and n["Alive"] for n in self._ray.nodes()):
            return False
        return bool(self._ray.wait([node.actor.about.remote()], timeout=SILENT_S)[0])

    def arun(self, request: RunRequest) -> asyncio.Future[RunResult]:
        return asyncio.wrap_future(self._threads.submit(self.run, request))

    def run_many(self, requests: Iterable[RunRequest]) -> Iterator[RunResult]:
        waiting: deque[Future[RunResult]] = deque()
        try:
            for request in requests:
                waiting.append(self._threads.submit(self.run, request))
                if len(waiting) >= READ_AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            nodes, self._nodes = self._nodes, []
            self._changed.notify_all()
        for node in nodes:
            self._ray.kill(node.actor)  # its servers end with it
        if hasattr(self, "_threads"):
            self._threads.shutdown(wait=True, cancel_futures=True)
        if self._owner:
            self._ray.shutdown()

    def _start(self, node: dict[str, Any], workers: int | None, tier: str, allow_unsafe: bool) -> _Node:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        count = workers or _cores(node)
        actor = self._ray.remote(NodePool).options(
            num_cpus=min(count, _cores(node)), max_concurrency=count + 1, max_restarts=0,  # runs, and `about` at any time
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(count, tier, allow_unsafe)  # fmt: skip
        return _Node(node, actor, count)

    def _checked(self) -> str:
        """The tiers of all nodes; what keeps one from starting is told."""
        if not self._nodes:
            raise UserError("executor=ray: no node of the cluster has a core to give; start one with `ray start`")
        answers = {node.actor.about.remote(): node for node in self._nodes}
        _, late = self._ray.wait(list(answers), num_returns=len(answers), timeout=START_S)
        if late:
            raise UserError(
                f"executor=ray: {answers[late[0]].name} gave no cores within {START_S:.0f} s; other work holds them: wait for it, "
                "or lower sandbox.workers"
            )
        tiers = set()
        for answer, node in answers.items():
            try:
                tier, version = self._ray.get(answer)
            except self._ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None) or error
                raise UserError(
                    f"executor=ray: no sandbox on {node.name}: {str(cause).strip().splitlines()[-1]}; the same environment as here "
                    "must be installed on every node"
                ) from None
            if version != iterpref.__version__:
                raise UserError(f"executor=ray: {node.name} has iterpref {version}, and here is {iterpref.__version__}: install one version everywhere")  # fmt: skip
            tiers.add(tier)
        return "+".join(sorted(tiers))

    def _take(self) -> _Node | None:
        """A place on the node with most room, waited for; None when no node is left."""
        with self._changed:
            while self._nodes:
                node = min(self._nodes, key=lambda n: n.busy / n.workers)
                if node.busy < node.workers:
                    node.busy += 1
                    return node
                self._changed.wait()
            return None

    def _give(self, node: _Node) -> None:
        with self._changed:
            node.busy -= 1
            self._changed.notify_all()

    def _lose(self, node: _Node) -> None:
        with self._changed:
            if node in self._nodes:
                self._nodes.remove(node)
                log.warning("the node %s is lost; %d left, what it ran is run again", node.name, len(self._nodes))


def _connect(ray: Any) -> None:
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # Ray's own, the socket's, and its start scripts'
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"executor=ray: the cluster cannot be reached ({said}); check $RAY_ADDRESS, or unset it"
        ) from None


def _cores(node: dict[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0)) if node["Alive"] else 0
