"""Write `frost_alarm(readings, on=-0.5, off=1.0)` for an orchard. `readings` holds temperatures, one a minute; None
is a missing value. The alarm starts silent and rings from the second of two readings in a row at or below `on`; it
stops with the first reading at or above `off`. A missing value changes nothing and is skipped when readings in a
row are looked at. Return for each minute whether the alarm rings, as a list of the same length. `off` not above
`on` raises ValueError."""


def frost_alarm(readings: list[float | None], on: float = -0.5, off: float = 1.0) -> list[bool]:
    if off <= on:
        raise ValueError(f"off ({off}) must be above on ({on})")
    ringing = False
    cold = 0
    states: list[bool] = []
    for reading in readings:
        if reading is not None:
            cold = cold + 1 if reading <= on else 0
            if cold >= 2:
                ringing = True
            elif reading >= off:
                ringing = False
        states.append(ringing)
    return states


# --- tests ---

import unittest


class TestFrostAlarm(unittest.TestCase):
    def test_rings_from_the_second_cold_reading(self) -> None:
        self.assertEqual(frost_alarm([2.0, -1.0, -1.0, -2.0]), [False, False, True, True])

    def test_one_cold_reading_is_not_enough(self) -> None:
        self.assertEqual(frost_alarm([-3.0, 0.0, -3.0, 0.0]), [False] * 4)

    def test_exactly_on_is_cold(self) -> None:
        self.assertEqual(frost_alarm([-0.5, -0.5]), [False, True])
        self.assertEqual(frost_alarm([-0.4, -0.4, -0.4]), [False] * 3)

    def test_keeps_ringing_between_the_limits(self) -> None:
        self.assertEqual(frost_alarm([-1.0, -1.0, 0.0, 0.9, -1.0]), [False, True, True, True, True])

    def test_stops_at_exactly_off(self) -> None:
        self.assertEqual(frost_alarm([-1.0, -1.0, 1.0, 0.0]), [False, True, False, False])

    def test_must_be_cold_twice_again(self) -> None:
        self.assertEqual(frost_alarm([-1.0, -1.0, 5.0, -1.0, -1.0]), [False, True, False, False, True])

    def test_missing_values_change_nothing(self) -> None:
        self.assertEqual(frost_alarm([None, -1.0, None, -1.0, None]), [False, False, False, True, True])
        self.assertEqual(frost_alarm([-1.0, -1.0, 2.0, None]), [False, True, False, False])

    def test_other_limits(self) -> None:
        self.assertEqual(frost_alarm([3.0, 3.0, 4.0, 5.0], on=3.0, off=5.0), [False, True, True, False])

    def test_zero_degrees_is_a_reading(self) -> None:
        self.assertEqual(frost_alarm([-1.0, -1.0, 0.0], on=-0.5, off=0.0), [False, True, False])
        self.assertEqual(frost_alarm([-1.0, 0.0, -1.0]), [False, False, False])

    def test_no_readings_and_bad_limits(self) -> None:
        self.assertEqual(frost_alarm([]), [])
        for off in (-0.5, -1.0):
            with self.assertRaises(ValueError):
                frost_alarm([], off=off)
