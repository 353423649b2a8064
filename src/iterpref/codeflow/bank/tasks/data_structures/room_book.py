"""Write a class RoomBook(opens, closes) for one meeting room; times are integer minutes and every booking is
half-open, so one may start when another ends. book(start, end, who) returns True, or False without any change if it
overlaps a booking; ValueError if start is not before end or it is not within opening hours. cancel(start) removes the
booking starting then and returns its who, else raises KeyError. at(minute) is who has the room, or None.
gaps(shortest=1) lists free (start, end) spans of at least that length, in order."""

from bisect import bisect_left, bisect_right


class RoomBook:
    def __init__(self, opens: int, closes: int) -> None:
        self._opens = opens
        self._closes = closes
        self._bookings: list[tuple[int, int, str]] = []

    def book(self, start: int, end: int, who: str) -> bool:
        if not self._opens <= start < end <= self._closes:
            raise ValueError(f"cannot book {start} to {end}")
        place = bisect_left(self._bookings, start, key=lambda booking: booking[0])
        if place > 0 and self._bookings[place - 1][1] > start:
            return False
        if place < len(self._bookings) and self._bookings[place][0] < end:
            return False
        self._bookings.insert(place, (start, end, who))
        return True

    def cancel(self, start: int) -> str:
        for place, booking in enumerate(self._bookings):
            if booking[0] == start:
                return self._bookings.pop(place)[2]
        raise KeyError(start)

    def at(self, minute: int) -> str | None:
        place = bisect_right(self._bookings, minute, key=lambda booking: booking[0])
        if place > 0 and minute < self._bookings[place - 1][1]:
            return self._bookings[place - 1][2]
        return None

    def gaps(self, shortest: int = 1) -> list[tuple[int, int]]:
        starts = [start for start, _, _ in self._bookings]
        ends = [end for _, end, _ in self._bookings]
        spans = zip([self._opens, *ends], [*starts, self._closes], strict=True)
        return [(free, busy) for free, busy in spans if busy - free >= shortest]


# --- tests ---

import unittest


class TestRoomBook(unittest.TestCase):
    def setUp(self) -> None:
        self.room = RoomBook(480, 1080)
        self.room.book(600, 660, "Mia")
        self.room.book(540, 570, "Raj")

    def test_overlaps_are_turned_down(self) -> None:
        for start, end in ((590, 601), (659, 700), (610, 620), (500, 700), (600, 660), (480, 541), (569, 580)):
            with self.subTest(start=start, end=end):
                self.assertIs(self.room.book(start, end, "Zed"), False)
        self.assertEqual(self.room.gaps(), [(480, 540), (570, 600), (660, 1080)])

    def test_neighbours_may_touch(self) -> None:
        self.assertIs(self.room.book(570, 600, "Zed"), True)
        self.assertIs(self.room.book(660, 661, "Kim"), True)
        self.assertEqual(self.room.gaps(), [(480, 540), (661, 1080)])
        self.assertIs(self.room.book(662, 1080, "Ann"), True)
        self.assertEqual(self.room.gaps(), [(480, 540), (661, 662)])

    def test_who_has_the_room(self) -> None:
        found = [self.room.at(minute) for minute in (539, 540, 569, 570, 599, 600, 659, 660)]
        self.assertEqual(found, [None, "Raj", "Raj", None, None, "Mia", "Mia", None])

    def test_opening_hours(self) -> None:
        self.assertIs(self.room.book(480, 490, "Zed"), True)
        self.assertIs(self.room.book(1070, 1080, "Kim"), True)
        for start, end in ((479, 500), (1070, 1081)):
            with self.subTest(start=start, end=end), self.assertRaises(ValueError):
                self.room.book(start, end, "Zed")

    def test_a_booking_must_last(self) -> None:
        for start, end in ((700, 700), (710, 700)):
            with self.subTest(start=start, end=end), self.assertRaises(ValueError):
                self.room.book(start, end, "Zed")

    def test_cancel_frees_the_room(self) -> None:
        self.assertEqual(self.room.cancel(600), "Mia")
        self.assertIsNone(self.room.at(630))
        self.assertIs(self.room.book(590, 620, "Zed"), True)
        self.assertEqual(self.room.at(545), "Raj")

    def test_cancel_needs_an_exact_start(self) -> None:
        for start in (601, 660, 0):
            with self.subTest(start=start), self.assertRaises(KeyError):
                self.room.cancel(start)

    def test_gaps_of_a_least_length(self) -> None:
        self.assertEqual(self.room.gaps(30), [(480, 540), (570, 600), (660, 1080)])
        self.assertEqual(self.room.gaps(31), [(480, 540), (660, 1080)])
        self.assertEqual(self.room.gaps(421), [])

    def test_an_empty_and_a_full_book(self) -> None:
        room = RoomBook(0, 60)
        self.assertEqual(room.gaps(), [(0, 60)])
        room.book(0, 60, "Mia")
        self.assertEqual(room.gaps(), [])
