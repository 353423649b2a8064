"""Jobs side by side on one machine: processes that run one job after the other, each with its share of the cores and one GPU.

A process imports and compiles once for all of its jobs. GPUs are dealt out in turn. A second process on one GPU uses the
time in which the first waits for the sandbox; two that train slow each other down (docs/results.md, a small model).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from iterpref.codeflow.sandbox.sharing import usable_cores
from iterpref.processes import end_with_parent
from iterpref.study.plan import Job

_LAST_LINES = 12  # of a worker's log, told when its job failed
_THREADS = ("OMP_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS")  # read by libraries as they are imported
_GPUS = "CUDA_VISIBLE_DEVICES"
_PATIENCE_S = 20.0  # with a process that is to end by itself


@dataclass(frozen=True)
class Ended:
    """What became of a job: its record, or why there is none. `broken`: so may be the process, its GPU's state for one."""

    job: Job
    record: dict[str, Any] | None
    failure: str = ""
    broken: bool = False


class Here:
    """One job at a time, in this process."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._ended: list[Ended] = []

    @property
    def busy(self) -> list[Job]:
        return []

    @property
    def free(self) -> bool:
        return not self._ended

    def start(self, job: Job) -> None:
        self._ended.append(_run(job, self._out, ()))

    def wait(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


class Workers:
    """`n` processes. `start` gives a free one a job; `wait` returns when one has ended. One that dies costs its job alone."""

    def __init__(self, out: Path, n: int) -> None:
        self._out, self._n = out, n
        self._spawn = get_context("spawn")
        self._workers = [self._begun(i) for i in range(n)]

    def _begun(self, number: int) -> _Worker:
        return _Worker(self._spawn, self._out, number, self._n)

    @property
    def busy(self) -> list[Job]:
        return [worker.job for worker in self._workers if worker.job is not None]

    @property
    def free(self) -> bool:
        return len(self.busy) < self._n

    def start(self, job: Job) -> None:
        next(worker for worker in self._workers if worker.job is None).take(job)

    def wait(self) -> list[Ended]:
        """Jobs that have ended since, at least one while any is running."""
        running = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        ended = []
        for pipe in connection.wait(list(running)) if running else ():
            worker = running[pipe]  # type: ignore[index]
            ended.append(worker.result())
            if ended[-1].broken:
                worker.end()
                at = self._workers.index(worker)
                self._workers[at] = self._begun(at)
        return ended

    def close(self) -> None:
        """Kills what is running: a job that is cut off goes on next time."""
        for worker in self._workers:
            worker.end()


class _Worker:
    def __init__(self, spawn: Any, out: Path, number: int, of: int) -> None:
        self.job: Job | None = None
        self.log = out / "work" / f"worker-{number}.log"
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(theirs, out, self.log, of))
        share = str(max(1, usable_cores() // of))
        with environment({name: os.environ.get(name, share) for name in _THREADS} | one_gpu(number)):
            self.process.start()
        theirs.close()

    def take(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # a process that is gone: `result` tells
            self.pipe.send(job)

    def result(self) -> Ended:
        assert self.job is not None
        job, self.job = self.job, None
        try:
            ended: Ended = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            ended = Ended(job, None, f"{job.name}: its process ended with {self.process.exitcode}", broken=True)
        if ended.failure:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.is_file() else []
            return replace(ended, failure="\n".join([ended.failure, f"The end of {self.log}:", *lines[-_LAST_LINES:]]))
        return ended

    def end(self) -> None:
        """At once in the middle of a job, else in its own time."""
        self.pipe.close()
        self.process.join(0 if self.job is not None else _PATIENCE_S)
        self.process.kill()
        self.process.join()


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """For a process that starts within."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def one_gpu(number: int) -> dict[str, str]:
    """What leaves a process the one of the GPUs here that is its turn; nothing where there is none."""
    from torch.cuda import device_count

    said = os.environ.get(_GPUS)
    gpus = said.split(",") if said else [str(gpu) for gpu in range(device_count())]
    return {_GPUS: gpus[number % len(gpus)].strip()} if gpus and said != "" else {}


def scoring_share(of: int) -> tuple[str, ...]:
    """Overrides that give an evaluation its part of the cores: twice an equal share, as seldom all score at once."""
    return (f"sandbox.workers={max(1, -(-2 * usable_cores() // of))}",)


def _work(pipe: Any, out: Path, log: Path, of: int) -> None:
    """The process: jobs out of the pipe, until it is closed or whoever holds the other end is gone."""
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent()
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(handle, stream.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_run(job, out, scoring_share(of)))


def _run(job: Job, out: Path, scoring: Sequence[str]) -> Ended:
    import traceback

    from iterpref.study.jobs import StepFailed, run_job

    try:
        return Ended(job, run_job(job, out, scoring))
    except StepFailed as error:
        return Ended(job, None, str(error))
    except Exception as error:  # a fault of one job, such as memory of the GPU, stops no other
        traceback.print_exc()
        return Ended(job, None, f"{job.name}: {type(error).__name__}: {error}", broken=True)
