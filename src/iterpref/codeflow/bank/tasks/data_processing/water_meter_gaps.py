"""Write `fill_gaps(readings)` for a water company. `readings` is a list of yearly meter readings, None where one is
missing. Return a new list in which each run of missing readings between two known ones is filled on a straight line,
rounded down to whole numbers (the meter never runs backwards). Missing readings before the first or after the last
known one stay None. A known reading smaller than the known one before it raises ValueError. The input stays
unchanged."""


def fill_gaps(readings: list[int | None]) -> list[int | None]:
    filled = list(readings)
    last: int | None = None
    for index, value in enumerate(readings):
        if value is None:
            continue
        if last is not None:
            start = readings[last] or 0
            if value < start:
                raise ValueError(f"reading {value} after {start}")
            for gap in range(last + 1, index):
                filled[gap] = start + (value - start) * (gap - last) // (index - last)
        last = index
    return filled


# --- tests ---

import unittest


class TestWaterMeterGaps(unittest.TestCase):
    def test_empty(self) -> None:
        self.assertEqual(fill_gaps([]), [])

    def test_nothing_missing(self) -> None:
        self.assertEqual(fill_gaps([3, 5, 5, 9]), [3, 5, 5, 9])

    def test_single_gap_is_rounded_down(self) -> None:
        self.assertEqual(fill_gaps([10, None, 15]), [10, 12, 15])

    def test_long_gap(self) -> None:
        self.assertEqual(fill_gaps([100, None, None, None, 110]), [100, 102, 105, 107, 110])

    def test_several_gaps(self) -> None:
        self.assertEqual(fill_gaps([0, None, 4, None, None, 10]), [0, 2, 4, 6, 8, 10])

    def test_gap_between_zeros(self) -> None:
        self.assertEqual(fill_gaps([0, None, 0]), [0, 0, 0])

    def test_edges_stay_none(self) -> None:
        self.assertEqual(fill_gaps([None, None, 7, None, 9, None]), [None, None, 7, 8, 9, None])

    def test_all_missing(self) -> None:
        self.assertEqual(fill_gaps([None, None]), [None, None])

    def test_backwards_raises_across_a_gap_too(self) -> None:
        for readings in ([5, 4], [5, None, 4]):
            with self.assertRaises(ValueError):
                fill_gaps(readings)

    def test_input_is_unchanged(self) -> None:
        readings = [1, None, 3]
        fill_gaps(readings)
        self.assertEqual(readings, [1, None, 3])
