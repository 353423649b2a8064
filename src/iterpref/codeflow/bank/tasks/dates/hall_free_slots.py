"""Write `hall_free_slots(opens, closes, bookings, shortest)` for a village hall on one day. All times are
"HH:MM" texts; `bookings` is a list of `(start, end)` pairs in any order that may overlap each other or reach
beyond the opening hours. Return the free slots between `opens` and `closes` as `(start, end)` texts in order of
time, only those lasting at least `shortest` minutes. Slots of zero length are never returned. A booking whose
end is not after its start raises ValueError."""


def to_minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def to_clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def hall_free_slots(opens: str, closes: str, bookings: list[tuple[str, str]], shortest: int) -> list[tuple[str, str]]:
    busy = sorted((to_minutes(start), to_minutes(end)) for start, end in bookings)
    if any(end <= start for start, end in busy):
        raise ValueError("a booking must end after it starts")
    closing = to_minutes(closes)
    free_from = to_minutes(opens)
    slots = []
    for start, end in [*busy, (closing, closing)]:
        length = min(start, closing) - free_from
        if length > 0 and length >= shortest:
            slots.append((to_clock(free_from), to_clock(free_from + length)))
        free_from = max(free_from, end)
    return slots


# --- tests ---

import unittest


class TestHallFreeSlots(unittest.TestCase):
    def free(self, *bookings: tuple[str, str], shortest: int = 30) -> list[tuple[str, str]]:
        return hall_free_slots("08:30", "18:00", list(bookings), shortest)

    def test_no_bookings(self) -> None:
        self.assertEqual(self.free(), [("08:30", "18:00")])

    def test_slots_around_bookings_in_any_order(self) -> None:
        self.assertEqual(
            self.free(("14:00", "15:05"), ("10:00", "11:00")),
            [("08:30", "10:00"), ("11:00", "14:00"), ("15:05", "18:00")],
        )

    def test_booking_inside_another(self) -> None:
        self.assertEqual(self.free(("09:00", "15:00"), ("10:00", "11:00")), [("08:30", "09:00"), ("15:00", "18:00")])

    def test_shortest_slot_is_included(self) -> None:
        self.assertEqual(self.free(("09:00", "18:00")), [("08:30", "09:00")])
        self.assertEqual(self.free(("08:59", "18:00")), [])

    def test_bookings_beyond_the_opening_hours(self) -> None:
        self.assertEqual(self.free(("06:00", "09:00"), ("17:00", "20:00")), [("09:00", "17:00")])

    def test_booking_wholly_outside(self) -> None:
        self.assertEqual(self.free(("06:00", "07:00"), ("19:00", "20:00")), [("08:30", "18:00")])

    def test_touching_bookings_leave_no_empty_slot(self) -> None:
        self.assertEqual(
            self.free(("08:30", "12:00"), ("12:00", "17:00"), shortest=0),
            [("17:00", "18:00")],
        )

    def test_slot_of_one_minute(self) -> None:
        self.assertEqual(self.free(("08:31", "17:59"), shortest=0), [("08:30", "08:31"), ("17:59", "18:00")])

    def test_fully_booked(self) -> None:
        self.assertEqual(self.free(("08:30", "18:00"), shortest=0), [])

    def test_bad_booking_raises(self) -> None:
        for booking in (("10:00", "10:00"), ("11:00", "10:00")):
            with self.subTest(booking=booking), self.assertRaises(ValueError):
                self.free(booking)
