"""Write the generator `statement(entries, opening=0)` for a club treasurer. `entries` is a list of (day, text,
cents), day an int, cents negative for expenses, in any order. It yields (day, text, cents, balance) sorted by day,
entries of one day in list order, and after the last entry of each day a line (day, "end of day", sum of that day,
balance). The balance starts at `opening`. Without entries nothing is yielded. The list is not changed."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter


def statement(entries: list[tuple[int, str, int]], opening: int = 0) -> Iterator[tuple[int, str, int, int]]:
    balance = opening
    by_day = sorted(entries, key=itemgetter(0))
    for day, group in groupby(by_day, key=itemgetter(0)):
        day_sum = 0
        for _, text, cents in group:
            balance += cents
            day_sum += cents
            yield day, text, cents, balance
        yield day, "end of day", day_sum, balance


# --- tests ---

import unittest


class TestClubAccountStatement(unittest.TestCase):
    def test_no_entries(self) -> None:
        self.assertEqual(list(statement([], 500)), [])

    def test_single_entry_starts_from_zero(self) -> None:
        self.assertEqual(list(statement([(3, "fee", 20)])), [(3, "fee", 20, 20), (3, "end of day", 20, 20)])

    def test_opening_balance(self) -> None:
        self.assertEqual(list(statement([(3, "rent", -70)], 100))[-1], (3, "end of day", -70, 30))

    def test_days_are_summed_apart(self) -> None:
        lines = list(statement([(1, "fee", 20), (1, "fee", 30), (2, "rent", -40)]))
        expected = [
            (1, "fee", 20, 20),
            (1, "fee", 30, 50),
            (1, "end of day", 50, 50),
            (2, "rent", -40, 10),
            (2, "end of day", -40, 10),
        ]
        self.assertEqual(lines, expected)

    def test_entries_are_sorted_by_day(self) -> None:
        lines = list(statement([(9, "late", 1), (2, "early", 2), (9, "later", 4)]))
        self.assertEqual([line[1] for line in lines], ["early", "end of day", "late", "later", "end of day"])

    def test_order_within_a_day_is_kept(self) -> None:
        lines = list(statement([(1, "z", 9), (1, "a", 5), (1, "m", 7)]))
        self.assertEqual([line[1] for line in lines[:3]], ["z", "a", "m"])

    def test_it_is_lazy(self) -> None:
        self.assertEqual(next(statement([(1, "fee", 5), (1, "fee", 6)], 1)), (1, "fee", 5, 6))

    def test_list_is_unchanged(self) -> None:
        entries = [(9, "late", 1), (2, "early", 2)]
        list(statement(entries))
        self.assertEqual(entries, [(9, "late", 1), (2, "early", 2)])
