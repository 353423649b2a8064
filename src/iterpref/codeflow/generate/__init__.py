"""Who writes the versions of a solution: an LLM behind an endpoint or in this process, or the embedded debugger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from iterpref.schema import Attempt, Draft, Problem


class Generator(Protocol):
    """Writes the first version of a solution, then repairs it. It never runs anything: verdicts come from the sandbox.

    Both methods are pure functions of their arguments, so that a run that was killed goes on from its stored
    attempts as if nothing had happened.
    """

    name: str

    def start(self, problem: Problem, seed: int) -> Draft:
        """The first version for a task."""

    def revise(self, problem: Problem, attempts: Sequence[Attempt], feedback: str, seed: int) -> Draft:
        """The next version, given all versions so far (at least one, oldest first) and the tests' words on the last."""

    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes what the generator writes, as plain JSON types: its name, version and options."""
