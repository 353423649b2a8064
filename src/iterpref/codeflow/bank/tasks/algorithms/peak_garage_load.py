"""Write peak_garage_load(stays), where each stay is a pair (arrival, departure) of minutes for one car, in any order.
A car takes a place from its arrival up to, but not including, its departure; so a car leaving at 60 and one coming at
60 can share a place. Return (peak, start): the largest number of cars inside at once and the earliest minute at which
that number is reached. No stays give (0, None). A stay whose departure is not after its arrival raises ValueError."""

from collections.abc import Iterable


def peak_garage_load(stays: Iterable[tuple[int, int]]) -> tuple[int, int | None]:
    changes: list[tuple[int, int]] = []
    for arrival, departure in stays:
        if departure <= arrival:
            raise ValueError(f"departure {departure} is not after arrival {arrival}")
        changes.append((arrival, 1))
        changes.append((departure, -1))
    inside = 0
    peak = 0
    start: int | None = None
    for minute, change in sorted(changes):
        inside += change
        if inside > peak:
            peak, start = inside, minute
    return peak, start


# --- tests ---

import unittest


class TestPeakGarageLoad(unittest.TestCase):
    def test_two_overlapping_cars(self) -> None:
        self.assertEqual(peak_garage_load([(0, 50), (30, 90)]), (2, 30))

    def test_no_cars(self) -> None:
        self.assertEqual(peak_garage_load([]), (0, None))

    def test_one_car(self) -> None:
        self.assertEqual(peak_garage_load([(15, 16)]), (1, 15))

    def test_leaving_and_arriving_at_the_same_minute_share_a_place(self) -> None:
        self.assertEqual(peak_garage_load([(60, 120), (0, 60)]), (1, 0))

    def test_the_earliest_peak_is_reported(self) -> None:
        self.assertEqual(peak_garage_load([(100, 130), (110, 120), (0, 30), (10, 20)]), (2, 10))

    def test_cars_arriving_together(self) -> None:
        self.assertEqual(peak_garage_load([(5, 9), (5, 7), (5, 6)]), (3, 5))

    def test_a_long_stay_under_changing_short_ones(self) -> None:
        self.assertEqual(peak_garage_load([(0, 100), (10, 20), (20, 30), (25, 40)]), (3, 25))

    def test_an_arrival_at_minute_zero_is_a_real_start(self) -> None:
        self.assertEqual(peak_garage_load([(0, 10)]), (1, 0))

    def test_a_stay_must_last(self) -> None:
        for stay in ((10, 10), (10, 9)):
            with self.subTest(stay=stay), self.assertRaises(ValueError):
                peak_garage_load([(0, 5), stay])
