"""The records that travel through the house, and the legend of tensor shapes.

Nothing here imports torch, transformers or Hydra: a record can be read by any part of the package, at no cost.

Shape legend (suffix of every tensor's name):

    P   preference pairs in a batch            S   rows of tokens in a batch
    T   token positions in such a row          R   rows of logits, one for each scored token
    E   entries: (row, sequence, weight)       V   vocabulary
    H   hidden size
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from iterpref.record import Record

SPLITS = ("train", "validation", "test")  # each further from training than the one before

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    # A row of token ids, marks or weights: a tuple when made by hand, a numpy array when it comes from the tokens stage.
    IntRow = tuple[int, ...] | npt.NDArray[np.integer[Any]]
    FloatRow = tuple[float, ...] | npt.NDArray[np.floating[Any]]
else:
    IntRow, FloatRow = tuple[int, ...], tuple[float, ...]

SCHEMA_VERSION = 2


class Verdict(StrEnum):
    """What the harness, and nothing else, says about one run of a program on one test suite."""

    PASS = "PASS"  # every expected test ran and passed
    FAIL = "FAIL"  # all tests ran to an end, at least one assertion was wrong (or a test was skipped)
    ERROR = "ERROR"  # the program or a test raised, or the source does not compile
    TIMEOUT = "TIMEOUT"  # CPU or wall limit; killed
    OOM = "OOM"  # memory limit
    OUTPUT_LIMIT = "OUTPUT_LIMIT"  # wrote more than it may
    PROC_LIMIT = "PROC_LIMIT"  # more processes or threads than it may
    EARLY_EXIT = "EARLY_EXIT"  # ended before the tests did, without a verdict
    CRASH = "CRASH"  # killed by a signal of its own making; `detail` names it
    TAMPER = "TAMPER"  # the harness found itself changed
    FLAKY = "FLAKY"  # two runs of the same version disagree
    HARNESS_ERROR = "HARNESS_ERROR"  # our fault, never a label


@dataclass(frozen=True)
class SourceFile(Record):
    """One file of a solution or of a test suite. `name` is relative, with no `..`."""

    name: str
    text: str


def files_sha256(files: Sequence[SourceFile]) -> str:
    """sha256 over names and texts, in the order given; equal exactly when the files are equal."""
    digest = hashlib.sha256()
    for file in files:
        for part in (file.name, file.text):
            # A lone surrogate is legal in a Python str and must not stop the hash.
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


@dataclass(frozen=True)
class TestScores(Record):
    """A judge's opinion of tests, each from 1 (poor) to 5."""

    __test__ = False

    accuracy: int
    effectiveness: int
    reasonableness: int


@dataclass(frozen=True)
class TestSuite(Record):
    """Frozen tests: every version of a task is judged by exactly these."""

    __test__ = False  # the name looks like a test class to pytest

    files: tuple[SourceFile, ...]
    framework: str  # unittest | asserts | stdio (codeflow/suites.py) | none: not written yet
    n_tests: int  # tests that must run; fewer is never a pass
    coverage: float | None = None  # share of lines that they run, in [0, 1]: of the reference, else of the last version
    scores: TestScores | None = None

    @property
    def sha256(self) -> str:
        return files_sha256(self.files)


@dataclass(frozen=True)
class Problem(Record):
    """A task: what the user asks, the frozen tests, and where known a reference solution."""

    task_id: str
    prompt: str
    tests: TestSuite
    reference: tuple[SourceFile, ...] = ()
    source: str = "bank"
    license: str = "Apache-2.0"
    category: str = ""
    split: str = "train"  # train | validation | test, fixed for good
    features: tuple[str, ...] = ()  # what it was written about, each a path "domain/task/..." of a feature tree


@dataclass(frozen=True)
class LlmCall(Record):
    """One answer of a language model; the answer itself is in the request cache, under its key."""

    role: str  # author | debugger | judge
    model: str
    params: str  # JSON of the sampling parameters
    request_key: str
    tokens_in: int
    tokens_out: int
    cost: float  # in the currency of the configured prices


@dataclass(frozen=True)
class RefusedAnswer(Record):
    """An answer that no program could be read from, or a request that the server would not answer (`llm` is None)."""

    i: int  # the iteration that it was asked for
    reason: str  # a word for the statistics
    detail: str
    llm: LlmCall | None = None


@dataclass(frozen=True)
class Draft(Record):
    """What a generator hands over: files to run, a note on how they came to be, and what the language model had to do with it."""

    files: tuple[SourceFile, ...]
    note: str = ""
    tests: TestSuite | None = None  # of a first version whose author writes the tests, frozen from here on
    llm: LlmCall | None = None
    refused: tuple[RefusedAnswer, ...] = ()  # answers before this one
    preload: tuple[str, ...] = ()  # packages that it runs with


