"""Write `tide_table_gaps(times, longest)`. `times` is a list of "YYYY-MM-DD HH:MM" texts of observed high
waters, in any order and possibly repeated; `longest` is a timedelta. Return a list of `(before, after)` pairs
of those texts, in order of time, for every two neighbouring observations that lie more than `longest` apart. Do
not change the input list. Fewer than two observations give an empty list; a malformed time raises
ValueError."""

from datetime import datetime, timedelta
from itertools import pairwise

STAMP = "%Y-%m-%d %H:%M"


def tide_table_gaps(times: list[str], longest: timedelta) -> list[tuple[str, str]]:
    moments = sorted(datetime.strptime(text, STAMP) for text in times)
    gaps = []
    for before, after in pairwise(moments):
        if after - before > longest:
            gaps.append((before.strftime(STAMP), after.strftime(STAMP)))
    return gaps


# --- tests ---

import unittest
from datetime import timedelta

HALF_DAY = timedelta(hours=12, minutes=30)


class TestTideTableGaps(unittest.TestCase):
    def test_regular_tides_have_no_gap(self) -> None:
        times = ["2024-01-01 03:10", "2024-01-01 15:35", "2024-01-02 04:00"]
        self.assertEqual(tide_table_gaps(times, HALF_DAY), [])

    def test_missing_tide_is_found(self) -> None:
        times = ["2024-01-01 03:10", "2024-01-02 04:00", "2024-01-02 16:20"]
        self.assertEqual(tide_table_gaps(times, HALF_DAY), [("2024-01-01 03:10", "2024-01-02 04:00")])

    def test_exactly_the_longest_is_no_gap(self) -> None:
        self.assertEqual(tide_table_gaps(["2024-01-01 00:00", "2024-01-01 12:30"], HALF_DAY), [])
        self.assertEqual(len(tide_table_gaps(["2024-01-01 00:00", "2024-01-01 12:31"], HALF_DAY)), 1)

    def test_unsorted_input_is_sorted_but_not_changed(self) -> None:
        times = ["2024-01-03 00:00", "2024-01-01 00:00", "2024-01-02 00:00"]
        expected = [("2024-01-01 00:00", "2024-01-02 00:00"), ("2024-01-02 00:00", "2024-01-03 00:00")]
        self.assertEqual(tide_table_gaps(times, HALF_DAY), expected)
        self.assertEqual(times, ["2024-01-03 00:00", "2024-01-01 00:00", "2024-01-02 00:00"])

    def test_repeated_times_make_no_gap(self) -> None:
        self.assertEqual(tide_table_gaps(["2024-01-01 00:00"] * 3, timedelta(0)), [])

    def test_gap_over_a_leap_day_and_a_year(self) -> None:
        self.assertEqual(tide_table_gaps(["2024-02-28 12:00", "2024-03-01 12:00"], timedelta(days=2)), [])
        self.assertEqual(
            tide_table_gaps(["2023-12-31 12:00", "2024-01-01 12:00"], HALF_DAY),
            [("2023-12-31 12:00", "2024-01-01 12:00")],
        )

    def test_fewer_than_two(self) -> None:
        self.assertEqual(tide_table_gaps([], HALF_DAY), [])
        self.assertEqual(tide_table_gaps(["2024-01-01 00:00"], HALF_DAY), [])

    def test_malformed_time_raises(self) -> None:
        with self.assertRaises(ValueError):
            tide_table_gaps(["2024-01-01 25:00"], HALF_DAY)
