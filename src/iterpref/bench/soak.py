"""Very many runs of good and bad programs in a row: is anything left of them?"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iterpref.bench.workloads import Kind, soak_mix
from iterpref.codeflow.sandbox.child import linux, processes
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import RunRequest, RunResult
from iterpref.codeflow.sandbox.workspace import SHARED_FOLDERS
from iterpref.progress import track
from iterpref.schema import Verdict

GROWTH_MB = 16.0  # of our own memory: a kilobyte a run, over 16,000 runs
WARM_SHARE = 20  # memory counts from the first 20th of the runs on


@dataclass(frozen=True)
class Held:
    """What exists because of us."""

    processes: int  # below us; whoever lost its parent comes to us
    zombies: int  # likewise; those that bubblewrap leaves to init in each run are not counted
    descriptors: int
    files: int  # in the temporary folder, and by their names in the folders that everybody may write to


@dataclass(frozen=True)
class Soak:
    """`before` the sandbox is opened, `after` it is closed; what differs has been left behind."""

    runs: int
    verdicts: dict[str, int]
    wrong: tuple[str, ...]  # programs that did not get the verdict that they must
    before: Held
    after: Held
    warm_rss_mb: float | None  # of this process; None where the system does not tell
    end_rss_mb: float | None

    @property
    def left(self) -> tuple[str, ...]:
        """A sentence for each thing that is more than before; empty is as it should be."""
        before, after = asdict(self.before), asdict(self.after)
        found = [f"{name}: {before[name]} before, {after[name]} after" for name in before if after[name] > before[name]]
        if self.warm_rss_mb is not None and self.end_rss_mb is not None:
            growth = self.end_rss_mb - self.warm_rss_mb
            if growth > GROWTH_MB:
                found.append(f"memory: {self.warm_rss_mb:.1f} MiB warm, {self.end_rss_mb:.1f} MiB at the end")
        return (*found, *self.wrong)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "left": list(self.left)}


def soak(tier: str, workers: int, n: int) -> Soak:
    """`n` runs of the mix. Raises `UserError` where the machine does not give the tier."""
    token = f"soak-{secrets.token_hex(8)}"
    mix = soak_mix(token)
    with _adopting_orphans(), _own_temporary_folder() as folder:
        wrong: Counter[str] = Counter()
        with _sandbox(tier, workers) as sandbox:  # whatever is made once is made now
            warming = mix * workers
            for (name, _, _, expected), result in zip(warming, sandbox.run_many(_requests(warming)), strict=True):
                wrong.update(_complaint(name, expected, result))
        before = held(folder, token)
        draw = random.Random(0)
        kinds = draw.choices(mix, [share for _, share, _, _ in mix], k=n)
        verdicts: Counter[str] = Counter()
        warm = None
        with _sandbox(tier, workers) as sandbox:
            results = track(sandbox.run_many(_requests(kinds)), n, f"soak, {tier}")
            for i, ((name, _, _, expected), result) in enumerate(zip(kinds, results, strict=True)):
                verdicts[result.verdict.value] += 1
                wrong.update(_complaint(name, expected, result))
                if i == n // WARM_SHARE:
                    warm = rss_mb()
            end = rss_mb()
        after = held(folder, token)
        for path in _litter(token):
            path.unlink(missing_ok=True)
    complaints = tuple(f"{count} x {text}" for text, count in wrong.most_common())
    return Soak(n, dict(verdicts), complaints, before, after, warm, end)


def _requests(kinds: list[Kind]) -> Iterator[RunRequest]:
    return (request for _, _, request, _ in kinds)


def _complaint(name: str, expected: Verdict, result: RunResult) -> list[str]:
    return [] if result.verdict == expected else [f"{name}: {result.verdict} ({result.detail}), expected {expected}"]


def held(folder: Path, token: str) -> Held:
    states = [_state(pid) for pid in processes.descendants(os.getpid())]
    descriptors = Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd")
    return Held(
        processes=sum(state not in ("Z", "") for state in states),
        zombies=states.count("Z"),
        descriptors=len(os.listdir(descriptors)),
        files=len(list(folder.iterdir())) + len(_litter(token)),
    )


def _litter(token: str) -> list[Path]:
    places = {Path(name).resolve() for name in SHARED_FOLDERS if os.path.isdir(name)}
    return [path for place in places for path in place.glob(f"{token}*")]


def rss_mb() -> float | None:
    """MiB of memory that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * processes.PAGE_MB


@contextmanager
def _sandbox(tier: str, workers: int) -> Iterator[PooledSandbox]:
    sandbox = PooledSandbox(workers, tier, allow_unsafe=True)
    try:
        yield sandbox
    finally:
        sandbox.close()


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """A process that escaped from its server becomes our child, and is counted."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 0)


@contextmanager
def _own_temporary_folder() -> Iterator[Path]:
    """What is found there is ours, whatever else this machine does."""
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="iterpref-soak-"))
    folder.chmod(0o711)  # the users that programs run as must get through
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def _state(pid: int) -> str:
    """The letter that /proc has for it; "" for one that is gone, or that init would have reaped."""
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        state = tail.split()[0]
    except (OSError, IndexError):
        return ""
    return "" if state == "Z" and head.endswith("(bwrap") else state
