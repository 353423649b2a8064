"""What became no pair, each with its place, reason and what was seen: nothing is lost without a word."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from iterpref.record import Record

log = logging.getLogger(__name__)
_SHOWN = 3


@dataclass(frozen=True)
class Drop:
    """Why there is no pair: the reason to count, and what was seen."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class DroppedPair(Record):
    """One row of the table `dropped`, beside the pairs."""

    place: str
    reason: str
    detail: str = ""


@dataclass
class Tally:
    """`read` rows or trajectories = pairs + dropped; each drop goes to `keep`, and is counted here."""

    keep: Callable[[DroppedPair], object]
    read: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _first: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, place: str, drop: Drop) -> None:
        # A detail may quote what no file can hold, such as half of a character in the name of a column.
        detail = drop.detail.encode("utf-8", "backslashreplace").decode()
        self.keep(DroppedPair(place, drop.reason, detail))
        self._counts[drop.reason] += 1
        first = self._first.setdefault(drop.reason, [])
        if len(first) < _SHOWN:
            first.append(f"{place}{f' ({detail})' if detail else ''}")

    @property
    def counts(self) -> dict[str, int]:
        return dict(sorted(self._counts.items()))

    @property
    def summary(self) -> str:
        return ", ".join(f"{reason}: {count}" for reason, count in self.counts.items())

    def tell(self) -> None:
        """One line a reason, with the first few places."""
        for reason, count in self.counts.items():
            log.info("dropped: %d by %s; first: %s", count, reason, "; ".join(self._first[reason]))
