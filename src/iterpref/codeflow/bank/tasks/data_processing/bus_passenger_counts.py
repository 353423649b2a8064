"""Write `peak_hours(rides)` for a bus operator. `rides` is a list of (line, time, passengers) with times such as
"07:45". Return a dict from each line, in alphabetical order, to (hour, total): the whole hour (an int) with the most
passengers summed over all rides of that line in that hour. On a tie the earlier hour wins. A negative number of
passengers raises ValueError. No rides give an empty dict."""

from collections import defaultdict


def peak_hours(rides: list[tuple[str, str, int]]) -> dict[str, tuple[int, int]]:
    totals: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for line, time, passengers in rides:
        if passengers < 0:
            raise ValueError(f"line {line} at {time}: {passengers} passengers")
        totals[line][int(time.split(":")[0])] += passengers
    peaks = {}
    for line in sorted(totals):
        hour, total = min(totals[line].items(), key=lambda item: (-item[1], item[0]))
        peaks[line] = (hour, total)
    return peaks


# --- tests ---

import unittest


class TestBusPassengerCounts(unittest.TestCase):
    def test_no_rides(self) -> None:
        self.assertEqual(peak_hours([]), {})

    def test_rides_of_one_hour_are_added(self) -> None:
        self.assertEqual(peak_hours([("7", "07:05", 12), ("7", "07:59", 9), ("7", "08:00", 20)]), {"7": (7, 21)})

    def test_lines_are_counted_apart(self) -> None:
        rides = [("A", "09:00", 5), ("B", "09:10", 50), ("A", "17:00", 6), ("B", "18:00", 2)]
        self.assertEqual(peak_hours(rides), {"A": (17, 6), "B": (9, 50)})

    def test_lines_come_in_alphabetical_order(self) -> None:
        self.assertEqual(list(peak_hours([("C", "09:00", 1), ("A", "09:00", 1), ("B", "09:00", 1)])), ["A", "B", "C"])

    def test_tie_goes_to_the_earlier_hour(self) -> None:
        self.assertEqual(peak_hours([("A", "18:00", 4), ("A", "09:30", 4), ("A", "12:00", 4)]), {"A": (9, 4)})

    def test_empty_bus_counts_as_a_ride(self) -> None:
        self.assertEqual(peak_hours([("A", "23:10", 0)]), {"A": (23, 0)})

    def test_negative_count_raises(self) -> None:
        with self.assertRaises(ValueError):
            peak_hours([("A", "09:00", -1)])

    def test_hours_before_ten_are_numbers(self) -> None:
        self.assertEqual(peak_hours([("A", "9:15", 3), ("A", "09:20", 4), ("A", "10:00", 6)]), {"A": (9, 7)})
