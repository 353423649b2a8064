"""Write a generator `tide_ranges(levels, size)` that reads tide levels (integers, centimetres) from any iterable and
yields, for every window of `size` consecutive levels, the highest minus the lowest level. The first value is yielded
as soon as the first full window has been read; only as many levels as needed are consumed. Fewer levels than `size`
yield nothing. A `size` below 1 raises ValueError when iteration starts."""

from collections import deque
from collections.abc import Iterable, Iterator


def tide_ranges(levels: Iterable[int], size: int) -> Iterator[int]:
    if size < 1:
        raise ValueError("size must be at least 1")
    window: deque[int] = deque(maxlen=size)
    for level in levels:
        window.append(level)
        if len(window) == size:
            yield max(window) - min(window)


# --- tests ---

import unittest


class TestTideRanges(unittest.TestCase):
    def test_each_window_gives_its_range(self) -> None:
        self.assertEqual(list(tide_ranges([10, 40, 25, 5, 30], 3)), [30, 35, 25])

    def test_windows_overlap_by_all_but_one(self) -> None:
        self.assertEqual(list(tide_ranges([1, 5, 2, 9], 2)), [4, 3, 7])

    def test_exactly_one_full_window(self) -> None:
        self.assertEqual(list(tide_ranges([7, -3, 2], 3)), [10])

    def test_too_few_levels_yield_nothing(self) -> None:
        self.assertEqual(list(tide_ranges([7, 3], 3)), [])

    def test_empty_input_yields_nothing(self) -> None:
        self.assertEqual(list(tide_ranges([], 1)), [])

    def test_windows_of_one_have_no_range(self) -> None:
        self.assertEqual(list(tide_ranges([4, 9, -2], 1)), [0, 0, 0])

    def test_size_zero_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            next(tide_ranges([1, 2], 0))
        with self.assertRaises(ValueError):
            next(tide_ranges([], 0))

    def test_reads_no_further_than_needed(self) -> None:
        source = iter([3, 8, 1, 6])
        self.assertEqual(next(tide_ranges(source, 2)), 5)
        self.assertEqual(next(source), 1)
