"""Write gentlest_route(paths, start, goal) for a wheelchair map. Paths are (place, place, slope, metres) tuples
usable in both directions. A route is judged first by its steepest slope, then by its total metres; smaller is better.
Return (steepest, metres) of the best route from start to goal: the least possible steepest slope, and the shortest
length among routes that never exceed it. If start equals goal return (0, 0); if no route exists return None. Slopes
and metres are positive integers."""

import heapq
from collections.abc import Iterable

Path = tuple[str, str, int, int]


def _shortest(paths: Iterable[Path], start: str, goal: str) -> int | None:
    near: dict[str, list[tuple[str, int]]] = {}
    for one, other, _, metres in paths:
        near.setdefault(one, []).append((other, metres))
        near.setdefault(other, []).append((one, metres))
    waiting = [(0, start)]
    done: set[str] = set()
    while waiting:
        walked, place = heapq.heappop(waiting)
        if place == goal:
            return walked
        if place in done:
            continue
        done.add(place)
        for following, metres in near.get(place, []):
            heapq.heappush(waiting, (walked + metres, following))
    return None


def gentlest_route(paths: list[Path], start: str, goal: str) -> tuple[int, int] | None:
    if start == goal:
        return 0, 0
    for limit in sorted({slope for _, _, slope, _ in paths}):
        metres = _shortest([path for path in paths if path[2] <= limit], start, goal)
        if metres is not None:
            return limit, metres
    return None


# --- tests ---

import unittest


class TestGentlestRoute(unittest.TestCase):
    def test_one_path_in_both_directions(self) -> None:
        self.assertEqual(gentlest_route([("Gate", "Cafe", 4, 120)], "Gate", "Cafe"), (4, 120))
        self.assertEqual(gentlest_route([("Gate", "Cafe", 4, 120)], "Cafe", "Gate"), (4, 120))

    def test_a_gentle_detour_beats_a_steep_shortcut(self) -> None:
        paths = [("A", "C", 9, 50), ("A", "B", 3, 200), ("B", "C", 5, 300)]
        self.assertEqual(gentlest_route(paths, "A", "C"), (5, 500))

    def test_the_shortest_of_equally_gentle_routes(self) -> None:
        paths = [("A", "B", 1, 100), ("B", "D", 6, 100), ("A", "C", 6, 40), ("C", "D", 2, 150)]
        self.assertEqual(gentlest_route(paths, "A", "D"), (6, 190))

    def test_gentler_parts_do_not_matter_once_the_limit_is_set(self) -> None:
        paths = [("A", "B", 1, 500), ("A", "B", 6, 20), ("B", "C", 6, 10)]
        self.assertEqual(gentlest_route(paths, "A", "C"), (6, 30))

    def test_more_steps_may_be_shorter(self) -> None:
        paths = [("A", "D", 2, 90), ("A", "B", 2, 20), ("B", "C", 2, 20), ("C", "D", 2, 20), ("B", "D", 2, 60)]
        self.assertEqual(gentlest_route(paths, "A", "D"), (2, 60))

    def test_start_is_goal(self) -> None:
        self.assertEqual(gentlest_route([("A", "B", 2, 90)], "A", "A"), (0, 0))
        self.assertEqual(gentlest_route([], "A", "A"), (0, 0))

    def test_no_route(self) -> None:
        self.assertIsNone(gentlest_route([("A", "B", 2, 90), ("C", "D", 2, 90)], "A", "D"))
        self.assertIsNone(gentlest_route([], "A", "B"))
        self.assertIsNone(gentlest_route([("A", "B", 2, 90)], "A", "Moon"))

    def test_parallel_paths(self) -> None:
        self.assertEqual(gentlest_route([("A", "B", 3, 80), ("B", "A", 3, 70), ("A", "B", 4, 10)], "A", "B"), (3, 70))

    def test_a_path_back_to_the_same_place_is_harmless(self) -> None:
        self.assertEqual(gentlest_route([("A", "A", 1, 5), ("A", "B", 2, 30), ("B", "A", 2, 40)], "A", "B"), (2, 30))
