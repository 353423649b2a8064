"""The stage in front of the first: tree -> grown tree -> samples of features -> tasks, each written by the author's model.

Every question and answer is in the request cache, so that a killed or extended run asks only what was never asked.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from iterpref.artifacts import Artifact, Rows, building, find, fingerprint, publish
from iterpref.codeflow.asking import ask_in_order
from iterpref.codeflow.debug import sample_seed
from iterpref.codeflow.features.tree import FeaturePath, FeatureTree, is_name, read_tree
from iterpref.codeflow.generate.answer import CONTROL, BadAnswer, only_json
from iterpref.codeflow.generate.chat import Completion, Message, RequestRefused
from iterpref.codeflow.generate.fences import spoken
from iterpref.codeflow.generate.llm import PYTHON, Connect, Lines, Role
from iterpref.codeflow.generate.local import LocalModels
from iterpref.codeflow.generate.prompts import Prompt
from iterpref.codeflow.generate.setup import connect, role_of
from iterpref.codeflow.problems import take_evenly
from iterpref.codeflow.suites import NO_TESTS
from iterpref.config.codeflow import FeaturesConfig, ProblemsConfig
from iterpref.config.generate import GenerateConfig
from iterpref.errors import UserError
from iterpref.record import Record
from iterpref.schema import Problem

log = logging.getLogger(__name__)
VERSION = 2  # grows with every change of how answers are read
CHILDREN = 6  # asked for, below one node; what goes beyond is left out
SHORTEST, LONGEST = 40, 8000  # characters of a task
_TASK = re.compile(r"\s*<task>(.*?)</task>\s*\Z", re.DOTALL)
R = TypeVar("R")


@dataclass(frozen=True)
class Refused(Record):
    """A sample without a task, or a node without new children: why."""

    features: tuple[str, ...]
    reason: str
    detail: str


def parse_children(answer: Completion) -> list[str]:
    """The names in an answer that is one `<json>` line; raises `BadAnswer`."""
    value = only_json(spoken(answer.text))
    names = value.get("children") if value else None
    if not isinstance(names, list) or not names:
        raise BadAnswer("children_unreadable", answer.text[:100])
    stripped = [name.strip() if isinstance(name, str) else name for name in names]
    if not all(is_name(name) for name in stripped):
        raise BadAnswer("children_unreadable", next(name for name in stripped if not is_name(name)))
    return [str(name) for name in stripped[:CHILDREN]]


def parse_task(answer: Completion) -> str:
    """The text between the marks of an answer that holds nothing else; raises `BadAnswer`."""
    text = spoken(answer.text)
    match = _TASK.match(text)
    if match is None and answer.cut:
        raise BadAnswer("answer_cut", "it was cut, mostly by the limit on its tokens: generate.max_tokens")
    if match is None or "<task>" in match[1]:
        raise BadAnswer("task_unreadable", text[:100])
    task = match[1].strip()
    if CONTROL.search(task):
        raise BadAnswer("control_characters", task[:100])
    if not SHORTEST <= len(task) <= LONGEST:
        raise BadAnswer("task_too_short" if len(task) < SHORTEST else "task_too_long", f"{len(task)} characters")
    return task


def written_tasks(
    data: Path, problems: ProblemsConfig, generate: GenerateConfig, local: LocalModels, seed: int
) -> list[Problem]:
    """The tasks of problems=features, written once and kept under `data/tasks`. Raises `UserError` when none could be read."""
    tree = read_tree(problems.path, problems.features.each)
    author = role_of(generate, "author", Prompt("task", generate.task_prompt), local)
    gardener = replace(author, prompt=Prompt("evolve", generate.evolve_prompt))
    roles = {
        "author": author.fingerprint(),
        **({"gardener": gardener.fingerprint()} if problems.features.evolve else {}),
    }
    config = {
        **asdict(problems.features),
        "answer_retries": generate.answer_retries,
        "packages": list(generate.packages),
    }
    key = fingerprint("tasks", VERSION, tree.to_dict(), config, roles, seed)
    folder = data / "tasks"
    with building(folder, key):
        done = find(folder, key)
        if done is None:
            writer = _Writer(
                problems.features, generate, author, gardener, connect(generate, data, local), seed, spender=key
            )
            done = writer.build(tree, folder, key, {"features": config, **roles, "seed": seed})
    tasks = done.read("tasks", Problem)
    if not tasks:
        counts = done.manifest["counts"]
        reasons = ", ".join(f"{reason}: {n}" for reason, n in counts["refused"].items())
        raise UserError(
            f"problems=features: none of {counts['asked']} answers held a task that can be read ({reasons}); ask a stronger model, "
            "raise generate.max_tokens or generate.answer_retries, or change generate.task_prompt=FILE"
        )
    return take_evenly(tasks, problems.limit) if problems.limit else tasks


class _Writer:
    def __init__(
        self, config: FeaturesConfig, generate: GenerateConfig, author: Role, gardener: Role, connect: Connect, seed: int, spender: str
    ) -> None:  # fmt: skip
        self._config, self._generate, self._author, self._gardener = config, generate, author, gardener
        self._connect, self._seed, self._spender = connect, seed, spender
        self._refused: list[Refused] = []

    def build(self, tree: FeatureTree, folder: Path, key: str, config: dict[str, Any]) -> Artifact:
        grown = self._grow(tree)
        seen: set[FeaturePath] = set()
        samples = [tree.sample(i, self._config.each, self._seed, seen) for i in range(self._config.tasks)]
        answers = self._ask(samples, self._task, "writing tasks", "tasks are written")
        tasks: dict[str, Problem] = {}
        for features, text in zip(samples, answers, strict=True):
            problem = None if text is None else self._problem(features, text)
            same = " ".join(text.casefold().split()) if text else ""
            if problem and same in tasks:
                self._refused.append(Refused(features, "task_repeated", tasks[same].task_id))
            elif problem:
                tasks[same] = problem
        ordered = sorted(tasks.values(), key=lambda p: p.task_id)
        reasons = Counter(r.reason for r in self._refused)
        counts = {
            "asked": len(samples), "tasks": len(ordered), "grown": sum(map(len, grown.values())), "refused": dict(sorted(reasons.items())),
        }  # fmt: skip
        log.info(
            "tasks: %d of %d%s", len(ordered), len(samples), "".join(f", {k}: {n}" for k, n in sorted(reasons.items()))
        )
        tables: dict[str, Rows] = {"tasks": (Problem, ordered), "refused": (Refused, self._refused)}
        return publish(folder, key, tables, {"stage": "tasks", "config": config, "counts": counts, "grown": grown})

    def _grow(self, tree: FeatureTree) -> dict[str, list[str]]:
        """Extends the tree, as many nodes at a time as it has; what was added, by node."""
        left, turn = self._config.evolve, 0
        grown: dict[str, list[str]] = {}
        while left > 0:
            nodes = tree.nodes()
            random.Random(f"{self._seed}/grow/{turn}").shuffle(nodes)
            nodes = nodes[:left]
            answers = self._ask(
                nodes, lambda lines, path: self._children(lines, path, tree), "growing the tree", "nodes are extended"
            )
            for path, names in zip(nodes, answers, strict=True):
                before = set(tree.children(path))
                if names is not None and tree.graft(path, names):
                    grown.setdefault("/".join(path), []).extend(n for n in tree.children(path) if n not in before)
                elif names is not None:
                    self._refused.append(Refused(path, "children_known", ", ".join(names)))
            left, turn = left - len(nodes), turn + 1
        return grown

    def _ask(
        self, questions: Sequence[FeaturePath], work: Callable[[Lines, FeaturePath], Awaitable[R | Refused]], what: str, done: str
    ) -> list[R | None]:  # fmt: skip
        answers = ask_in_order(
            questions, len(questions), work, connect=self._connect, spender=self._spender, width=self._generate.concurrency, what=what, done=done,
        )  # fmt: skip
        found: list[R | None] = []
        for answer in answers:
            if isinstance(answer, Refused):
                self._refused.append(answer)
            found.append(None if isinstance(answer, Refused) else answer)
        return found

    async def _children(self, lines: Lines, path: FeaturePath, tree: FeatureTree) -> list[str] | Refused:
        messages = self._gardener.prompt.render(path=path[1:], children=tree.children(path), wanted=CHILDREN)
        return await self._answer(lines, self._gardener, messages, path, parse_children)

    async def _task(self, lines: Lines, features: FeaturePath) -> str | Refused:
        shown = [feature.replace("/", " > ") for feature in features]
        messages = self._author.prompt.render(features=shown, packages=tuple(self._generate.packages), python=PYTHON)
        return await self._answer(lines, self._author, messages, features, parse_task)

    async def _answer(
        self, lines: Lines, role: Role, messages: Sequence[Message], features: FeaturePath, parse: Callable[[Completion], R]
    ) -> R | Refused:  # fmt: skip
        """What could be read of an answer; one that cannot be is asked for again with another seed, `generate.answer_retries` times."""
        tries = self._generate.answer_retries + 1 if role.params.temperature > 0 else 1
        refused = Refused(features, "", "")
        for i in range(tries):
            try:
                params = role.params_for(sample_seed(self._seed, "/".join(features), i))
                return parse(await lines.of(role.name).complete(messages, params))
            except (BadAnswer, RequestRefused) as error:
                refused = Refused(features, error.reason, error.detail)
        return refused

    def _problem(self, features: FeaturePath, text: str) -> Problem:
        digest = hashlib.sha256("\n".join(features).encode()).digest()
        share = int.from_bytes(digest[8:12], "big") / 2**32
        test = self._config.test_share
        split = "test" if share < test else "validation" if share < test + self._config.validation_share else "train"
        return Problem(
            task_id=f"features/{digest[:6].hex()}", prompt=text, tests=NO_TESTS, source="features", license="unknown",
            category=features[0].split("/")[0], split=split, features=features,
        )  # fmt: skip
