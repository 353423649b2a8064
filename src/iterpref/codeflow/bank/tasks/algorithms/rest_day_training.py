"""Write rest_day_training(gains, streak=2) for a running coach. Gains lists the fitness gain of training on each day,
as integers, possibly negative. At most streak days in a row may be training days; any day may be a rest day with gain
0. Return (total, days): the largest possible total and the 0-based training days that give it, in rising order. If
several plans give the same total, take one with the fewest training days; if still equal, any. A streak below 1
raises ValueError."""


def rest_day_training(gains: list[int], streak: int = 2) -> tuple[int, list[int]]:
    if streak < 1:
        raise ValueError(f"streak must be at least 1, not {streak}")
    # plans[run] is the best plan so far that ends in exactly `run` training days.
    plans: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for day, gain in enumerate(gains):
        following = {0: _better(plans)}
        for run, (total, days) in plans.items():
            if run < streak:
                following[run + 1] = (total + gain, [*days, day])
        plans = following
    return _better(plans)


def _better(plans: dict[int, tuple[int, list[int]]]) -> tuple[int, list[int]]:
    return max(plans.values(), key=lambda plan: (plan[0], -len(plan[1])))


# --- tests ---

import unittest


class TestRestDayTraining(unittest.TestCase):
    def test_no_days(self) -> None:
        self.assertEqual(rest_day_training([]), (0, []))

    def test_two_days_in_a_row_are_fine(self) -> None:
        self.assertEqual(rest_day_training([4, 5]), (9, [0, 1]))

    def test_the_weakest_of_three_days_is_rest(self) -> None:
        self.assertEqual(rest_day_training([4, 1, 5]), (9, [0, 2]))
        self.assertEqual(rest_day_training([1, 4, 5]), (9, [1, 2]))
        self.assertEqual(rest_day_training([4, 5, 1]), (9, [0, 1]))

    def test_a_longer_plan(self) -> None:
        self.assertEqual(rest_day_training([3, 8, 2, 9, 7, 1, 6]), (33, [0, 1, 3, 4, 6]))

    def test_another_streak(self) -> None:
        self.assertEqual(rest_day_training([5, 6, 5], streak=1), (10, [0, 2]))
        self.assertEqual(rest_day_training([5, 11, 5], streak=1), (11, [1]))
        self.assertEqual(rest_day_training([2, 3, 4, 1], streak=3), (9, [0, 1, 2]))
        self.assertEqual(rest_day_training([2, 3, 4, 1], streak=4), (10, [0, 1, 2, 3]))

    def test_negative_gains_are_avoided(self) -> None:
        self.assertEqual(rest_day_training([-3, -1]), (0, []))
        self.assertEqual(rest_day_training([7, -2, 4]), (11, [0, 2]))

    def test_a_tie_prefers_fewer_training_days(self) -> None:
        self.assertEqual(rest_day_training([0, 6, 0]), (6, [1]))
        self.assertEqual(rest_day_training([3, 6, 3], streak=1), (6, [1]))

    def test_a_streak_below_one_is_refused(self) -> None:
        for streak in (0, -1):
            with self.subTest(streak=streak), self.assertRaises(ValueError):
                rest_day_training([1, 2], streak)

    def test_gains_stay_unchanged(self) -> None:
        gains = [2, -1, 2]
        rest_day_training(gains)
        self.assertEqual(gains, [2, -1, 2])
