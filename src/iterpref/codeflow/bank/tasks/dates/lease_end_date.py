"""Write `lease_end_date(start, term)`. `term` is a text such as "1y6m", "18m", "2w" or "1y 3d": one or more parts of
a whole number and a unit (y years, m months, w weeks, d days), each unit at most once and in the order y, m, w, d,
with optional spaces around the parts. Years and months are added first, together; a day that does not exist in the
target month becomes its last day. Then weeks and days are added. An empty or malformed term raises ValueError."""

import calendar
import re
from datetime import date, timedelta

TERM = re.compile(r"\s*(?:(\d+)y)?\s*(?:(\d+)m)?\s*(?:(\d+)w)?\s*(?:(\d+)d)?\s*")


def lease_end_date(start: date, term: str) -> date:
    match = TERM.fullmatch(term)
    if match is None or not term.strip():
        raise ValueError(f"not a lease term: {term!r}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    index = (start.year + years) * 12 + start.month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return date(year, month, day) + timedelta(weeks=weeks, days=days)


# --- tests ---

import unittest
from datetime import date


class TestLeaseEndDate(unittest.TestCase):
    def test_years_and_months(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 9, 15), "1y6m"), date(2025, 3, 15))

    def test_eighteen_months_is_a_year_and_a_half(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 9, 15), "18m"), date(2025, 3, 15))

    def test_december(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 9, 15), "3m"), date(2023, 12, 15))
        self.assertEqual(lease_end_date(date(2023, 9, 15), "4m"), date(2024, 1, 15))

    def test_weeks_and_days(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 12, 20), "2w"), date(2024, 1, 3))
        self.assertEqual(lease_end_date(date(2023, 12, 20), "1w 3d"), date(2023, 12, 30))

    def test_missing_day_becomes_the_last_day(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 1, 31), "1m"), date(2023, 2, 28))
        self.assertEqual(lease_end_date(date(2024, 2, 29), "1y"), date(2025, 2, 28))

    def test_years_and_months_are_added_together(self) -> None:
        self.assertEqual(lease_end_date(date(2024, 2, 29), "1y1m"), date(2025, 3, 29))

    def test_days_come_after_the_month_is_settled(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 1, 31), "1m 1d"), date(2023, 3, 1))

    def test_spaces_and_zero(self) -> None:
        self.assertEqual(lease_end_date(date(2023, 1, 31), "  1y   2d "), date(2024, 2, 2))
        self.assertEqual(lease_end_date(date(2023, 1, 31), "0d"), date(2023, 1, 31))

    def test_bad_terms_raise(self) -> None:
        for term in ("", "   ", "6", "m", "6m1y", "1y1y", "-1d", "3x", "1.5y"):
            with self.subTest(term=term), self.assertRaises(ValueError):
                lease_end_date(date(2023, 1, 31), term)
