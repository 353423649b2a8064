"""LiveCodeBench (arXiv:2403.07974): contest tasks since a date, as a function on JSON values or a program on standard input.

Read from the data set's own rows, or from SandboxFusion's, whose tests are packed likewise. The harness's prelude of star
imports stands in front of every program, and its limit of 6 s holds for each input. On purpose a program may do here what
the harness cannot take: read `sys.stdin.buffer`, iterate over standard input, write to descriptor 1.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from iterpref.codeflow.sandbox.compare import Values
from iterpref.codeflow.sandbox.protocol import FunctionCases, RunRequest, RunResult, StdioCases
from iterpref.config import BenchmarkConfig
from iterpref.errors import UserError
from iterpref.eval.sanitize import last_fence
from iterpref.eval.tasks.origin import Origin, Rows, field
from iterpref.eval.tasks.task import Benchmark, Messages, Task
from iterpref.eval.tasks.wording import FENCE, LCB_STARTER, LCB_STDIN, LCB_SYSTEM
from iterpref.schema import SourceFile, Verdict

CPU_S = 6.0  # of each input
UNPACKED = 1 << 30  # bytes of one task's tests
STARS = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json",
)  # fmt: skip
PRELUDE = (
    "".join(f"from {name} import *\n" for name in (*STARS, "builtins", "typing"))
    + "".join(f"import {name}\n" for name in STARS)
    + "sys.setrecursionlimit(50000)\n\n"
)
_KEYS = ("question_content", "question_id", "contest_date", "starter_code", "public_test_cases", "metadata")


@dataclass(frozen=True)
class LcbTask(Task):
    starter: str = ""
    day: date | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    whole_prompt: bool = False  # the row holds the harness's prompt, not only the question


@dataclass(frozen=True)
class Called(Values):
    """What a function returned: a tuple counts as the list that JSON would have."""

    def __call__(self, value: Any, expected: Any) -> str:
        return super().__call__(list(value) if isinstance(value, tuple) else value, expected)


@dataclass(frozen=True)
class Printed:
    """`(printed, expected) -> ""` if line by line they are equal but for white space around them, or equal decimals."""

    def __call__(self, printed: str, expected: str) -> str:
        left, right = ([line.strip() for line in text.strip().split("\n")] for text in (printed, expected))
        if len(left) != len(right):
            return f"expected {len(right)} lines, got {len(left)}"
        for i, (a, b) in enumerate(zip(left, right, strict=True), 1):
            if a != b and (_decimals(a) is None or _decimals(a) != _decimals(b)):
                return f"line {i}: expected {b[:100]!r}, got {a[:100]!r}"
        return ""


def _decimals(line: str) -> list[Decimal] | None:
    """The numbers of a line of nothing else. NaN is none: to compare a signalling one raises, and a quiet one equals nothing."""
    try:
        numbers = [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None
    return None if any(number.is_nan() for number in numbers) else numbers


class LiveCodeBench(Benchmark[LcbTask]):
    stops = ("###",)
    max_new_tokens = 2000
    completes_prompt = False

    def request(self, task: LcbTask, part: str, program: str) -> RunRequest:
        files = (SourceFile("solution.py", PRELUDE + program),)
        limits = self.limits(CPU_S)
        if not task.entry_point:
            return RunRequest(files, StdioCases(task.inputs, task.outputs, Printed()), limits)
        calls = tuple(tuple(json.loads(line) for line in text.split("\n")) for text in task.inputs)
        expected = tuple(json.loads(text) for text in task.outputs)
        # One object for all calls, as in the harness.
        method = "class Solution" in program
        name = "_asked" if method else task.entry_point
        setup = f"_asked = Solution().{task.entry_point}" if method else ""
        return RunRequest(files, FunctionCases(calls, expected, name, setup, Called("equal")), limits)

    def again(self, task: LcbTask, part: str, program: str, result: RunResult) -> Sequence[RunRequest]:
        request = self.request(task, part, program)
        tests = request.tests
        if result.verdict != Verdict.TIMEOUT or not isinstance(tests, FunctionCases) or len(tests.calls) < 2:
            return ()
        assert tests.expected is not None
        pairs = zip(tests.calls, tests.expected, strict=True)
        alone = (dataclasses.replace(tests, calls=(call,), expected=(value,)) for call, value in pairs)
        return [dataclasses.replace(request, tests=one) for one in alone]

    def stub(self, task: LcbTask) -> str:
        return super().stub(task) if task.entry_point else "pass\n"

    def base_prompt(self, task: LcbTask) -> str:
        # The harness shows one solved example first, which is no part of its data set.
        starter = f"### Starter Code\n{task.starter}\n\n" if task.starter else ""
        return f"### Question\n{task.prompt}\n\n{starter}### Answer\n\n"

    def chat(self, task: LcbTask) -> tuple[Messages, str]:
        if task.whole_prompt:
            return [{"role": "user", "content": task.prompt}], ""
        shape = (
            f"{LCB_STARTER}\n{FENCE}python\n{task.starter}"
            if task.starter
            else f"{LCB_STDIN}\n{FENCE}python\n# YOUR CODE HERE"
        )
        question = (
            f"### Question:\n{task.prompt}\n\n### Format: {shape}\n{FENCE}\n\n"
            "### Answer: (use the provided format with backticks)\n\n"
        )
        return [{"role": "system", "content": LCB_SYSTEM}, {"role": "user", "content": question}], ""

    def solution(self, task: LcbTask, answer: str, chat: bool) -> str:
        return last_fence(answer) if chat else answer.strip()


def build(config: BenchmarkConfig, origin: Origin, rows: Rows) -> LiveCodeBench:
    first, last = (_day(f"benchmark.{name}", getattr(config, name)) for name in ("after", "before"))
    known = [_official(where, row) if "question_content" in row else _fusion(where, row) for where, row in rows]
    tasks = known
    if first or last:
        dateless = next((task for task in tasks if task.day is None), None)
        if dateless is not None:
            raise UserError(
                f"benchmark.after, benchmark.before: {dateless.task_id} of {origin.source} has no contest date; leave "
                "both out, or give the data set's own file"
            )
        days = sorted(task.day for task in tasks if task.day)
        tasks = [t for t in tasks if t.day and (not first or t.day >= first) and (not last or t.day < last)]
        if not tasks:
            raise UserError(
                f"benchmark.after={config.after} benchmark.before={config.before}: no task is left; those of "
                f"{origin.source} are from {days[0]} to {days[-1]}"
            )
    benchmark = LiveCodeBench(config.name, origin, tasks, config.time_factor)
    benchmark.left_out = frozenset(task.task_id for task in known) - benchmark.tasks.keys()
    return benchmark


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        raise UserError(f"{option}={text}: expected a date such as 2024-08-01") from None


def _official(where: str, row: Mapping[str, Any]) -> LcbTask:
    field(where, row, _KEYS, "LiveCodeBench")
    try:
        cases = json.loads(row["public_test_cases"]) + _private(row.get("private_test_cases") or "[]")
        name = json.loads(row["metadata"] or "{}").get("func_name") or ""
        inputs, outputs = tuple(case["input"] for case in cases), tuple(case["output"] for case in cases)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: the tests of {row['question_id']} cannot be read ({error!r})") from None
    day = _day(f"{where}: contest_date", str(row["contest_date"]))
    task = LcbTask(str(row["question_id"]), row["question_content"], name, starter=row["starter_code"] or "", day=day)
    return _with_tests(where, task, inputs, outputs)


def _fusion(where: str, row: Mapping[str, Any]) -> LcbTask:
    field(where, row, ("content", "test", "labels"), "LiveCodeBench")
    try:
        tests = json.loads(_unpacked(row["test"])["input_output"])
        labels = row["labels"] if isinstance(row["labels"], dict) else json.loads(row["labels"])
        task_id, name = str(labels["task_id"]), tests.get("fn_name") or ""
        inputs, outputs = tuple(tests["inputs"]), tuple(tests["outputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: the tests cannot be read ({error!r})") from None
    return _with_tests(where, LcbTask(task_id, row["content"], name, whole_prompt=True), inputs, outputs)


def _with_tests(where: str, task: LcbTask, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> LcbTask:
    if not inputs or len(inputs) != len(outputs):
        raise UserError(
            f"{where}: {task.task_id} has {len(inputs)} inputs and {len(outputs)} outputs; expected as many, and one at least"
        )
    return dataclasses.replace(task, inputs=inputs, outputs=outputs)


def _private(text: str) -> list[dict[str, str]]:
    try:
        return list(json.loads(text))
    except ValueError:
        return list(json.loads(_unpacked(text)))


class _PlainUnpickler(pickle.Unpickler):
    """Texts, numbers, lists and dicts; a pickle that names any class is refused, as loading that could run anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _unpacked(text: str) -> Any:
    """The plain data in base64(zlib(pickle)); raises ValueError for anything else."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text), UNPACKED)
        if unpacker.unconsumed_tail:
            raise ValueError(f"more than {UNPACKED} bytes of tests")
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
        raise ValueError(f"packed tests: {error}") from error
