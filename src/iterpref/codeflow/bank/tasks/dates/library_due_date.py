"""Write `library_due_date(borrowed, loan_days, holidays)`. The book is due `loan_days` calendar days after the
day it was borrowed. If the library is closed on that day, the due date moves forward, day by day, to the next
open day. The library is closed on Sundays and on every date in the set `holidays`. A loan of zero days is
allowed (due the same day); a negative number of days raises ValueError."""

from datetime import date, timedelta


def library_due_date(borrowed: date, loan_days: int, holidays: set[date]) -> date:
    if loan_days < 0:
        raise ValueError("loan_days must not be negative")
    due = borrowed + timedelta(days=loan_days)
    while due.weekday() == 6 or due in holidays:
        due += timedelta(days=1)
    return due


# --- tests ---

import unittest
from datetime import date


class TestLibraryDueDate(unittest.TestCase):
    def test_open_day_is_kept(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 14, set()), date(2024, 3, 18))

    def test_saturday_is_open(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 5, set()), date(2024, 3, 9))

    def test_sunday_moves_to_monday(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 6, set()), date(2024, 3, 11))

    def test_holiday_after_sunday_moves_to_tuesday(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 6, {date(2024, 3, 11)}), date(2024, 3, 12))

    def test_holiday_on_saturday_moves_over_sunday(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 5, {date(2024, 3, 9)}), date(2024, 3, 11))

    def test_closed_days_inside_the_loan_do_not_matter(self) -> None:
        self.assertEqual(library_due_date(date(2024, 2, 28), 2, {date(2024, 2, 29)}), date(2024, 3, 1))

    def test_zero_days_is_the_same_day(self) -> None:
        self.assertEqual(library_due_date(date(2024, 3, 4), 0, set()), date(2024, 3, 4))

    def test_negative_loan_raises(self) -> None:
        with self.assertRaises(ValueError):
            library_due_date(date(2024, 3, 4), -1, set())
