"""Who writes the versions of a solution: an LLM behind an endpoint or in this process, or the embedded debugger."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, runtime_checkable

from iterpref.codeflow.generate.limits import Stop
from iterpref.schema import Attempt, Draft, Problem, RefusedAnswer


class Generator(Protocol):
    """Writes the first version of a solution, then repairs it. It never runs anything: verdicts come from the sandbox.

    Both methods are pure functions of their arguments (a language model's answers are kept, and so are the same again),
    so that a run that was killed goes on from its stored attempts as if nothing had happened. A generator that waits for
    something hands over an awaitable.
    """

    name: str

    def start(self, problem: Problem, seed: int) -> Draft | Awaitable[Draft]:
        """The first version for a task, with its tests where the problem has none."""

    def revise(
        self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int
    ) -> Draft | Awaitable[Draft]:
        """The next version, given all versions so far (at least one, oldest first) and the tests' words on the last."""

    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes what the generator writes, as plain JSON types: its name, version and options."""


@runtime_checkable
class Online(Protocol):
    """A generator that asks others: begun before its first version, ended after its last."""

    concurrency: int  # calls at once

    def begin(self, stop: Stop, spender: str) -> None:
        """`stop` is asked before each call; calls are paid in the name of `spender`."""

    async def end(self) -> None:
        """On the event loop that the calls were made on."""


class NoDraft(Exception):
    """The generator has nothing to run: the last of `refused` says why."""

    def __init__(self, refused: tuple[RefusedAnswer, ...]) -> None:
        self.refused = refused
        super().__init__(f"{refused[-1].reason}: {refused[-1].detail}")
