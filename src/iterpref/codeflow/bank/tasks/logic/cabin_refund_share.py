"""Write `cabin_refund(price, arrival, cancelled, insured=False)`, the cents a guest gets back for a cabin.
Cancelled 30 or more days before arrival (45 for an arrival in December), the whole price is paid back; later but at
least 14 days before, 60 percent; at least 3 days, 25 percent; else nothing. Shares are rounded down to whole cents.
Insurance adds the part not paid back less 5000 cents, never less than nothing, unless it is cancelled on the day of
arrival. Cancelling after arrival or a negative price raises ValueError."""

from datetime import date


def cabin_refund(price: int, arrival: date, cancelled: date, insured: bool = False) -> int:
    days = (arrival - cancelled).days
    if days < 0 or price < 0:
        raise ValueError("the stay must be cancelled by the day of arrival and have a price of 0 or more")
    full_from = 45 if arrival.month == 12 else 30
    if days >= full_from:
        return price
    if days >= 14:
        percent = 60
    elif days >= 3:
        percent = 25
    else:
        percent = 0
    refund = price * percent // 100
    if insured and days > 0:
        refund += max(0, price - refund - 5000)
    return refund


# --- tests ---

import unittest
from datetime import date, timedelta

JUNE = date(2024, 6, 30)
DECEMBER = date(2024, 12, 31)


class TestCabinRefund(unittest.TestCase):
    def before(self, days: int, arrival: date = JUNE, price: int = 20000, insured: bool = False) -> int:
        return cabin_refund(price, arrival, arrival - timedelta(days=days), insured)

    def test_limits_in_summer(self) -> None:
        refunds = [self.before(days) for days in (100, 30, 29, 14, 13, 3, 2, 0)]
        self.assertEqual(refunds, [20000, 20000, 12000, 12000, 5000, 5000, 0, 0])

    def test_limits_in_december(self) -> None:
        refunds = [self.before(days, DECEMBER) for days in (45, 44, 30, 14, 13, 2)]
        self.assertEqual(refunds, [20000, 12000, 12000, 12000, 5000, 0])

    def test_the_month_of_arrival_decides(self) -> None:
        self.assertEqual(cabin_refund(1000, date(2025, 1, 10), date(2024, 12, 11)), 1000)
        self.assertEqual(cabin_refund(1000, date(2024, 12, 1), date(2024, 10, 31)), 600)

    def test_cents_are_rounded_down(self) -> None:
        self.assertEqual(self.before(20, price=999), 599)
        self.assertEqual(self.before(5, price=999), 249)

    def test_insurance_pays_all_but_fifty(self) -> None:
        self.assertEqual([self.before(days, insured=True) for days in (30, 20, 5, 1)], [20000, 15000, 15000, 15000])

    def test_insurance_never_takes_anything_away(self) -> None:
        self.assertEqual(self.before(20, price=10000, insured=True), 6000)
        self.assertEqual(self.before(20, price=12500, insured=True), 7500)
        self.assertEqual(self.before(20, price=12600, insured=True), 7600)

    def test_insurance_does_not_help_on_the_day_of_arrival(self) -> None:
        self.assertEqual(self.before(0, insured=True), 0)

    def test_not_insured_by_default(self) -> None:
        self.assertEqual(cabin_refund(20000, JUNE, JUNE - timedelta(days=1)), 0)

    def test_errors(self) -> None:
        for price, days in ((20000, -1), (-1, 40)):
            with self.assertRaises(ValueError):
                self.before(days, price=price)
        self.assertEqual(self.before(40, price=0), 0)
