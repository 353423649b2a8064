"""A language model as the developer: it writes a program (and, where the task has none, its tests), then mends it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from iterpref.codeflow.code import imported, tree_of
from iterpref.codeflow.generate import NoDraft
from iterpref.codeflow.generate.answer import Answer, BadAnswer, is_test_name, parse_answer
from iterpref.codeflow.generate.chat import ChatBackend, ChatParams, Completion, Message, RequestRefused
from iterpref.codeflow.generate.limits import Stop
from iterpref.codeflow.generate.prompts import Prompt
from iterpref.codeflow.suites import freeze, module_of, wanted_names
from iterpref.schema import Attempt, Draft, LlmCall, Problem, RefusedAnswer, SourceFile

VERSION = 2  # grows with every change of how answers are read
_ECHO_CHARS = 4000  # of an unreadable answer, when it is asked for again
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Role:
    """Who is asked, and how: one model in one part."""

    name: str  # author | debugger | judge
    model: str
    params: ChatParams
    prompt: Prompt

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self.model, "params": self.params.to_dict(), "prompt": self.prompt.sha256}

    def params_for(self, seed: int) -> ChatParams:
        """Each sample has a seed of its own; greedy answers have none, and so are asked for once."""
        return replace(self.params, seed=seed % 2**31) if self.params.temperature > 0 else self.params

    def call(self, params: ChatParams, answer: Completion) -> LlmCall:
        text = json.dumps(params.to_dict(), sort_keys=True)
        return LlmCall(
            self.name, answer.model, text, answer.request_key, answer.tokens_in, answer.tokens_out, answer.cost
        )


class Lines(Protocol):
    """The models behind the roles, while a run lasts."""

    def of(self, role: str) -> ChatBackend: ...

    async def close(self) -> None: ...


Connect = Callable[[Stop, str], Lines]  # (asked before each call, who pays)


class LlmGenerator:
    """Author and debugger. Pure functions of their arguments and of the models' answers, which the request cache keeps.

    Args:
        unreadable: what a model is told whose answer could not be read, `answer_retries` times.
        connect: opens the lines to the models; calls are paid in the name that it is given, until `Stop` is set.
        concurrency: calls at once.
        packages: that programs may use beside the standard library.
        test_judge: scores the tests that the author writes.
    """

    name = "llm"

    def __init__(
        self,
        author: Role,
        debugger: Role,
        unreadable: Prompt,
        connect: Connect,
        *,
        concurrency: int,
        answer_retries: int = 1,
        packages: Sequence[str] = (),
        test_judge: Role | None = None,
    ) -> None:
        self.author, self.debugger, self.unreadable = author, debugger, unreadable
        self.concurrency, self.answer_retries, self.packages = concurrency, answer_retries, tuple(packages)
        self.test_judge = test_judge
        self._offered = frozenset(name.lower() for name in (*packages, *sys.stdlib_module_names))
        self.lines: Lines | None = None
        self._connect = connect

    def fingerprint(self) -> dict[str, Any]:
        roles = {role.name: role.fingerprint() for role in (self.author, self.debugger, self.test_judge) if role}
        return {
            "name": self.name, "version": VERSION, **roles, "unreadable": self.unreadable.sha256,
            "answer_retries": self.answer_retries, "packages": list(self.packages),
        }  # fmt: skip

    def begin(self, stop: Stop, spender: str) -> None:
        """Opens the lines; to be called before the first version is asked for."""
        self.lines = self._connect(stop, spender)

    async def end(self) -> None:
        if self.lines is not None:
            lines, self.lines = self.lines, None
            await lines.close()

    async def start(self, problem: Problem, seed: int) -> Draft:
        """Raises `NoDraft` when no answer can be used."""
        writes_tests = not problem.tests.files
        messages = self.author.prompt.render(
            prompt=problem.prompt, module=_module(problem), write_tests=writes_tests, packages=self.packages, python=PYTHON,
            program=problem.tests.framework == "stdio",
        )  # fmt: skip
        return await self._draft(self.author, problem, messages, seed, 0)

    async def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        last = attempts[-1]
        files = last.files
        messages = self.debugger.prompt.render(
            prompt=problem.prompt, files=files, feedback=feedback, packages=self.packages, python=PYTHON,
            fence=_fence(feedback, *(f.text for f in files)),
        )  # fmt: skip
        # Back at an earlier version, the question is one that was answered: another sample, or the circle would never end.
        asked = sum((a.files, a.stderr_tail) == (files, last.stderr_tail) for a in attempts[:-1])
        return await self._draft(self.debugger, problem, messages, seed, len(attempts), files, asked)

    async def _draft(
        self,
        role: Role,
        problem: Problem,
        messages: list[Message],
        seed: int,
        i: int,
        earlier: Sequence[SourceFile] = (),
        sample: int = 0,
    ) -> Draft:
        assert self.lines is not None, "begin comes first"
        refused: list[RefusedAnswer] = []
        params = role.params_for(seed + sample)
        if params.seed is None:
            sample = 0  # greedy: asking once more would be paid for and change nothing
        for _ in range(self.answer_retries + 1):
            try:
                answer = await self.lines.of(role.name).complete(messages, params, sample)
            except RequestRefused as error:
                refused.append(RefusedAnswer(i, error.reason, error.detail))
                break
            call = role.call(params, answer)
            try:
                draft = self._read(answer, problem, first=i == 0, earlier=earlier)
                return replace(draft, note=f"{role.name} {answer.model}", llm=call, refused=tuple(refused))
            except BadAnswer as error:
                refused.append(RefusedAnswer(i, error.reason, error.detail, call))
                again = self.unreadable.render(reason=str(error))
                messages = [*messages, Message("assistant", _echo(answer.text)), *again]
        raise NoDraft(tuple(refused))

    def _read(self, answer: Completion, problem: Problem, first: bool, earlier: Sequence[SourceFile]) -> Draft:
        writes_tests = first and not problem.tests.files
        name = earlier[0].name if len(earlier) == 1 else _module(problem)
        parsed = parse_answer(
            answer.text, cut=answer.cut, name=name, wanted=wanted_names(problem.tests), with_tests=writes_tests,
            several=len(earlier) > 1,
        )  # fmt: skip
        files = _placed(parsed.files, problem, earlier)
        self._check_packages(parsed)
        tests = freeze(parsed.tests, files) if writes_tests else None
        return Draft(files, tests=tests, preload=self._preload(files))

    def _check_packages(self, parsed: Answer) -> None:
        own = {f.name.split("/")[0].removesuffix(".py").lower() for f in (*parsed.files, *parsed.tests)}
        for package in parsed.packages:
            if package not in self._offered and package not in own:
                raise BadAnswer("package_not_offered", package)

    def _preload(self, files: Sequence[SourceFile]) -> tuple[str, ...]:
        if not self.packages:
            return ()
        used = {name.split(".")[0] for f in files if f.name.endswith(".py") for name in imported(tree_of(f.text))}
        return tuple(sorted(used & set(self.packages)))


def _echo(text: str) -> str:
    """An answer as a turn that any server takes: never empty, and without halves of surrogate pairs."""
    return text[:_ECHO_CHARS].encode("utf-8", "replace").decode() if text.strip() else "(nothing)"


def _module(problem: Problem) -> str:
    if problem.reference:
        return problem.reference[0].name
    return module_of(problem.tests) or "solution.py"


def _placed(files: Sequence[SourceFile], problem: Problem, earlier: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
    """The files where the tests look for them, the first version's order kept; frozen tests are nobody's to write."""
    frozen = {f.name.casefold() for f in problem.tests.files}
    files = tuple(f for f in files if f.name.casefold() not in frozen and not is_test_name(f.name))
    wanted = module_of(problem.tests) if problem.tests.files else None
    if wanted and len(files) == 1 and files[0].name != wanted:
        files = (SourceFile(wanted, files[0].text),)
    if not files:
        raise BadAnswer("no_code", "nothing but files of the frozen tests")
    if len(earlier) == 1 and len(files) == 1:
        return (SourceFile(earlier[0].name, files[0].text),)
    # A version is whole: what the answer leaves out stays as it was.
    new = {f.name: f for f in files}
    kept = [new.pop(f.name, f) for f in earlier]
    return (*kept, *new.values())


def _fence(*texts: str) -> str:
    """A fence longer than any in the texts, so that none of them can close it."""
    longest = max((len(run) for text in texts for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)
