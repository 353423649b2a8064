"""Write a dataclass `Permit(plate, first_day, last_day)` with a string and two `datetime.date` fields. On creation
the plate is stored in upper case without any spaces, and a last day before the first raises ValueError. `covers(day)`
tells whether a day lies within the permit, both ends included. `days_left(day)` counts the days still usable from
`day` on, `day` included: 0 after the end, the full length before the start."""

from dataclasses import dataclass
from datetime import date


@dataclass
class Permit:
    plate: str
    first_day: date
    last_day: date

    def __post_init__(self) -> None:
        self.plate = self.plate.replace(" ", "").upper()
        if self.last_day < self.first_day:
            raise ValueError("the last day comes before the first")

    def covers(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day

    def days_left(self, day: date) -> int:
        start = max(day, self.first_day)
        return max(0, (self.last_day - start).days + 1)


# --- tests ---

import datetime
import unittest


def _may(day: int) -> datetime.date:
    return datetime.date(2024, 5, day)


class TestPermit(unittest.TestCase):
    def test_plate_is_normalised(self) -> None:
        self.assertEqual(Permit(" ab 12 cd", _may(1), _may(2)).plate, "AB12CD")

    def test_days_in_wrong_order_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            Permit("X1", _may(3), _may(2))

    def test_a_permit_may_last_one_day(self) -> None:
        permit = Permit("X1", _may(3), _may(3))
        self.assertTrue(permit.covers(_may(3)))
        self.assertEqual(permit.days_left(_may(3)), 1)

    def test_covers_both_ends(self) -> None:
        permit = Permit("X1", _may(10), _may(12))
        self.assertEqual([permit.covers(_may(day)) for day in range(9, 14)], [False, True, True, True, False])

    def test_days_left_inside(self) -> None:
        permit = Permit("X1", _may(10), _may(14))
        self.assertEqual([permit.days_left(_may(day)) for day in (10, 11, 14)], [5, 4, 1])

    def test_days_left_before_the_start(self) -> None:
        self.assertEqual(Permit("X1", _may(10), _may(14)).days_left(_may(2)), 5)

    def test_days_left_after_the_end(self) -> None:
        permit = Permit("X1", _may(10), _may(14))
        self.assertEqual([permit.days_left(_may(day)) for day in (15, 16, 30)], [0, 0, 0])

    def test_equal_permits_are_equal(self) -> None:
        self.assertEqual(Permit("x 1", _may(1), _may(2)), Permit("X1", _may(1), _may(2)))
