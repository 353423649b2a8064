"""Samples become verdicts: each program of a task is run once, in the sandbox, and no verdict is ever asked for twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.artifacts import fingerprint
from iterpref.codeflow.sandbox.protocol import RunResult, Sandbox
from iterpref.errors import UserError
from iterpref.eval.ledger import Ledger
from iterpref.eval.packages import absent, environment
from iterpref.eval.samples import Sample
from iterpref.eval.tasks.task import Benchmark, Task
from iterpref.progress import track
from iterpref.record import Record
from iterpref.schema import Verdict

_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
NOT_RUN = "NOT_RUN"
COMPILE, WRONG = "SyntaxError", "wrong answer"  # kinds of error without an exception of their own


@dataclass(frozen=True)
class Part(Record):
    """What came of one part of a task."""

    verdict: str  # of `Verdict`, or NOT_RUN
    detail: str = ""
    errors: tuple[str, ...] = ()  # kinds that its tests met, each once: exceptions, "wrong answer"
    judged: str = ""  # inside | outside


@dataclass(frozen=True)
class Judged(Record):
    """The verdict on one program of one task."""

    task_id: str
    sha256: str  # of the program
    parts: tuple[Part, ...]  # up to the first that is not PASS
    cpu_ms: float = 0.0

    @property
    def ran(self) -> bool:
        return self.parts[0].verdict != NOT_RUN

    def passed(self, part: int) -> bool:
        """A part counts only if all parts before it are passed as well."""
        return len(self.parts) > part and self.parts[part].verdict == Verdict.PASS


def judge_samples(
    benchmark: Benchmark[Any],
    samples: Sequence[Sample],
    sandbox: Sandbox,
    folder: Path,
    cache: Path,
    only_fit: bool = True,
) -> list[Judged]:
    """One verdict a sample, in their order; kept in `folder` as they come, so that a killed run goes on.

    Tasks whose packages are absent are NOT_RUN, and with `only_fit` those that are `unfit` as well. Raises `UserError` when
    the sandbox itself failed on some program: the verdicts that were found are kept, and the same command asks for the
    others again.
    """
    wanted = {(sample.task_id, sample.sha256): sample for sample in samples}
    reasons = _not_run(benchmark, list(dict.fromkeys(task_id for task_id, _ in wanted)), sandbox, cache, only_fit)
    # Not kept: what is absent may be there next time.
    known = {key: Judged(*key, (Part(NOT_RUN, reasons[key[0]]),)) for key in wanted if key[0] in reasons}
    with Ledger(folder / verdicts_file(benchmark)) as ledger:
        kept = ((row["task_id"], row["sha256"], row) for row in ledger.rows())
        known |= {(task_id, sha): Judged.from_dict(row) for task_id, sha, row in kept if task_id not in reasons}
        runnable = [sample for key, sample in wanted.items() if key not in known]
        if runnable:
            ids = dict.fromkeys(sample.task_id for sample in runnable)
            benchmark.get_ready([benchmark.tasks[task_id] for task_id in ids], sandbox, cache)
        for judged in track(_judge_all(benchmark, runnable, sandbox), len(runnable), "score"):
            if any(part.verdict == Verdict.HARNESS_ERROR for part in judged.parts):
                continue
            known[judged.task_id, judged.sha256] = judged
            ledger.add(judged.to_dict())
    failed = [key for key in wanted if key not in known]
    if failed:
        raise UserError(
            f"the sandbox failed on {len(failed)} of {len(wanted)} programs (first: {failed[0][0]}), which have no verdict; "
            "all other verdicts are kept: run the same command again, and if that fails look at free memory"
        )
    return [known[sample.task_id, sample.sha256] for sample in samples]


def _not_run(
    benchmark: Benchmark[Any], task_ids: Sequence[str], sandbox: Sandbox, cache: Path, only_fit: bool
) -> dict[str, str]:
    """{task_id: why its programs are not run}."""
    tasks = [benchmark.tasks[task_id] for task_id in task_ids]
    reasons = {t.task_id: f"needs {', '.join(lacking)}" for t in tasks if (lacking := absent(t.needs))}
    if only_fit:
        reasons |= benchmark.unfit([t for t in tasks if t.task_id not in reasons], sandbox, cache)
    return reasons


def verdicts_file(benchmark: Benchmark[Any]) -> str:
    """Its name has the environment in it: under other versions of the packages a verdict may be another."""
    return f"verdicts-{fingerprint(environment(benchmark.packages))[:8]}.jsonl"


def folder_for(benchmark: Benchmark[Any], parent: Path) -> Path:
    """Where verdicts on this benchmark under these settings are kept: other settings never meet them."""
    return parent / f"{benchmark.name}-{fingerprint(benchmark.settings())[:8]}"


def _judge_all(benchmark: Benchmark[Any], samples: Sequence[Sample], sandbox: Sandbox) -> Iterator[Judged]:
    """In no order. Programs with the same preloaded modules follow each other, so that servers are started seldom."""
    order = sorted(samples, key=lambda sample: benchmark.preload(benchmark.tasks[sample.task_id], sample.program))
    executor = ThreadPoolExecutor(sandbox.workers, thread_name_prefix="score")
    try:
        for future in as_completed([executor.submit(judge_one, benchmark, sample, sandbox) for sample in order]):
            yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def judge_one(benchmark: Benchmark[Any], sample: Sample, sandbox: Sandbox) -> Judged:
    """Runs part after part, up to the first that is not passed."""
    task = benchmark.tasks[sample.task_id]
    parts, cpu_ms = [], 0.0
    for name in benchmark.parts:
        result = _run(benchmark, task, name, sample.program, sandbox)
        cpu_ms += result.cpu_ms
        parts.append(Part(result.verdict.value, result.detail, errors_of(result), result.judged))
        if result.verdict != Verdict.PASS:
            break
    return Judged(sample.task_id, sample.sha256, tuple(parts), round(cpu_ms, 1))


def _run(benchmark: Benchmark[Any], task: Task, part: str, program: str, sandbox: Sandbox) -> RunResult:
    result = sandbox.run(benchmark.request(task, part, program))
    for request in benchmark.again(task, part, program, result):
        result = sandbox.run(request)
        if result.verdict != Verdict.PASS:
            break
    return result


def errors_of(result: RunResult) -> tuple[str, ...]:
    """Kinds of error, each once: the exceptions of tests and of the program, and "wrong answer" for values and assertions."""
    if result.verdict == Verdict.PASS:
        return ()
    if result.verdict == Verdict.ERROR and result.detail == "compile":
        return (COMPILE,)
    kinds: Counter[str] = Counter()
    for test in result.tests:
        if test.status == "fail":
            kinds[WRONG] += 1
        elif test.status == "error" and (raised := _raised(test.message)):
            kinds[raised] += 1
    if not kinds and result.verdict == Verdict.ERROR:
        kinds[result.detail.rpartition(".")[2]] += 1
    return tuple(sorted(kinds))


def _raised(message: str) -> str:
    """The exception's name out of a traceback: its message may itself have several lines."""
    for line in reversed(message.splitlines()):
        found = _RAISED.match(line)
        if found and found[1].rpartition(".")[2][:1].isupper():
            return found[1].rpartition(".")[2]
    return ""
