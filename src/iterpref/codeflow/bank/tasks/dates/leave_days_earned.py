"""Write `leave_days_earned(joined, today, per_year)`. A worker earns a twelfth of `per_year` days of leave for
each full month of work; a month is full when the same day of the month is reached again (joined on 10 March,
the first is full on 10 April; joined on the 31st, only months that have a 31st reach it, otherwise the next
month's start counts). Return the total rounded down to whole days. Before the first full month, and if `today`
is before `joined`, it is 0."""

from datetime import date


def leave_days_earned(joined: date, today: date, per_year: int) -> int:
    months = (today.year - joined.year) * 12 + today.month - joined.month
    if today.day < joined.day:
        months -= 1
    if months <= 0:
        return 0
    return months * per_year // 12


# --- tests ---

import unittest
from datetime import date


class TestLeaveDaysEarned(unittest.TestCase):
    def test_whole_year(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 3, 10), date(2023, 3, 10), 30), 30)

    def test_day_before_and_day_of_the_full_month(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 3, 10), date(2022, 4, 9), 24), 0)
        self.assertEqual(leave_days_earned(date(2022, 3, 10), date(2022, 4, 10), 24), 2)

    def test_rounded_down_over_the_total(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 1, 1), date(2022, 2, 1), 30), 2)
        self.assertEqual(leave_days_earned(date(2022, 1, 1), date(2022, 3, 1), 30), 5)
        self.assertEqual(leave_days_earned(date(2022, 1, 1), date(2022, 4, 1), 30), 7)

    def test_over_new_year(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 11, 20), date(2023, 2, 19), 12), 2)
        self.assertEqual(leave_days_earned(date(2022, 11, 20), date(2023, 2, 20), 12), 3)

    def test_thirty_first(self) -> None:
        self.assertEqual(leave_days_earned(date(2023, 1, 31), date(2023, 2, 28), 12), 0)
        self.assertEqual(leave_days_earned(date(2023, 1, 31), date(2023, 3, 1), 12), 1)
        self.assertEqual(leave_days_earned(date(2023, 1, 31), date(2023, 3, 31), 12), 2)

    def test_same_day_is_zero(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 3, 10), date(2022, 3, 10), 24), 0)

    def test_before_joining_is_zero(self) -> None:
        self.assertEqual(leave_days_earned(date(2022, 3, 10), date(2021, 1, 1), 24), 0)
