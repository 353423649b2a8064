"""Write a generator `merge_flight_boards(domestic, international)`. Both arguments are iterables of (minute, flight)
tuples, each already sorted by minute. Yield (minute, flight, board) triples in order of minute, where board is "D" or
"I". At equal minutes domestic flights come first, and the order within a board is kept. Work lazily: never read more
than one entry ahead from either board. If a board's minutes go backwards, raise ValueError when that entry is reached
in the output, before yielding it. Empty boards are fine."""

from collections.abc import Iterable, Iterator


def merge_flight_boards(
    domestic: Iterable[tuple[int, str]], international: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, str, str]]:
    left, right = iter(domestic), iter(international)
    left_head, right_head = next(left, None), next(right, None)
    last: int | None = None
    while left_head is not None or right_head is not None:
        if right_head is None or (left_head is not None and left_head[0] <= right_head[0]):
            assert left_head is not None
            minute, flight, board = left_head[0], left_head[1], "D"
        else:
            minute, flight, board = right_head[0], right_head[1], "I"
        if last is not None and minute < last:
            raise ValueError(f"flight {flight} at minute {minute} comes after minute {last}")
        last = minute
        yield minute, flight, board
        if board == "D":
            left_head = next(left, None)
        else:
            right_head = next(right, None)


# --- tests ---

import itertools
import unittest


class TestMergeFlightBoards(unittest.TestCase):
    def test_entries_come_in_order_of_minute(self) -> None:
        merged = merge_flight_boards([(5, "A1"), (30, "A2")], [(10, "B1"), (20, "B2")])
        self.assertEqual(list(merged), [(5, "A1", "D"), (10, "B1", "I"), (20, "B2", "I"), (30, "A2", "D")])

    def test_domestic_first_at_equal_minutes(self) -> None:
        merged = merge_flight_boards([(5, "Z"), (5, "Y")], [(5, "A")])
        self.assertEqual(list(merged), [(5, "Z", "D"), (5, "Y", "D"), (5, "A", "I")])

    def test_empty_domestic_board(self) -> None:
        self.assertEqual(list(merge_flight_boards([], [(1, "B"), (1, "A")])), [(1, "B", "I"), (1, "A", "I")])

    def test_empty_international_board(self) -> None:
        self.assertEqual(list(merge_flight_boards([(0, "A"), (2, "B")], [])), [(0, "A", "D"), (2, "B", "D")])

    def test_both_boards_empty(self) -> None:
        self.assertEqual(list(merge_flight_boards([], [])), [])

    def test_backwards_minutes_raise_when_reached(self) -> None:
        merged = merge_flight_boards([(8, "A"), (7, "B")], [(20, "C")])
        self.assertEqual(next(merged), (8, "A", "D"))
        with self.assertRaises(ValueError):
            next(merged)

    def test_backwards_international_minutes_raise_too(self) -> None:
        merged = merge_flight_boards([(1, "A")], [(3, "B"), (2, "C")])
        self.assertEqual([next(merged), next(merged)], [(1, "A", "D"), (3, "B", "I")])
        with self.assertRaises(ValueError):
            next(merged)

    def test_reads_at_most_one_entry_ahead(self) -> None:
        endless = ((minute, f"D{minute}") for minute in itertools.count())
        right = iter([(1, "I1"), (9, "I9"), (10, "I10")])
        merged = merge_flight_boards(endless, right)
        self.assertEqual(
            list(itertools.islice(merged, 4)), [(0, "D0", "D"), (1, "D1", "D"), (1, "I1", "I"), (2, "D2", "D")]
        )
        self.assertEqual(next(right), (10, "I10"))
