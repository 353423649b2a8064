"""Write `error_bursts(events, gap, least)` for a toll bridge. `events` is a list of `(second, level)` in any order.
Looking only at events of level "ERROR" in order of time, errors belong to one burst while each follows the one before
by at most `gap` seconds. Return the bursts with at least `least` errors as a list of
`(first_second, last_second, count)`, in order of time. Errors in the same second all count. `events` stays unchanged;
no errors give an empty list; a negative `gap` raises ValueError."""


def error_bursts(events: list[tuple[int, str]], gap: int, least: int) -> list[tuple[int, int, int]]:
    if gap < 0:
        raise ValueError(f"gap must not be negative, got {gap}")
    bursts: list[list[int]] = []
    for second in sorted(second for second, level in events if level == "ERROR"):
        if bursts and second - bursts[-1][-1] <= gap:
            bursts[-1].append(second)
        else:
            bursts.append([second])
    return [(burst[0], burst[-1], len(burst)) for burst in bursts if len(burst) >= least]


# --- tests ---

import unittest


def errors(*seconds: int) -> list[tuple[int, str]]:
    return [(second, "ERROR") for second in seconds]


class TestErrorBursts(unittest.TestCase):
    def test_one_burst(self) -> None:
        self.assertEqual(error_bursts(errors(10, 12, 15), 5, 3), [(10, 15, 3)])

    def test_a_pause_of_exactly_the_gap_goes_on(self) -> None:
        self.assertEqual(error_bursts(errors(0, 5, 10), 5, 1), [(0, 10, 3)])
        self.assertEqual(error_bursts(errors(0, 5, 11), 5, 1), [(0, 5, 2), (11, 11, 1)])

    def test_small_bursts_are_left_out(self) -> None:
        self.assertEqual(error_bursts(errors(0, 1, 50, 51, 52, 90), 2, 3), [(50, 52, 3)])
        self.assertEqual(error_bursts(errors(0, 1), 2, 3), [])

    def test_other_levels_neither_count_nor_connect(self) -> None:
        events = [(0, "ERROR"), (4, "INFO"), (8, "ERROR"), (9, "error")]
        self.assertEqual(error_bursts(events, 5, 1), [(0, 0, 1), (8, 8, 1)])

    def test_events_are_put_in_order_and_left_alone(self) -> None:
        events = errors(30, 2, 31, 1)
        self.assertEqual(error_bursts(events, 3, 2), [(1, 2, 2), (30, 31, 2)])
        self.assertEqual(events, errors(30, 2, 31, 1))

    def test_errors_of_one_second_all_count(self) -> None:
        self.assertEqual(error_bursts(errors(7, 7, 8, 7), 0, 2), [(7, 7, 3)])

    def test_no_errors(self) -> None:
        self.assertEqual(error_bursts([], 5, 1), [])
        self.assertEqual(error_bursts([(3, "INFO")], 5, 1), [])

    def test_a_negative_gap_raises(self) -> None:
        with self.assertRaises(ValueError):
            error_bursts(errors(1, 2), -1, 1)
