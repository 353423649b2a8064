"""Write `group_visits(scans, gap)` for museum doors. `scans` is a list of (badge, minute, door) in any order. Scans
of one badge belong to one visit as long as neighbouring scans in time are at most `gap` minutes apart. Return a list
of `Visit` objects (a dataclass with `badge`, `start`, `end` and `doors`), sorted by start, then badge. `doors` lists
the doors in order of time (scans of one minute in input order), without repeating a door directly after itself. No
scans give an empty list."""

from dataclasses import dataclass, field


@dataclass
class Visit:
    badge: str
    start: int
    end: int
    doors: list[str] = field(default_factory=list)


def group_visits(scans: list[tuple[str, int, str]], gap: int) -> list[Visit]:
    visits: list[Visit] = []
    current: dict[str, Visit] = {}
    for badge, minute, door in sorted(scans, key=lambda scan: scan[1]):
        visit = current.get(badge)
        if visit is None or minute - visit.end > gap:
            visit = Visit(badge, minute, minute)
            current[badge] = visit
            visits.append(visit)
        visit.end = minute
        if not visit.doors or visit.doors[-1] != door:
            visit.doors.append(door)
    return sorted(visits, key=lambda visit: (visit.start, visit.badge))


# --- tests ---

import unittest


class TestMuseumVisitSessions(unittest.TestCase):
    def test_no_scans(self) -> None:
        self.assertEqual(group_visits([], 30), [])

    def test_single_scan(self) -> None:
        self.assertEqual(group_visits([("k1", 5, "east")], 30), [Visit("k1", 5, 5, ["east"])])

    def test_gap_is_inclusive(self) -> None:
        scans = [("k1", 0, "east"), ("k1", 30, "hall")]
        self.assertEqual(group_visits(scans, 30), [Visit("k1", 0, 30, ["east", "hall"])])
        self.assertEqual(group_visits(scans, 29), [Visit("k1", 0, 0, ["east"]), Visit("k1", 30, 30, ["hall"])])

    def test_gap_is_measured_from_the_last_scan(self) -> None:
        scans = [("k1", 0, "a"), ("k1", 20, "b"), ("k1", 40, "c")]
        self.assertEqual(group_visits(scans, 20), [Visit("k1", 0, 40, ["a", "b", "c"])])

    def test_scans_come_in_any_order(self) -> None:
        scans = [("k1", 40, "c"), ("k1", 0, "a"), ("k1", 20, "b")]
        self.assertEqual(group_visits(scans, 25), [Visit("k1", 0, 40, ["a", "b", "c"])])

    def test_badges_are_apart(self) -> None:
        scans = [("k2", 0, "a"), ("k1", 0, "b"), ("k2", 5, "c"), ("k1", 7, "d")]
        self.assertEqual(group_visits(scans, 10), [Visit("k1", 0, 7, ["b", "d"]), Visit("k2", 0, 5, ["a", "c"])])

    def test_sorted_by_start(self) -> None:
        scans = [("a", 50, "x"), ("b", 10, "x"), ("a", 0, "x")]
        starts = [(visit.start, visit.badge) for visit in group_visits(scans, 5)]
        self.assertEqual(starts, [(0, "a"), (10, "b"), (50, "a")])

    def test_door_is_not_repeated_directly(self) -> None:
        scans = [("k", 0, "a"), ("k", 1, "a"), ("k", 2, "b"), ("k", 3, "a")]
        self.assertEqual(group_visits(scans, 5), [Visit("k", 0, 3, ["a", "b", "a"])])

    def test_scans_of_one_minute_keep_their_order(self) -> None:
        self.assertEqual(group_visits([("k", 4, "z"), ("k", 4, "b")], 0), [Visit("k", 4, 4, ["z", "b"])])
