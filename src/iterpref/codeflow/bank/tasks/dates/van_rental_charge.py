"""Write `van_rental_charge(picked_up, returned, day_rate, hour_rate)` with naive datetimes and whole euro rates.
Every full 24 hours cost `day_rate`. The rest is charged by the started hour at `hour_rate`, but never more than one
`day_rate`; a rest of 15 minutes or less is free when at least one full day was charged. A rental under 24 hours has
no free minutes, and a zero-length rental costs 0. Returning before pick-up raises ValueError."""

from datetime import datetime, timedelta


def van_rental_charge(picked_up: datetime, returned: datetime, day_rate: int, hour_rate: int) -> int:
    if returned < picked_up:
        raise ValueError("returned before picked up")
    days, rest = divmod(returned - picked_up, timedelta(days=1))
    if days > 0 and rest <= timedelta(minutes=15):
        return days * day_rate
    started_hours = -(-rest // timedelta(hours=1))
    return days * day_rate + min(started_hours * hour_rate, day_rate)


# --- tests ---

import datetime as dt
import unittest

START = dt.datetime(2024, 7, 1, 10)


class TestVanRentalCharge(unittest.TestCase):
    def charge(self, **length: int) -> int:
        return van_rental_charge(START, START + dt.timedelta(**length), 60, 9)

    def test_started_hours(self) -> None:
        self.assertEqual(self.charge(hours=2), 18)
        self.assertEqual(self.charge(hours=2, seconds=1), 27)

    def test_no_free_minutes_on_a_short_rental(self) -> None:
        self.assertEqual(self.charge(minutes=10), 9)

    def test_hours_are_capped_at_the_day_rate(self) -> None:
        self.assertEqual(self.charge(hours=6), 54)
        self.assertEqual(self.charge(hours=7), 60)
        self.assertEqual(self.charge(hours=23, minutes=59), 60)

    def test_full_days(self) -> None:
        self.assertEqual(self.charge(days=1), 60)
        self.assertEqual(self.charge(days=3), 180)

    def test_fifteen_minutes_are_free_after_a_day(self) -> None:
        self.assertEqual(self.charge(days=1, minutes=15), 60)
        self.assertEqual(self.charge(days=1, minutes=15, seconds=1), 69)
        self.assertEqual(self.charge(days=2, minutes=16), 129)

    def test_rest_after_full_days_is_capped(self) -> None:
        self.assertEqual(self.charge(days=2, hours=20), 180)

    def test_zero_length_costs_nothing(self) -> None:
        self.assertEqual(self.charge(), 0)

    def test_return_before_pick_up_raises(self) -> None:
        with self.assertRaises(ValueError):
            self.charge(seconds=-1)
