"""Write best_gig_income(gigs, travel=1) for a busy band. A Gig has start and end hours (end exclusive), fee and
place. Two gigs in the same place may follow each other at once; between different places at least travel hours must
lie between the end of one and the start of the next. Return (income, chosen): the largest total fee of a compatible
set and the gigs of such a set in time order. Any best set will do. Fees are positive; no gigs give (0, [])."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Gig:
    start: int
    end: int
    fee: int
    place: str


def best_gig_income(gigs: Iterable[Gig], travel: int = 1) -> tuple[int, list[Gig]]:
    ordered = sorted(gigs, key=lambda gig: (gig.start, gig.end))
    totals: list[int] = []
    before: list[int | None] = []
    for index, gig in enumerate(ordered):
        best, previous = 0, None
        for earlier in range(index):
            gap = 0 if ordered[earlier].place == gig.place else travel
            if ordered[earlier].end + gap <= gig.start and totals[earlier] > best:
                best, previous = totals[earlier], earlier
        totals.append(best + gig.fee)
        before.append(previous)
    if not totals:
        return 0, []
    income = max(totals)
    at: int | None = totals.index(income)
    chosen: list[Gig] = []
    while at is not None:
        chosen.append(ordered[at])
        at = before[at]
    return income, chosen[::-1]


# --- tests ---

import unittest


class TestBestGigIncome(unittest.TestCase):
    def test_no_gigs(self) -> None:
        self.assertEqual(best_gig_income([]), (0, []))

    def test_one_gig(self) -> None:
        gig = Gig(10, 12, 300, "Pier")
        self.assertEqual(best_gig_income([gig]), (300, [gig]))

    def test_of_two_overlapping_the_better_paid(self) -> None:
        low, high = Gig(10, 13, 300, "Pier"), Gig(12, 14, 301, "Pier")
        self.assertEqual(best_gig_income([low, high]), (301, [high]))
        self.assertEqual(best_gig_income([high, low]), (301, [high]))

    def test_same_place_may_follow_at_once(self) -> None:
        first, second = Gig(10, 12, 100, "Pier"), Gig(12, 14, 80, "Pier")
        self.assertEqual(best_gig_income([second, first]), (180, [first, second]))

    def test_another_place_needs_the_travel_time(self) -> None:
        first, near, far = Gig(10, 12, 100, "Pier"), Gig(12, 14, 80, "Hall"), Gig(13, 15, 70, "Hall")
        self.assertEqual(best_gig_income([first, near]), (100, [first]))
        self.assertEqual(best_gig_income([first, far]), (170, [first, far]))

    def test_travel_time_can_be_set(self) -> None:
        first, second = Gig(10, 12, 100, "Pier"), Gig(13, 15, 70, "Hall")
        self.assertEqual(best_gig_income([first, second], travel=2), (100, [first]))
        self.assertEqual(best_gig_income([first, Gig(14, 15, 70, "Hall")], travel=2)[0], 170)
        self.assertEqual(best_gig_income([first, Gig(12, 13, 70, "Hall")], travel=0)[0], 170)

    def test_two_small_gigs_may_beat_one_large(self) -> None:
        gigs = [Gig(10, 18, 500, "Hall"), Gig(10, 13, 260, "Pier"), Gig(13, 18, 250, "Pier")]
        self.assertEqual(best_gig_income(gigs), (510, [gigs[1], gigs[2]]))

    def test_a_chain_over_a_greedy_trap(self) -> None:
        a, b = Gig(1, 4, 50, "Pier"), Gig(2, 3, 60, "Hall")
        c, d = Gig(4, 6, 70, "Pier"), Gig(7, 9, 20, "Hall")
        self.assertEqual(best_gig_income([d, c, b, a]), (150, [b, c, d]))

    def test_the_best_set_need_not_end_with_the_last_gig(self) -> None:
        big, late = Gig(8, 20, 900, "Hall"), Gig(19, 21, 100, "Hall")
        self.assertEqual(best_gig_income([big, late]), (900, [big]))

    def test_input_order_stays(self) -> None:
        gigs = [Gig(5, 6, 10, "Pier"), Gig(1, 2, 10, "Pier")]
        best_gig_income(gigs)
        self.assertEqual([gig.start for gig in gigs], [5, 1])
