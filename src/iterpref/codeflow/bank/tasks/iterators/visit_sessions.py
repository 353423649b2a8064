"""Write a generator `visit_sessions(events, max_gap)` for a museum app. `events` is an iterable of (minute, room)
pairs. Group them into visits: an event belongs to the current visit if it comes at most `max_gap` minutes after the
previous event. Yield each finished visit as a tuple (first minute, last minute, rooms), where rooms is a list of the
different rooms in order of first appearance. An event earlier than the previous one raises ValueError. The open visit
is yielded at the end; empty input yields nothing."""

from collections.abc import Iterable, Iterator


def visit_sessions(events: Iterable[tuple[int, str]], max_gap: int) -> Iterator[tuple[int, int, list[str]]]:
    start = last = 0
    rooms: list[str] = []
    for minute, room in events:
        if rooms and minute < last:
            raise ValueError(f"minute {minute} comes before minute {last}")
        if rooms and minute - last > max_gap:
            yield start, last, rooms
            rooms = []
        if not rooms:
            start = minute
        if room not in rooms:
            rooms.append(room)
        last = minute
    if rooms:
        yield start, last, rooms


# --- tests ---

import unittest


class TestVisitSessions(unittest.TestCase):
    def test_one_visit(self) -> None:
        self.assertEqual(list(visit_sessions([(3, "hall"), (8, "cafe")], 10)), [(3, 8, ["hall", "cafe"])])

    def test_a_gap_of_exactly_the_maximum_continues(self) -> None:
        self.assertEqual(list(visit_sessions([(0, "a"), (10, "b")], 10)), [(0, 10, ["a", "b"])])

    def test_one_minute_more_starts_a_new_visit(self) -> None:
        self.assertEqual(list(visit_sessions([(0, "a"), (11, "a")], 10)), [(0, 0, ["a"]), (11, 11, ["a"])])

    def test_the_gap_is_measured_from_the_previous_event(self) -> None:
        events = [(0, "a"), (6, "b"), (12, "c"), (18, "d")]
        self.assertEqual(list(visit_sessions(events, 6)), [(0, 18, ["a", "b", "c", "d"])])

    def test_rooms_are_listed_once(self) -> None:
        events = [(1, "b"), (2, "a"), (3, "b"), (9, "a")]
        self.assertEqual(list(visit_sessions(events, 20)), [(1, 9, ["b", "a"])])

    def test_backwards_time_raises(self) -> None:
        with self.assertRaises(ValueError):
            list(visit_sessions([(5, "a"), (4, "b")], 10))

    def test_equal_minutes_are_fine(self) -> None:
        self.assertEqual(list(visit_sessions([(5, "a"), (5, "b")], 0)), [(5, 5, ["a", "b"])])

    def test_backwards_time_raises_across_visits_too(self) -> None:
        visits = visit_sessions([(0, "a"), (50, "b"), (49, "c")], 10)
        self.assertEqual(next(visits), (0, 0, ["a"]))
        with self.assertRaises(ValueError):
            next(visits)

    def test_empty_input_and_separate_lists(self) -> None:
        self.assertEqual(list(visit_sessions([], 5)), [])
        visits = list(visit_sessions([(-20, "a"), (0, "b"), (20, "c")], 5))
        self.assertEqual(visits, [(-20, -20, ["a"]), (0, 0, ["b"]), (20, 20, ["c"])])
