"""Write `moving_average(readings, width)` for a greenhouse. `readings` is a list of numbers and None (a failed
sensor). Return a list of the same length: position i holds the mean of the readings that are not None among the last
`width` positions up to and including i (fewer at the start), rounded to 2 places, or None when all of them are None.
A width below 1 raises ValueError. Empty readings give an empty list."""


def moving_average(readings: list[float | None], width: int) -> list[float | None]:
    if width < 1:
        raise ValueError(f"width {width} is below 1")
    averages: list[float | None] = []
    for end in range(1, len(readings) + 1):
        window = [value for value in readings[max(0, end - width) : end] if value is not None]
        averages.append(round(sum(window) / len(window), 2) if window else None)
    return averages


# --- tests ---

import unittest


class TestGreenhouseHumidityAverage(unittest.TestCase):
    def test_empty(self) -> None:
        self.assertEqual(moving_average([], 3), [])

    def test_width_one_repeats_the_readings(self) -> None:
        self.assertEqual(moving_average([5.0, None, 7.5], 1), [5.0, None, 7.5])

    def test_start_uses_fewer_readings(self) -> None:
        self.assertEqual(moving_average([10.0, 20.0, 60.0, 10.0], 3), [10.0, 15.0, 30.0, 30.0])

    def test_failed_sensors_do_not_count(self) -> None:
        self.assertEqual(moving_average([4.0, None, 8.0, None, None], 2), [4.0, 4.0, 8.0, 8.0, None])

    def test_zero_is_a_reading(self) -> None:
        self.assertEqual(moving_average([0.0, 4.0, 0.0], 2), [0.0, 2.0, 2.0])

    def test_rounded_to_two_places(self) -> None:
        self.assertEqual(moving_average([1.0, 1.0, 2.0], 3), [1.0, 1.0, 1.33])

    def test_width_beyond_the_list(self) -> None:
        self.assertEqual(moving_average([2.0, 4.0], 10), [2.0, 3.0])

    def test_bad_width_raises(self) -> None:
        for width in (0, -2):
            with self.assertRaises(ValueError):
                moving_average([1.0], width)
