"""Write `group_seats(rows, size)` for a cinema. `rows` lists the rows from the screen backwards, each a text with "."
for a free and "x" for a taken seat. Find `size` free seats side by side in one row and return `(row, first, last)`,
counted from 1, or None. Prefer the place whose middle is nearest to the middle of its row; among equal ones the row
farther back, then the place farther left. A `size` below 1 raises ValueError."""


def group_seats(rows: list[str], size: int) -> tuple[int, int, int] | None:
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    best: tuple[int, int, int] | None = None
    best_distance = 0
    for row in range(len(rows), 0, -1):
        seats = rows[row - 1]
        for start in range(len(seats) - size + 1):
            if "x" in seats[start : start + size]:
                continue
            # Twice the distance between the middles, to stay with whole numbers.
            distance = abs(2 * start + size - len(seats))
            if best is None or distance < best_distance:
                best = (row, start + 1, start + size)
                best_distance = distance
    return best


# --- tests ---

import unittest


class TestGroupSeats(unittest.TestCase):
    def test_the_middle_of_an_empty_row(self) -> None:
        self.assertEqual(group_seats(["......."], 3), (1, 3, 5))
        self.assertEqual(group_seats(["......"], 2), (1, 3, 4))

    def test_farther_left_when_two_places_are_equally_near(self) -> None:
        self.assertEqual(group_seats(["......."], 2), (1, 3, 4))
        self.assertEqual(group_seats(["..x.."], 2), (1, 1, 2))

    def test_farther_back_when_rows_are_equal(self) -> None:
        self.assertEqual(group_seats([".....", ".....", "....."], 1), (3, 3, 3))
        self.assertEqual(group_seats([".....", ".....", "..x.."], 1), (2, 3, 3))

    def test_nearness_goes_before_the_row(self) -> None:
        self.assertEqual(group_seats(["....", "xx..", "xx.."], 2), (1, 2, 3))

    def test_rows_may_differ_in_length(self) -> None:
        self.assertEqual(group_seats(["...", "...........x", "........"], 3), (1, 1, 3))

    def test_a_group_may_fill_a_row_and_no_more(self) -> None:
        self.assertEqual(group_seats(["x..", "...", "..x"], 3), (2, 1, 3))
        self.assertIsNone(group_seats(["...", "..."], 4))

    def test_places_at_both_ends_are_found(self) -> None:
        self.assertEqual(group_seats(["xxxx.."], 2), (1, 5, 6))
        self.assertEqual(group_seats(["..xxxx"], 2), (1, 1, 2))

    def test_nothing_free(self) -> None:
        self.assertIsNone(group_seats(["xxx", "x.x"], 2))
        self.assertIsNone(group_seats([], 1))
        self.assertIsNone(group_seats(["", ""], 1))

    def test_the_size_must_be_positive(self) -> None:
        for size in (0, -1):
            with self.assertRaises(ValueError):
                group_seats(["..."], size)
