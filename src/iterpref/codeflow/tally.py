"""What became no pair, each with its place, reason and what was seen: nothing is lost without a word."""

from __future__ import annotations

import logging
from collections import Counter
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
    """`read` rows or trajectories; `read` = pairs + dropped."""

    read: int = 0
    dropped: list[DroppedPair] = field(default_factory=list)

    def drop(self, place: str, drop: Drop) -> None:
        self.dropped.append(DroppedPair(place, drop.reason, drop.detail))

    @property
    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(d.reason for d in self.dropped).items()))

    @property
    def summary(self) -> str:
        return ", ".join(f"{reason}: {count}" for reason, count in self.counts.items())

    def tell(self) -> None:
        """One line a reason, with the first few places."""
        for reason, count in self.counts.items():
            first = [f"{d.place}{f' ({d.detail})' if d.detail else ''}" for d in self.dropped if d.reason == reason]
            log.info("dropped: %d by %s; first: %s", count, reason, "; ".join(first[:_SHOWN]))
