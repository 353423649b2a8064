"""Write cable_groups(houses, cables). Houses is a list of different names, cables a list of pairs of names that are
connected, in either direction; a cable may join a house with itself or repeat. Two houses share a grid if cables
connect them, directly or over others. Return the grids as lists of names sorted alphabetically, larger grids first,
equally large ones by their first name. A house without cables is a grid of its own. A cable naming an unknown house
raises KeyError."""


def cable_groups(houses: list[str], cables: list[tuple[str, str]]) -> list[list[str]]:
    leader = {house: house for house in houses}

    def find(house: str) -> str:
        while leader[house] != house:
            house = leader[house]
        return house

    for one, other in cables:
        leader[find(one)] = find(other)
    grids: dict[str, list[str]] = {}
    for house in sorted(houses):
        grids.setdefault(find(house), []).append(house)
    return sorted(grids.values(), key=lambda grid: (-len(grid), grid[0]))


# --- tests ---

import unittest


class TestCableGroups(unittest.TestCase):
    def test_no_cables(self) -> None:
        self.assertEqual(cable_groups(["Mill", "Barn"], []), [["Barn"], ["Mill"]])

    def test_no_houses(self) -> None:
        self.assertEqual(cable_groups([], []), [])

    def test_connections_over_others(self) -> None:
        self.assertEqual(cable_groups(["a", "b", "c", "d"], [("c", "b"), ("a", "b")]), [["a", "b", "c"], ["d"]])

    def test_two_grids_joined_by_a_late_cable(self) -> None:
        cables = [("a", "b"), ("d", "c"), ("b", "d")]
        self.assertEqual(cable_groups(["d", "c", "b", "a"], cables), [["a", "b", "c", "d"]])

    def test_larger_grids_come_first(self) -> None:
        self.assertEqual(cable_groups(["a", "x", "y"], [("x", "y")]), [["x", "y"], ["a"]])

    def test_equal_grids_by_first_name(self) -> None:
        self.assertEqual(cable_groups(["d", "b", "c", "a"], [("b", "c"), ("d", "a")]), [["a", "d"], ["b", "c"]])

    def test_circles_repeats_and_loops_are_harmless(self) -> None:
        cables = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("d", "d")]
        self.assertEqual(cable_groups(["a", "b", "c", "d"], cables), [["a", "b", "c"], ["d"]])

    def test_an_unknown_house(self) -> None:
        for cable in (("a", "z"), ("z", "a")):
            with self.subTest(cable=cable), self.assertRaises(KeyError):
                cable_groups(["a"], [cable])

    def test_inputs_stay_unchanged(self) -> None:
        houses, cables = ["b", "a"], [("b", "a")]
        cable_groups(houses, cables)
        self.assertEqual((houses, cables), (["b", "a"], [("b", "a")]))
