"""Write `monthly_market_days(year, month, weekday, which)`. The weekday is 0 for Monday up to 6 for Sunday.
`which` is a list of positions among the month's days of that weekday: 1 is the first, 2 the second, and -1 the
last, -2 the one before the last. Return the matching dates in ascending order, each once even if two positions
mean the same day. Positions that do not exist in that month are skipped; position 0 raises ValueError."""

import calendar
from datetime import date


def monthly_market_days(year: int, month: int, weekday: int, which: list[int]) -> list[date]:
    if 0 in which:
        raise ValueError("positions count from 1 or from -1")
    last = calendar.monthrange(year, month)[1]
    days = [date(year, month, day) for day in range(1, last + 1)]
    matching = [day for day in days if day.weekday() == weekday]
    chosen = set()
    for position in which:
        if abs(position) <= len(matching):
            chosen.add(matching[position - 1 if position > 0 else position])
    return sorted(chosen)


# --- tests ---

import unittest
from datetime import date


class TestMonthlyMarketDays(unittest.TestCase):
    def test_first_and_third_saturday(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 5, [1, 3]), [date(2024, 6, 1), date(2024, 6, 15)])

    def test_last_sunday_is_the_last_day_of_the_month(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 6, [-1]), [date(2024, 6, 30)])

    def test_one_before_the_last(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 6, [-2]), [date(2024, 6, 23)])

    def test_result_is_sorted(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 0, [-1, 1]), [date(2024, 6, 3), date(2024, 6, 24)])

    def test_same_day_by_two_positions_appears_once(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 0, [4, -1]), [date(2024, 6, 24)])

    def test_fifth_exists_or_is_skipped(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 5, [5, -5]), [date(2024, 6, 1), date(2024, 6, 29)])
        self.assertEqual(monthly_market_days(2024, 6, 0, [5, -5, 2]), [date(2024, 6, 10)])

    def test_no_positions(self) -> None:
        self.assertEqual(monthly_market_days(2024, 6, 0, []), [])

    def test_position_zero_raises(self) -> None:
        with self.assertRaises(ValueError):
            monthly_market_days(2024, 6, 0, [1, 0])
