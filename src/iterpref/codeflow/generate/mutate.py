"""The embedded debugger: plays the developer on machines without an LLM.

It starts from the task's reference solution with a few bugs put in, and repairs one of them in every round, at times
wrongly. A bug is a small edit of the text, never a re-print of the program: the diff between two versions is the bug.
Whether a version is right is for the sandbox to say; a bug may well turn out harmless.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from iterpref.codeflow.generate import NoDraft
from iterpref.codeflow.generate.bugs import KINDS, Edit, Source, apply_edits
from iterpref.errors import UserError
from iterpref.schema import Attempt, Draft, Problem, RefusedAnswer, SourceFile

VERSION = 1  # grows with every change of what the same seed writes
MAX_WRONG_REPAIRS = 2  # in one trajectory
NEAR = 2  # lines


@dataclass(frozen=True)
class Mutant:
    """A source with one bug. `line` is 1-based and counts in the source without it."""

    kind: str
    line: int
    text: str


@dataclass(frozen=True)
class _Bug:
    kind: str
    file: int  # index into the reference's files
    line: int  # first and last line that it touches, 1-based, in the reference
    last_line: int
    edit: Edit

    def distance(self, other: _Bug) -> int:
        """Lines from one bug to the other; 0 where they share a line."""
        return max(0, self.line - other.last_line, other.line - self.last_line)

    def clashes(self, other: _Bug) -> bool:
        return self.file == other.file and self.distance(other) == 0


@lru_cache(maxsize=256)
def _places(files: tuple[SourceFile, ...], kinds: tuple[str, ...]) -> tuple[_Bug, ...]:
    """Every bug that the files have room for, each edit once, in the order of `kinds`."""
    sources = [(i, Source(file.text, file.name)) for i, file in enumerate(files) if file.name.endswith(".py")]
    found: dict[tuple[int, str], _Bug] = {}
    for kind in kinds:
        for i, source in sources:
            for edit in KINDS[kind](source):
                first = source.line_of(edit.start)
                last = source.line_of(max(edit.start, edit.end - 1))
                found.setdefault((i, apply_edits(source.text, [edit])), _Bug(kind, i, first, last, edit))
    return tuple(found.values())


@lru_cache(maxsize=256)
def _syntax(text: str) -> str:
    return ast.dump(ast.parse(text))


@lru_cache(maxsize=4096)
def _with_bugs(files: tuple[SourceFile, ...], bugs: frozenset[_Bug]) -> tuple[SourceFile, ...] | None:
    """The files with all bugs in, or None where a file would not compile or would mean the same to Python's parser."""
    result = list(files)
    for i, file in enumerate(files):
        edits = [bug.edit for bug in bugs if bug.file == i]
        if not edits:
            continue
        text = apply_edits(file.text, edits)
        try:
            tree = ast.parse(text)
            compile(tree, file.name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return None
        if ast.dump(tree) == _syntax(file.text):
            return None
        result[i] = SourceFile(file.name, text)
    return tuple(result)


def _fits(files: tuple[SourceFile, ...], bug: _Bug, others: Sequence[_Bug]) -> bool:
    """Whether a bug can join the others: no shared line, and a sound program whichever of them get repaired first."""
    if any(bug.clashes(other) for other in others):
        return False
    subsets = (subset for n in range(len(others) + 1) for subset in itertools.combinations(others, n))
    return all(_with_bugs(files, frozenset({bug, *subset})) is not None for subset in subsets)


def _shuffled(places: Sequence[_Bug], rng: random.Random) -> Iterator[_Bug]:
    """All places in random order, one of each kind in turn, so that common kinds do not crowd out rare ones."""
    by_kind: dict[str, list[_Bug]] = {}
    for bug in places:
        by_kind.setdefault(bug.kind, []).append(bug)
    queues = list(by_kind.values())
    rng.shuffle(queues)
    for queue in queues:
        rng.shuffle(queue)
    while queues:
        yield from (queue.pop() for queue in queues)
        queues = [queue for queue in queues if queue]


def mutants(source: str, seed: int, limit: int | None = None) -> list[Mutant]:
    """Different single-bug versions of a source, of as many kinds as `limit` allows; all of them without a limit.

    Each compiles and differs from the source in its syntax tree. Raises `UserError` when the source is no Python.
    """
    files = (SourceFile("solution.py", source),)
    result: list[Mutant] = []
    for bug in _shuffled(_places(files, tuple(KINDS)), random.Random(f"{seed}:mutants")):
        if limit is not None and len(result) >= limit:
            break
        version = _with_bugs(files, frozenset({bug}))
        if version is not None:
            result.append(Mutant(bug.kind, bug.line, version[0].text))
    return result


@dataclass(frozen=True)
class _State:
    """A trajectory after some revisions. `used`: every bug that it ever had; none comes twice."""

    bugs: tuple[_Bug, ...]
    used: tuple[_Bug, ...]
    wrong_repairs: int = 0
    done: str = ""


class MutateGenerator:
    """Injects `bugs_min` to `bugs_max` bugs of the given kinds (default: all), and repairs one in every revision.

    With probability `wrong_repair` a repair goes wrong: another bug takes its place at most `NEAR` lines away, or the
    fix is right and breaks something elsewhere. That happens at most twice in a trajectory, so that every one
    ends at the reference after at most `bugs_max + 2` revisions: 6 with the defaults, where 91% need 5 or fewer.

    A task with fewer places than `bugs_min` gets as many bugs as it has room for. A note names the bugs present, with
    their lines in the reference: `off_by_one@7, wrong_key@12; repaired: early_return@20`.

    Raises `UserError` for options that make no sense, and for a task without a reference solution to break.
    """

    name = "mutate"

    def __init__(
        self,
        bugs_min: int = 1,
        bugs_max: int = 4,
        wrong_repair: float = 0.25,
        kinds: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= bugs_min <= bugs_max:
            raise UserError(
                f"generate: expected 1 <= bugs_min <= bugs_max, got bugs_min={bugs_min} and bugs_max={bugs_max}; "
                "a first version needs at least one bug"
            )
        if not 0.0 <= wrong_repair <= 1.0:
            raise UserError(f"generate: expected a probability in [0, 1] for wrong_repair, got {wrong_repair}")
        chosen = list(KINDS if kinds is None else kinds)
        for kind in chosen:
            if kind not in KINDS:
                close = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"generate.kinds: no bug kind {kind!r}; did you mean {close!r}? All kinds: {', '.join(KINDS)}"
                )
        if not chosen:
            raise UserError("generate.kinds: expected at least one bug kind, got none; leave it out for all of them")
        self.bugs_min, self.bugs_max, self.wrong_repair = bugs_min, bugs_max, wrong_repair
        self.kinds = tuple(kind for kind in KINDS if kind in chosen)

    def fingerprint(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": VERSION,
            "bugs_min": self.bugs_min,
            "bugs_max": self.bugs_max,
            "wrong_repair": self.wrong_repair,
            "kinds": list(self.kinds),
        }

    def start(self, problem: Problem, seed: int) -> Draft:
        return self._draft(problem, self._inject(problem, seed))

    def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        """Replays the trajectory from `seed`: only the number of attempts counts, neither their text nor `feedback`."""
        if not attempts:
            raise ValueError("revise needs at least one attempt; the first version comes from start")
        state = self._inject(problem, seed)
        for revision in range(1, len(attempts) + 1):
            state = self._repair(problem, state, random.Random(f"{seed}:{problem.task_id}:revise:{revision}"))
        return self._draft(problem, state)

    def _inject(self, problem: Problem, seed: int) -> _State:
        try:
            _places(problem.reference, self.kinds)
        except UserError as error:
            raise UserError(f"task {problem.task_id}: {error}") from error
        rng = random.Random(f"{seed}:{problem.task_id}:start")
        wanted = rng.randint(self.bugs_min, self.bugs_max)
        bugs: list[_Bug] = []
        while len(bugs) < wanted:
            bug = self._pick(problem, bugs, bugs, rng)
            if bug is None:
                break
            bugs.append(bug)
        if not bugs:
            kinds = "any kind" if self.kinds == tuple(KINDS) else f"the kinds {', '.join(self.kinds)}"
            detail = f"no room for a bug of {kinds} in the functions of the reference solution, of {len(problem.reference)} file(s)"
            # One task in a thousand is no reason to stop at the others.
            raise NoDraft((RefusedAnswer(0, "no_room_for_a_bug", detail),))
        return _State(tuple(bugs), tuple(bugs))

    def _repair(self, problem: Problem, state: _State, rng: random.Random) -> _State:
        """One revision: a bug goes, and where the repair is wrong another one comes."""
        if not state.bugs:
            return _State((), state.used)
        old = rng.choice(state.bugs)
        rest = [bug for bug in state.bugs if bug is not old]
        goes_wrong, nearby = rng.random() < self.wrong_repair, rng.random() < 0.5
        if goes_wrong and state.wrong_repairs < MAX_WRONG_REPAIRS:
            new = self._pick(problem, rest, state.used, rng, near=old if nearby else None)
            if new is not None:
                names = self._label(problem, old), self._label(problem, new)
                done = "replaced: {} by {}" if nearby else "repaired: {}; introduced: {}"
                return _State((*rest, new), (*state.used, new), state.wrong_repairs + 1, done.format(*names))
        return _State(tuple(rest), state.used, state.wrong_repairs, f"repaired: {self._label(problem, old)}")

    def _pick(
        self, problem: Problem, bugs: Sequence[_Bug], used: Sequence[_Bug], rng: random.Random, near: _Bug | None = None
    ) -> _Bug | None:
        """A bug that fits in with `bugs`, is not among `used`, and where asked for lies near another."""
        for bug in _shuffled(_places(problem.reference, self.kinds), rng):
            close = near is None or (bug.file == near.file and bug.distance(near) <= NEAR)
            if close and bug not in used and _fits(problem.reference, bug, bugs):
                return bug
        return None

    @staticmethod
    def _label(problem: Problem, bug: _Bug) -> str:
        place = f"{problem.reference[bug.file].name}:" if len(problem.reference) > 1 else ""
        return f"{bug.kind}@{place}{bug.line}"

    def _draft(self, problem: Problem, state: _State) -> Draft:
        files = _with_bugs(problem.reference, frozenset(state.bugs))
        assert files is not None  # `_fits` checked every subset of the bugs
        bugs = sorted(state.bugs, key=lambda bug: (bug.file, bug.line))
        present = ", ".join(self._label(problem, bug) for bug in bugs)
        return Draft(files, "; ".join(part for part in (present, state.done) if part))
