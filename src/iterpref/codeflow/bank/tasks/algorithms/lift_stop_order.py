"""Write lift_stop_order(floor, calls, upward). The lift stands at floor; calls are the requested floors in any order,
perhaps repeated. If upward is true it first serves the calls above in rising order, then the ones below in falling
order; otherwise first those below, falling, then those above, rising. A call for the current floor is served first of
all. Return (stops, travelled): the stops in serving order, each floor once, and the total number of floors travelled.
No calls give ([], 0). Do not change calls."""


def lift_stop_order(floor: int, calls: list[int], upward: bool) -> tuple[list[int], int]:
    wanted = set(calls)
    here = [floor] if floor in wanted else []
    above = sorted(call for call in wanted if call > floor)
    below = sorted((call for call in wanted if call < floor), reverse=True)
    stops = here + (above + below if upward else below + above)
    travelled = 0
    for stop in stops:
        travelled += abs(stop - floor)
        floor = stop
    return stops, travelled


# --- tests ---

import unittest


class TestLiftStopOrder(unittest.TestCase):
    def test_upward_first(self) -> None:
        self.assertEqual(lift_stop_order(4, [2, 7, 5, 1], True), ([5, 7, 2, 1], 9))

    def test_downward_first(self) -> None:
        self.assertEqual(lift_stop_order(4, [2, 7, 5, 1], False), ([2, 1, 5, 7], 9))

    def test_the_current_floor_is_served_first(self) -> None:
        self.assertEqual(lift_stop_order(3, [5, 3, 1], False), ([3, 1, 5], 6))
        self.assertEqual(lift_stop_order(3, [3], True), ([3], 0))

    def test_repeated_calls_are_one_stop(self) -> None:
        self.assertEqual(lift_stop_order(0, [2, 2, 0, 2, 0], True), ([0, 2], 2))

    def test_no_calls(self) -> None:
        self.assertEqual(lift_stop_order(6, [], True), ([], 0))

    def test_calls_only_on_the_other_side(self) -> None:
        self.assertEqual(lift_stop_order(5, [1, 3], True), ([3, 1], 4))
        self.assertEqual(lift_stop_order(5, [9, 6], False), ([6, 9], 4))

    def test_basement_floors(self) -> None:
        self.assertEqual(lift_stop_order(0, [-2, 1, -1], True), ([1, -1, -2], 4))

    def test_calls_stay_unchanged(self) -> None:
        calls = [3, 1, 3]
        lift_stop_order(2, calls, True)
        self.assertEqual(calls, [3, 1, 3])
