"""Write latest_ferry_before(departures, deadline). The departures are a list of minutes since midnight in rising
order, perhaps with repeats (two boats at once). Return the index of the last departure that is not later than the
deadline; among equal departures that is the one with the highest index. Return -1 when every boat leaves after the
deadline or the list is empty. Search by halving, and do not change the list."""


def latest_ferry_before(departures: list[int], deadline: int) -> int:
    low = 0
    high = len(departures)
    while low < high:
        middle = (low + high) // 2
        if departures[middle] <= deadline:
            low = middle + 1
        else:
            high = middle
    return low - 1


# --- tests ---

import unittest


class TestLatestFerryBefore(unittest.TestCase):
    def test_between_two_departures(self) -> None:
        self.assertEqual(latest_ferry_before([360, 420, 480, 600], 500), 2)

    def test_a_boat_exactly_at_the_deadline_counts(self) -> None:
        self.assertEqual(latest_ferry_before([360, 420, 480], 420), 1)

    def test_one_minute_too_early_gives_the_boat_before(self) -> None:
        self.assertEqual(latest_ferry_before([360, 420, 480], 419), 0)

    def test_all_boats_too_late(self) -> None:
        self.assertEqual(latest_ferry_before([360, 420], 359), -1)

    def test_all_boats_in_time(self) -> None:
        self.assertEqual(latest_ferry_before([360, 420, 480], 1439), 2)

    def test_no_boats(self) -> None:
        self.assertEqual(latest_ferry_before([], 600), -1)

    def test_equal_departures_give_the_last_of_them(self) -> None:
        self.assertEqual(latest_ferry_before([300, 400, 400, 400, 500], 400), 3)

    def test_every_position_of_a_long_list(self) -> None:
        departures = list(range(0, 200, 10))
        for index, minute in enumerate(departures):
            self.assertEqual(latest_ferry_before(departures, minute), index)
            self.assertEqual(latest_ferry_before(departures, minute + 9), index)

    def test_the_list_stays_as_it_was(self) -> None:
        departures = [10, 20]
        latest_ferry_before(departures, 15)
        self.assertEqual(departures, [10, 20])
