"""Write a generator `deadband_readings(readings, band)` for a greenhouse logger. `readings` is an iterable of
(second, value) pairs of integers. Yield the first pair, then only those pairs whose value differs from the last
*yielded* value by at least `band`, upwards or downwards. Finally, if the very last pair of the input was not yielded,
yield it, too. Empty input yields nothing. A negative `band` raises ValueError when iteration starts; a band of 0
keeps everything."""

from collections.abc import Iterable, Iterator


def deadband_readings(readings: Iterable[tuple[int, int]], band: int) -> Iterator[tuple[int, int]]:
    if band < 0:
        raise ValueError("band must not be negative")
    kept: int | None = None
    skipped: tuple[int, int] | None = None
    for second, value in readings:
        if kept is None or abs(value - kept) >= band:
            kept = value
            skipped = None
            yield second, value
        else:
            skipped = (second, value)
    if skipped is not None:
        yield skipped


# --- tests ---

import unittest


class TestDeadbandReadings(unittest.TestCase):
    def test_small_changes_are_dropped(self) -> None:
        readings = [(0, 20), (1, 21), (2, 22), (3, 25)]
        self.assertEqual(list(deadband_readings(readings, 3)), [(0, 20), (3, 25)])

    def test_a_change_of_exactly_the_band_is_kept(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 10), (1, 12), (2, 14)], 2)), [(0, 10), (1, 12), (2, 14)])

    def test_downward_changes_count(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 10), (1, 5), (2, -1)], 5)), [(0, 10), (1, 5), (2, -1)])

    def test_slow_drift_is_measured_from_the_last_yielded(self) -> None:
        readings = [(second, second) for second in range(8)]
        self.assertEqual(list(deadband_readings(readings, 3)), [(0, 0), (3, 3), (6, 6), (7, 7)])

    def test_the_last_pair_is_always_there(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 10), (1, 11), (2, 9)], 5)), [(0, 10), (2, 9)])

    def test_the_last_pair_is_not_repeated(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 0), (1, 1), (2, 9)], 5)), [(0, 0), (2, 9)])

    def test_values_of_zero_are_remembered(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 0), (1, 1), (2, 2), (3, 1)], 3)), [(0, 0), (3, 1)])

    def test_band_zero_keeps_all(self) -> None:
        self.assertEqual(list(deadband_readings([(0, 4), (1, 4), (2, 4)], 0)), [(0, 4), (1, 4), (2, 4)])

    def test_empty_input_and_negative_band(self) -> None:
        self.assertEqual(list(deadband_readings([], 2)), [])
        with self.assertRaises(ValueError):
            next(deadband_readings([(0, 1)], -1))
