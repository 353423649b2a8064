"""Many questions to a language model at once, answers in the order of the questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import TypeVar

from iterpref.codeflow.flow import Flow
from iterpref.codeflow.generate.chat import GaveUp
from iterpref.codeflow.generate.limits import Stop, Stopped
from iterpref.codeflow.generate.llm import Connect, Lines
from iterpref.errors import UserError
from iterpref.progress import track

Q = TypeVar("Q")
R = TypeVar("R")


def ask_in_order(
    questions: Iterable[Q],
    total: int,
    work: Callable[[Lines, Q], Awaitable[R]],
    *,
    connect: Connect,
    spender: str,
    width: int,
    what: str,
    done: str,
) -> Generator[R, None, None]:
    """`work(lines, question)` for each, `width` at once, while they are read and asked about.

    Args:
        connect: opens the lines; calls are paid in the name of `spender`.
        what: names the progress, as in "judging".
        done: what is then the case, as in "pairs are judged".

    Raises `UserError` at the end when the server or a budget kept some from being asked.
    """
    stop = Stop()
    lines = connect(stop, spender)
    early: dict[int, R] = {}  # of questions whose predecessors are still being asked
    answered = told = 0
    lost: list[str] = []
    with Flow(
        enumerate(questions), lambda job: work(lines, job[1]), width=width, stop=stop, finish=lines.close
    ) as flow:
        for (i, _), outcome in track(flow, total, what):
            if isinstance(outcome, GaveUp):
                lost.append(str(outcome))
            elif isinstance(outcome, UserError):
                stop.set(outcome)
            elif isinstance(outcome, BaseException):
                if not isinstance(outcome, Stopped):
                    raise outcome
            else:
                early[i] = outcome
                answered += 1
            while told in early:
                yield early.pop(told)
                told += 1
    state = f"{answered} of {total} {done}, and what was answered is kept"
    if stop.cause is not None:
        raise type(stop.cause)(f"{stop.cause} ({state})")
    if lost:
        raise UserError(
            f"{what}: the model's server failed {len(lost)} times for good (last: {lost[-1]}); {state}: run the same command again"
        )
