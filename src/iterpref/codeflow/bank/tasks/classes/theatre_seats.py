"""Write a class `SeatMap(rows, seats_per_row)` for a small theatre with rows "A", "B", ... and seats numbered from 1.
Labels look like "B12". `seats[label]` gives the guest's name or None; `seats[label] = name` books and raises
ValueError if taken; `del seats[label]` frees it and raises KeyError if it was free. Malformed labels and those
outside the map raise KeyError. `find_block(size)` returns labels of the first `size` adjacent free seats in one row,
front row first, lowest numbers first, or an empty list if there are none."""

import re


class SeatMap:
    def __init__(self, rows: int, seats_per_row: int) -> None:
        self._seats: list[list[str | None]] = [[None] * seats_per_row for _ in range(rows)]

    def _position(self, label: str) -> tuple[int, int]:
        match = re.fullmatch(r"([A-Z])([1-9][0-9]*)", label)
        if match is None:
            raise KeyError(label)
        row, seat = ord(match[1]) - ord("A"), int(match[2]) - 1
        if row >= len(self._seats) or seat >= len(self._seats[row]):
            raise KeyError(label)
        return row, seat

    def __getitem__(self, label: str) -> str | None:
        row, seat = self._position(label)
        return self._seats[row][seat]

    def __setitem__(self, label: str, name: str) -> None:
        row, seat = self._position(label)
        if self._seats[row][seat] is not None:
            raise ValueError(f"{label} is taken")
        self._seats[row][seat] = name

    def __delitem__(self, label: str) -> None:
        row, seat = self._position(label)
        if self._seats[row][seat] is None:
            raise KeyError(label)
        self._seats[row][seat] = None

    def find_block(self, size: int) -> list[str]:
        for row, seats in enumerate(self._seats):
            for start in range(len(seats) - size + 1):
                if all(guest is None for guest in seats[start : start + size]):
                    return [f"{chr(ord('A') + row)}{start + 1 + i}" for i in range(size)]
        return []


# --- tests ---

import unittest


class TestSeatMap(unittest.TestCase):
    def test_booking_and_reading(self) -> None:
        seats = SeatMap(2, 12)
        seats["B12"] = "Ines"
        self.assertEqual((seats["B12"], seats["B11"], seats["A12"]), ("Ines", None, None))

    def test_a_taken_seat_stays_with_its_guest(self) -> None:
        seats = SeatMap(1, 2)
        seats["A1"] = "Ines"
        with self.assertRaises(ValueError):
            seats["A1"] = "Omar"
        self.assertEqual(seats["A1"], "Ines")

    def test_rows_are_separate(self) -> None:
        seats = SeatMap(3, 1)
        seats["A1"] = "Ines"
        self.assertEqual([seats["B1"], seats["C1"]], [None, None])

    def test_freeing_a_seat(self) -> None:
        seats = SeatMap(1, 2)
        seats["A2"] = "Ines"
        del seats["A2"]
        self.assertIsNone(seats["A2"])
        with self.assertRaises(KeyError):
            del seats["A2"]

    def test_labels_outside_the_map(self) -> None:
        seats = SeatMap(2, 3)
        self.assertIsNone(seats["B3"])
        for label in ("A4", "C1", "A0", "Z9"):
            with self.assertRaises(KeyError):
                seats[label]

    def test_malformed_labels(self) -> None:
        seats = SeatMap(2, 3)
        for label in ("", "A", "a1", "1A", "A 1", "A1x", "A-1", "AA1"):
            with self.assertRaises(KeyError):
                seats[label] = "Ines"

    def test_first_block_in_the_front_row(self) -> None:
        self.assertEqual(SeatMap(2, 4).find_block(3), ["A1", "A2", "A3"])

    def test_block_behind_taken_seats(self) -> None:
        seats = SeatMap(2, 5)
        seats["A2"] = "Ines"
        self.assertEqual(seats.find_block(1), ["A1"])
        self.assertEqual(seats.find_block(2), ["A3", "A4"])
        self.assertEqual(seats.find_block(3), ["A3", "A4", "A5"])
        self.assertEqual(seats.find_block(4), ["B1", "B2", "B3", "B4"])

    def test_no_block_found(self) -> None:
        seats = SeatMap(2, 2)
        self.assertEqual(seats.find_block(3), [])
        seats["A1"] = seats["B2"] = "Ines"
        self.assertEqual(seats.find_block(2), [])
        self.assertEqual(seats.find_block(1), ["A2"])
