"""A language model as judge: do two versions differ in their logic (the paper's last filter), and are tests any good.

What is judged was written by models and may speak to the judge. So it is shown as syntax trees print, without comments
and docstrings, its long texts replaced by their hash; marks that no program can guess fence it in; and the verdict is read
from one line of an answer that holds nothing else, with the mark in it. Whatever is not exactly that is no verdict, and
the row fails: an injected instruction can spoil its own row only.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from iterpref.codeflow.asking import ask_in_order
from iterpref.codeflow.code import of_text, tree_of
from iterpref.codeflow.generate.answer import BadAnswer, only_json
from iterpref.codeflow.generate.chat import Message, RequestRefused
from iterpref.codeflow.generate.fences import spoken
from iterpref.codeflow.generate.llm import Connect, Lines, Role
from iterpref.schema import SourceFile, TestScores, TestSuite

VERSION = 3  # grows with every change of what the judge is shown, or of how it is read
LONGEST_TEXT = 60  # characters of a string that is shown as it is
# String literals, open ones too, and comments: what looks like the one inside of the other is part of it.
_TEXT_OR_COMMENT = re.compile(
    r"""(\"{3}|'{3}).*?(?:\1|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\#[^\n]*""", re.DOTALL
)


@dataclass(frozen=True)
class Opinion:
    """`passed` is None where no verdict could be read; `detail` is the judge's reason, or ours."""

    passed: bool | None
    detail: str


class Judge:
    """Asks `role` about pairs, `concurrency` at once; equal questions are asked once, also over several runs."""

    def __init__(self, role: Role, connect: Connect, concurrency: int) -> None:
        self._role, self._connect, self._concurrency = role, connect, concurrency

    def fingerprint(self) -> dict[str, Any]:
        return {"judge": VERSION, **self._role.fingerprint()}

    def opinions(self, pairs: Iterable[tuple[str, str]], total: int, spender: str) -> Generator[Opinion, None, None]:
        """One for each `(rejected, chosen)`, in their order, while they are read and asked about.

        Raises `UserError` at the end when the server or a budget kept some from being asked.
        """
        return ask_in_order(
            pairs, total, lambda lines, pair: self._opinion(lines, *pair), connect=self._connect, spender=spender,
            width=self._concurrency, what="judging", done="pairs are judged",
        )  # fmt: skip

    async def _opinion(self, lines: Lines, rejected: str, chosen: str) -> Opinion:
        try:
            first, second = neutral(rejected), neutral(chosen)
            if first == second:
                return Opinion(False, "equal without comments, docstrings and format")
            mark = mark_of(first, second)
            messages = self._role.prompt.render(first=first, second=second, mark=mark)
            verdict = await ask(lines, self._role, messages, mark)
            value = verdict.get("logical_difference")
            if not isinstance(value, bool):
                raise BadAnswer("judge_unreadable", "logical_difference is neither true nor false")
        except (BadAnswer, RequestRefused) as error:
            return Opinion(None, str(error))
        return Opinion(value, ascii(str(verdict.get("reason", ""))[:200])[1:-1])


async def ask(lines: Lines, role: Role, messages: Sequence[Message], mark: str) -> dict[str, Any]:
    """The one JSON object of an answer that is nothing else; raises `BadAnswer` otherwise."""
    answer = await lines.of(role.name).complete(messages, role.params)
    value = only_json(spoken(answer.text))
    if value is None or value.get("mark") != mark:
        raise BadAnswer("judge_unreadable", answer.text[:100])
    return value


async def score_tests(
    lines: Lines, role: Role, task: str, program: Sequence[SourceFile], suite: TestSuite
) -> TestScores:
    """What the judge thinks of tests; raises `BadAnswer` unless each score is a whole number from 1 to 5."""
    shown = {
        "task": task,
        "program": "\n\n".join(neutral_code(f.text) for f in program),
        "tests": "\n\n".join(neutral_code(f.text) for f in suite.files),
    }
    mark = mark_of(*shown.values())
    verdict = await ask(lines, role, role.prompt.render(**shown, mark=mark), mark)
    values = [verdict.get(item.name) for item in fields(TestScores)]
    if not all(type(value) is int and 1 <= value <= 5 for value in values):
        raise BadAnswer("judge_unreadable", values)
    return TestScores(*(int(str(value)) for value in values))


def mark_of(*texts: str) -> str:
    """A word that depends on all of the texts, so that none of them can hold it; the same in every run."""
    return "mark-" + hashlib.sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def neutral(completion: str) -> str:
    """The programs of a completion as their syntax trees print: no comment, no docstring, no long text, no prose around them."""
    return "\n\n".join(neutral_code(block.code) for block in of_text(completion).blocks)


def neutral_code(text: str) -> str:
    """Raises `BadAnswer` for a program nested too deep to print, which is shown to nobody."""
    tree = tree_of(text)
    if tree is None:
        # Not even Python: shown without comments, fences and tags, and with the hash of long texts.
        text = _TEXT_OR_COMMENT.sub(lambda match: _shown(match[0]), text)
        return "\n".join(re.sub(r"`{3,}|</?\w+>", "", line).rstrip() for line in text.splitlines())
    try:
        return ast.unparse(ast.fix_missing_locations(_Neutral().visit(tree)))
    except RecursionError:
        raise BadAnswer("judge_unasked", "a program is nested too deep to be shown") from None


def _shown(literal: str) -> str:
    return "" if literal.startswith("#") else _by_hash(literal)


def _by_hash(text: str) -> str:
    """A text of some length by its hash."""
    if len(text) <= LONGEST_TEXT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"<text {digest}, {len(text)} characters>"


class _Neutral(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | ast.Pass:
        # A text that stands alone does nothing, wherever it stands.
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(_by_hash(node.value)) if isinstance(node.value, str) else node
