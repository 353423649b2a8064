"""What all benchmarks have in common: tasks, the runs that judge a program, and the texts that ask for one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, RunResult, Sandbox
from iterpref.errors import UserError
from iterpref.eval.packages import third_party, to_preload
from iterpref.eval.tasks.origin import Origin

Messages = list[dict[str, str]]  # of a chat: role, content


@dataclass(frozen=True)
class Task:
    """One task. `needs` are the third-party packages of its reference and its tests: without them it cannot be run."""

    task_id: str
    prompt: str  # what a base model goes on from, or what is asked of a chat model
    entry_point: str = ""  # the function that is asked for; empty for a whole program
    reference: str = ""  # a program that passes; empty where the benchmark has none
    needs: frozenset[str] = field(default_factory=frozenset)


T = TypeVar("T", bound=Task)


class Benchmark(ABC, Generic[T]):
    """Tasks in the order of their file, and how a program, a prompt and an answer of this family look.

    A sample has one verdict for each of `parts`: it passes a part when the runs of that part and of all before it are PASS.
    """

    parts: ClassVar[tuple[str, ...]] = ("base",)
    stops: tuple[str, ...] = ()  # at which what a base model writes is cut
    chat_stops: ClassVar[tuple[str, ...]] = ()  # at which an answer in a chat may end
    completes_prompt: ClassVar[bool] = True  # the prompt is code that a completion goes on from
    max_new_tokens: ClassVar[int] = 768  # longest answer that the benchmark's own harness asks for

    def __init__(self, name: str, origin: Origin, tasks: Sequence[T], time_factor: float = 1.0) -> None:
        self.name, self.origin, self.time_factor = name, origin, time_factor
        self.tasks: dict[str, T] = {task.task_id: task for task in tasks}
        if len(self.tasks) < len(tasks):
            twice = next(name for name, n in Counter(task.task_id for task in tasks).items() if n > 1)
            raise UserError(f"{origin.source}: the task {twice} is there twice; each id must come once")
        self.left_out: frozenset[str] = frozenset()  # tasks that the file has too, and the options do not ask for
        self.packages = frozenset({"numpy"}).union(*(task.needs for task in tasks))

    @abstractmethod
    def request(self, task: T, part: str, program: str) -> RunRequest:
        """The run that judges the program on this part."""

    def again(self, task: T, part: str, program: str, result: RunResult) -> Sequence[RunRequest]:
        """Runs whose verdicts count instead: where one limit for all inputs is stricter than the benchmark's own."""
        return ()

    def get_ready(self, tasks: Sequence[T], sandbox: Sandbox, cache: Path) -> None:
        """What must be known before these tasks can be judged, such as expected values; kept below `cache`."""

    def unfit(self, tasks: Sequence[T], sandbox: Sandbox, cache: Path) -> dict[str, str]:
        """{task_id: why no program can be judged on it here}, beyond packages that are absent."""
        return {}

    def settings(self) -> dict[str, Any]:
        """What verdicts depend on, besides the program."""
        return {"benchmark": self.name, "sha256": self.origin.sha256, "time_factor": self.time_factor}

    def task_id(self, raw: Any) -> str:
        """The id as our tasks have it, whatever form a samples file uses."""
        return str(raw)

    def program(self, task: T, row: Mapping[str, Any]) -> str:
        """The program of a row of samples: `solution`, or `completion`, behind the prompt if that is code."""
        if row.get("solution") is not None:
            return str(row["solution"])
        return (task.prompt if self.completes_prompt else "") + str(row["completion"])

    def stub(self, task: T) -> str:
        """A program that defines what is asked for, and does nothing."""
        return f"def {task.entry_point}(*arguments, **named):\n    return None\n"

    def base_prompt(self, task: T) -> str:
        """What a base model continues."""
        return task.prompt

    @abstractmethod
    def chat(self, task: T) -> tuple[Messages, str]:
        """The messages of a chat, and how the answer is made to begin ("" where the benchmark leaves that open)."""

    @abstractmethod
    def solution(self, task: T, answer: str, chat: bool) -> str:
        """The program in an answer, as the benchmark's own harness finds it. A base model's answer follows its prompt; a
        chat's includes how it was made to begin."""

    def preload(self, task: T, program: str) -> tuple[str, ...]:
        # Only packages that the benchmark knows: a program must not choose what is imported outside of its own run.
        return to_preload(task.needs | (third_party(program) & self.packages))

    def limits(self, cpu_s: float, memory_mb: int = 4096, processes: int = 32, disk_mb: int = 64) -> Limits:
        """CPU time counts, so that a busy machine changes no verdict; the wall clock is only there for what sleeps."""
        cpu_s *= self.time_factor
        return Limits(
            wall_s=3 * cpu_s + 10,
            cpu_s=cpu_s,
            memory_mb=memory_mb,
            output_kb=16384,
            disk_mb=disk_mb,
            processes=processes,
        )
