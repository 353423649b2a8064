"""Write longest_calm_spell(winds, limit) for a crane crew. Winds are the hourly wind speeds. A calm spell is a run of
consecutive hours whose speed is strictly below the limit. Return (first hour index, number of hours) of the longest
calm spell; of equally long ones, the earliest. A missing reading, given as None, interrupts a spell. If no hour is
calm, return None."""

from collections.abc import Sequence


def longest_calm_spell(winds: Sequence[float | None], limit: float) -> tuple[int, int] | None:
    best: tuple[int, int] | None = None
    length = 0
    for hour, wind in enumerate(winds):
        if wind is None or wind >= limit:
            length = 0
            continue
        length += 1
        if best is None or length > best[1]:
            best = (hour - length + 1, length)
    return best


# --- tests ---

import unittest


class TestLongestCalmSpell(unittest.TestCase):
    def test_a_spell_in_the_middle(self) -> None:
        self.assertEqual(longest_calm_spell([12, 5, 6, 7, 15, 4], 10), (1, 3))

    def test_the_limit_itself_is_not_calm(self) -> None:
        self.assertEqual(longest_calm_spell([9.9, 10, 9.9, 9.8], 10), (2, 2))

    def test_the_earliest_of_equal_spells(self) -> None:
        self.assertEqual(longest_calm_spell([3, 3, 20, 3, 3, 20, 3], 10), (0, 2))

    def test_a_spell_that_reaches_the_end(self) -> None:
        self.assertEqual(longest_calm_spell([1, 20, 1, 1, 1], 10), (2, 3))

    def test_all_calm(self) -> None:
        self.assertEqual(longest_calm_spell([0, 0, 0], 10), (0, 3))

    def test_no_calm_hour(self) -> None:
        self.assertIsNone(longest_calm_spell([11, 10, 30], 10))
        self.assertIsNone(longest_calm_spell([], 10))
        self.assertIsNone(longest_calm_spell([None, None], 10))

    def test_a_missing_reading_interrupts(self) -> None:
        self.assertEqual(longest_calm_spell([2, 2, None, 2, 2, 2], 10), (3, 3))

    def test_one_calm_hour(self) -> None:
        self.assertEqual(longest_calm_spell([50, 9, 50], 10), (1, 1))