@dataclass(frozen=True)
class Attempt(Record):
    """One executed version of a task. Durations live apart (`Timing`), so that records are repeatable byte for byte."""

    i: int
    parent: int | None
    files: tuple[SourceFile, ...]
    tests_sha256: str
    verdict: Verdict
    detail: str
    n_pass: int
    n_fail: int
    stdout_tail: str = ""
    stderr_tail: str = ""
    note: str = ""
    llm: LlmCall | None = None
    refused: tuple[RefusedAnswer, ...] = ()  # answers to the same question that could not be used
    packages: tuple[str, ...] = ()  # that it ran with, beside the standard library


@dataclass(frozen=True)
class Timing(Record):
    """What one execution cost; kept beside the records because no two runs agree on it."""

    trajectory_id: str
    i: int
    duration_ms: float
    peak_memory_mb: float | None
    tier: str
    judged: str = ""  # inside | outside of the program's own process
    cpu_ms: float = 0.0
    waited_ms: float = 0.0  # time without a core although it was ready: the machine's load
    cores: int = 0  # that the sandbox might use


@dataclass(frozen=True)
class Trajectory(Record):
    """The debugging history of one sample of one task."""

    trajectory_id: str  # "{task_id}#{sample}"
    task_id: str
    prompt: str
    source: str
    license: str
    category: str
    split: str
    tests: TestSuite
    iterations: tuple[Attempt, ...]
    status: str  # solved | solved_at_once | unsolved | refused (no usable answer) | unfit (its tests can judge nothing)
    seed: int
    detail: str = ""  # why it is refused or unfit
    refused: tuple[RefusedAnswer, ...] = ()  # the answers that ended it
    features: tuple[str, ...] = ()  # of its problem
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Statistic(Record):
    """How often something was seen in the trajectories of a data set."""

    # verdict | error (its type) | refused (its reason) | answers, tokens (by role) | solved (by then, trajectories) | coverage
    # (lower bound of a tenth) | category | feature (the first two names of its path)
    name: str
    i: int  # the iteration; -1 for what belongs to the whole trajectory
    value: str
    count: int


@dataclass(frozen=True)
class Span(Record):
    """Characters [start, end) of a completion."""

    start: int
    end: int


@dataclass(frozen=True)
class FilterResult(Record):
    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Message(Record):
    """One turn of a conversation."""

    role: str  # system | user | assistant | tool
    content: str


@dataclass(frozen=True)
class PreferencePair(Record):
    """One row of CodeFlow, or of anyone's preference data; opens as it is in `datasets` and in TRL (`prompt`, `chosen`, `rejected`)."""

    pair_id: str
    task_id: str
    split: str
    category: str
    prompt: str
    chosen: str  # completion text, fence included
    rejected: str
    chosen_iter: int  # -1: no history is known
    rejected_iter: int
    tests_sha256: str  # empty: no tests are known
    d_minus: tuple[int, ...]  # 0-based line numbers of `rejected` outside the LCS
    d_plus: tuple[int, ...]
    d_minus_spans: tuple[Span, ...]  # the same, as characters of `rejected`
    d_plus_spans: tuple[Span, ...]
    diff_algo: str
    empty_policy: str
    ast_equal: bool
    note: str = ""  # the generator's note on the rejected version
    filters: tuple[FilterResult, ...] = ()
    turns: tuple[Message, ...] = ()  # the prompt's turns, where it is more than one turn of the user
    source: str = "codeflow"  # codeflow | the file, folder or hub id that the pair was read from

    @property
    def conversation(self) -> str | tuple[Message, ...]:
        """What a chat template is asked to render: the turns, or the user's only one."""
        return self.turns or self.prompt


@dataclass(frozen=True, eq=False)
class Example(Record):
    """A tokenised pair. All rows of one side have one length: that side's completion tokens, EOS included.

    Rows are tuples or numpy arrays (ids int32, masks and log-probs fp32, focal uint8): equal when their numbers are.
    """

    pair_id: str
    split: str
    prompt_ids: IntRow
    chosen_ids: IntRow
    rejected_ids: IntRow
    chosen_mask: FloatRow  # weight of each token in K+
    rejected_mask: FloatRow  # weight of each token in K-
    chosen_focal: IntRow  # 1 where the token lies in D+, whatever the mask rule: for metrics
    rejected_focal: IntRow
    chosen_ref_logps: FloatRow | None = None  # fp32, once cached
    rejected_ref_logps: FloatRow | None = None

    def to_dict(self) -> dict[str, Any]:
        row = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Example):
            return NotImplemented
        pairs = [(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)]
        return all(a == b if a is None or b is None else tuple(a) == tuple(b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]
