"""Write `billing_periods(signed_up, until)` for a subscription billed monthly. Return a list of
`(first_day, last_day)` dates, both inclusive. Each period begins on the day of the month of `signed_up`; in a shorter
month it begins on that month's last day, and later months return to the original day. A period ends the day before
the next one begins. List every period that begins on or before `until`, the last one in full. If `until` is before
`signed_up`, return an empty list."""

import calendar
from datetime import date, timedelta


def add_months(anchor: date, months: int) -> date:
    year, month0 = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month0 + 1)[1]
    return date(year, month0 + 1, min(anchor.day, last_day))


def billing_periods(signed_up: date, until: date) -> list[tuple[date, date]]:
    periods: list[tuple[date, date]] = []
    count = 0
    first = signed_up
    while first <= until:
        count += 1
        following = add_months(signed_up, count)
        periods.append((first, following - timedelta(days=1)))
        first = following
    return periods


# --- tests ---

import unittest
from datetime import date


class TestSubscriptionBillingPeriods(unittest.TestCase):
    def test_first_of_month_gives_calendar_months(self) -> None:
        self.assertEqual(
            billing_periods(date(2023, 1, 1), date(2023, 2, 10)),
            [(date(2023, 1, 1), date(2023, 1, 31)), (date(2023, 2, 1), date(2023, 2, 28))],
        )

    def test_short_month_is_clamped_and_the_day_comes_back(self) -> None:
        self.assertEqual(
            billing_periods(date(2023, 1, 31), date(2023, 4, 29)),
            [
                (date(2023, 1, 31), date(2023, 2, 27)),
                (date(2023, 2, 28), date(2023, 3, 30)),
                (date(2023, 3, 31), date(2023, 4, 29)),
            ],
        )

    def test_leap_february(self) -> None:
        self.assertEqual(
            billing_periods(date(2024, 1, 30), date(2024, 2, 29)),
            [(date(2024, 1, 30), date(2024, 2, 28)), (date(2024, 2, 29), date(2024, 3, 29))],
        )

    def test_year_change(self) -> None:
        self.assertEqual(
            billing_periods(date(2022, 11, 15), date(2023, 1, 20)),
            [
                (date(2022, 11, 15), date(2022, 12, 14)),
                (date(2022, 12, 15), date(2023, 1, 14)),
                (date(2023, 1, 15), date(2023, 2, 14)),
            ],
        )

    def test_period_beginning_on_the_last_day_is_listed(self) -> None:
        self.assertEqual(len(billing_periods(date(2023, 5, 10), date(2023, 6, 9))), 1)
        self.assertEqual(len(billing_periods(date(2023, 5, 10), date(2023, 6, 10))), 2)

    def test_same_day(self) -> None:
        self.assertEqual(billing_periods(date(2023, 5, 10), date(2023, 5, 10)), [(date(2023, 5, 10), date(2023, 6, 9))])

    def test_until_before_sign_up(self) -> None:
        self.assertEqual(billing_periods(date(2023, 5, 10), date(2023, 5, 9)), [])
