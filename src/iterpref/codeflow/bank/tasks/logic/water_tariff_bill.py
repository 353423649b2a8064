"""Write `water_bill(old, new, persons)`, the price in cents of a quarter's water, for a meter with five digits
(after 99999 comes 00000, so `new` below `old` means that it has turned over once). Of the used cubic metres the
first 10 per person cost 180 each, the next 15 per person 240 each, and all above 390 each. A basic charge of 900 is
added. Readings outside 0 to 99999, or fewer than 1 person, raise ValueError. Return a whole number."""

BASIC = 900
STEPS = [(10, 180), (15, 240)]
TOP_PRICE = 390
TURNOVER = 100_000


def water_bill(old: int, new: int, persons: int) -> int:
    if persons < 1:
        raise ValueError(f"at least one person must live there, got {persons}")
    for reading in (old, new):
        if not 0 <= reading < TURNOVER:
            raise ValueError(f"reading out of range: {reading}")
    rest = (new - old) % TURNOVER
    total = BASIC
    for per_person, price in STEPS:
        part = min(rest, per_person * persons)
        total += part * price
        rest -= part
    return total + rest * TOP_PRICE


# --- tests ---

import unittest


class TestWaterBill(unittest.TestCase):
    def test_nothing_used(self) -> None:
        self.assertEqual(water_bill(500, 500, 1), 900)

    def test_the_first_step(self) -> None:
        self.assertEqual(water_bill(500, 501, 1), 1080)
        self.assertEqual(water_bill(500, 510, 1), 2700)

    def test_the_second_step(self) -> None:
        self.assertEqual(water_bill(500, 511, 1), 2940)
        self.assertEqual(water_bill(500, 525, 1), 6300)

    def test_all_above(self) -> None:
        self.assertEqual(water_bill(500, 526, 1), 6690)
        self.assertEqual(water_bill(500, 600, 1), 35550)

    def test_more_persons_have_wider_steps(self) -> None:
        self.assertEqual(water_bill(0, 30, 3), 6300)
        self.assertEqual(water_bill(0, 31, 3), 6540)
        self.assertEqual(water_bill(0, 80, 3), 19050)

    def test_the_meter_turns_over(self) -> None:
        self.assertEqual(water_bill(99_998, 3, 1), 1800)
        self.assertEqual(water_bill(99_999, 0, 1), 1080)

    def test_bad_readings_raise(self) -> None:
        for old, new in ((-1, 5), (5, -1), (100_000, 5), (5, 100_000)):
            with self.assertRaises(ValueError):
                water_bill(old, new, 1)

    def test_somebody_must_live_there(self) -> None:
        for persons in (0, -1):
            with self.assertRaises(ValueError):
                water_bill(1, 2, persons)
