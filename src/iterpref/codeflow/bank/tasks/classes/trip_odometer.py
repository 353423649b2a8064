"""Write a class `Odometer(reading=0, digits=6)` for a vehicle dash with the integer attributes `reading`, `trip` and
`rollovers`; the last two start at 0. `drive(km)` adds whole kilometres to `reading` and `trip`. The reading rolls
over to 0 after the largest number with that many digits, each time adding one to `rollovers`; the trip never does. A
negative `km` raises ValueError and changes nothing. `str()` gives the reading padded with zeros to all digits."""


class Odometer:
    def __init__(self, reading: int = 0, digits: int = 6) -> None:
        self.reading = reading
        self.digits = digits
        self.trip = 0
        self.rollovers = 0

    def drive(self, km: int) -> None:
        if km < 0:
            raise ValueError("km must not be negative")
        turns, self.reading = divmod(self.reading + km, 10**self.digits)
        self.rollovers += turns
        self.trip += km

    def __str__(self) -> str:
        return str(self.reading).zfill(self.digits)


# --- tests ---

import unittest


class TestOdometer(unittest.TestCase):
    def test_a_new_odometer_is_at_zero(self) -> None:
        meter = Odometer()
        self.assertEqual((meter.reading, meter.trip, meter.rollovers, str(meter)), (0, 0, 0, "000000"))

    def test_driving_adds_up(self) -> None:
        meter = Odometer(120)
        meter.drive(30)
        meter.drive(5)
        self.assertEqual((meter.reading, meter.trip), (155, 35))

    def test_rolls_over_after_all_nines(self) -> None:
        meter = Odometer(998, digits=3)
        meter.drive(1)
        self.assertEqual((meter.reading, meter.rollovers), (999, 0))
        meter.drive(1)
        self.assertEqual((meter.reading, meter.rollovers, meter.trip), (0, 1, 2))

    def test_one_long_drive_may_roll_over_more_than_once(self) -> None:
        meter = Odometer(50, digits=2)
        meter.drive(275)
        self.assertEqual((meter.reading, meter.rollovers, meter.trip), (25, 3, 275))
        meter.drive(80)
        self.assertEqual((meter.reading, meter.rollovers), (5, 4))

    def test_six_digits_by_default(self) -> None:
        meter = Odometer(999_999)
        self.assertEqual(str(meter), "999999")
        meter.drive(1)
        self.assertEqual((meter.reading, meter.rollovers), (0, 1))

    def test_str_pads_to_all_digits(self) -> None:
        self.assertEqual(str(Odometer(42, digits=5)), "00042")

    def test_negative_kilometres_are_refused(self) -> None:
        meter = Odometer(5)
        meter.drive(0)
        with self.assertRaises(ValueError):
            meter.drive(-1)
        self.assertEqual((meter.reading, meter.trip, meter.rollovers), (5, 0, 0))
