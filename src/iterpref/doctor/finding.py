"""One line of the doctor's report, and the guard that makes a line of a check that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """What one check saw. `missing`: the demo or the tests cannot run; `warning`: they can, not at their best."""

    name: str
    state: State
    found: str  # one line
    remedy: str = ""  # one line: a command to type or an override to set; empty exactly where the state is ok

    def __post_init__(self) -> None:
        if bool(self.remedy) == (self.state == "ok"):
            raise ValueError(f"{self.name}: a remedy was expected for a state other than ok, and for no other")
        if "\n" in self.found + self.remedy:
            raise ValueError(f"{self.name}: one line was expected, got {self.found + self.remedy!r}")


Check = Callable[[], Iterable[Finding]]


def guarded(check: Check) -> list[Finding]:
    """The findings of one check. One that raises becomes a line with its error, and the other checks go on; what it
    cannot import is missing."""
    done: list[Finding] = []
    try:
        done.extend(check())
    except ImportError as error:
        done.append(Finding(_name(check), "missing", words(error), "make setup"))
    except (Exception, SystemExit) as error:
        remedy = "python -m iterpref.doctor --json  # a check failed: send its output with your report"
        done.append(Finding(_name(check), "warning", f"could not be checked: {words(error)}", remedy))
    return done


def _name(check: Check) -> str:
    return check.__name__.removeprefix("check_").replace("_", " ")


def words(error: BaseException | str) -> str:
    """An error in one line of at most 300 characters; of a traceback, its last line."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    if "\n  File " in text or "\n    " in text:
        text = text.strip().splitlines()[-1]
    return " ".join(text.split())[:300]
