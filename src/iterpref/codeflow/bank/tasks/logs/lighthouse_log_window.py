"""Write `log_window(lines, start, end)` for a log whose lines begin with "HH:MM ". Return the lines whose time is
at or after `start` and before `end` (both "HH:MM"), in their order. When `end` is earlier than `start`, the window
runs over midnight: times from `start` on and times before `end`. Equal ones mean the whole day. A line that does
not begin so goes with the nearest line above that does; at the very beginning it is left out."""

import re

STAMP = re.compile(r"(\d\d:\d\d) ")


def log_window(lines: list[str], start: str, end: str) -> list[str]:
    kept: list[str] = []
    inside = False
    for line in lines:
        match = STAMP.match(line)
        if match:
            time = match.group(1)
            if start < end:
                inside = start <= time < end
            else:
                inside = time >= start or time < end
        if inside:
            kept.append(line)
    return kept


# --- tests ---

import unittest

LOG = ["00:10 fog", "05:59 dark", "06:00 lamp off", "  by keeper", "12:30 ship", "20:00 lamp on", "23:59 calm"]


class TestLogWindow(unittest.TestCase):
    def test_the_start_counts_and_the_end_does_not(self) -> None:
        self.assertEqual(log_window(LOG, "06:00", "20:00"), ["06:00 lamp off", "  by keeper", "12:30 ship"])

    def test_one_minute_later(self) -> None:
        self.assertEqual(log_window(LOG, "06:01", "20:01"), ["12:30 ship", "20:00 lamp on"])

    def test_a_window_over_midnight(self) -> None:
        self.assertEqual(log_window(LOG, "20:00", "06:00"), ["00:10 fog", "05:59 dark", "20:00 lamp on", "23:59 calm"])

    def test_boundaries_of_a_window_over_midnight(self) -> None:
        self.assertEqual(log_window(LOG, "20:01", "00:10"), ["23:59 calm"])

    def test_equal_times_mean_the_whole_day(self) -> None:
        self.assertEqual(log_window(LOG, "12:30", "12:30"), LOG)
        self.assertEqual(log_window(LOG, "00:00", "00:00"), LOG)

    def test_lines_without_a_time_at_the_beginning_are_left_out(self) -> None:
        self.assertEqual(log_window(["header", "", "01:00 x", "more"], "00:00", "00:00"), ["01:00 x", "more"])

    def test_following_lines_go_with_their_line(self) -> None:
        lines = ["08:00 in", "note", "09:00 out", "note two", "10:30", "08:15 in again"]
        self.assertEqual(log_window(lines, "08:00", "09:00"), ["08:00 in", "note", "08:15 in again"])
        self.assertEqual(log_window(lines, "09:00", "10:00"), ["09:00 out", "note two", "10:30"])

    def test_no_lines(self) -> None:
        self.assertEqual(log_window([], "00:00", "12:00"), [])
