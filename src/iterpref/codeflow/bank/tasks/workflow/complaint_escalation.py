"""Write `escalate(complaints, levels)` for a ferry company. `complaints` maps a complaint id to its waiting hours;
`levels` is a list of (role, hours) in any order: the complaint belongs to the role with the largest hours that it has
reached (equal counts as reached). Return a dict from each role, in ascending order of its hours, to the list of ids,
longest waiting first, ties by id. Complaints below the lowest limit are left out; roles without complaints map to an
empty list."""


def escalate(complaints: dict[str, int], levels: list[tuple[str, int]]) -> dict[str, list[str]]:
    ranked = sorted(levels, key=lambda level: level[1])
    result: dict[str, list[str]] = {role: [] for role, _ in ranked}
    for name, waited in sorted(complaints.items(), key=lambda item: (-item[1], item[0])):
        for role, hours in reversed(ranked):
            if waited >= hours:
                result[role].append(name)
                break
    return result


# --- tests ---

import unittest

LEVELS = [("manager", 48), ("clerk", 4), ("director", 120)]


class TestComplaintEscalation(unittest.TestCase):
    def test_roles_come_in_ascending_order(self) -> None:
        self.assertEqual(list(escalate({}, LEVELS).items()), [("clerk", []), ("manager", []), ("director", [])])

    def test_each_complaint_goes_to_the_highest_level_reached(self) -> None:
        result = escalate({"c1": 10, "c2": 60, "c3": 500}, LEVELS)
        self.assertEqual(result, {"clerk": ["c1"], "manager": ["c2"], "director": ["c3"]})

    def test_limits_are_inclusive(self) -> None:
        result = escalate({"a": 4, "b": 47, "c": 48, "d": 119, "e": 120}, LEVELS)
        self.assertEqual(result, {"clerk": ["b", "a"], "manager": ["d", "c"], "director": ["e"]})

    def test_fresh_complaints_are_left_out(self) -> None:
        self.assertEqual(escalate({"a": 3, "b": 0}, LEVELS), {"clerk": [], "manager": [], "director": []})

    def test_longest_waiting_comes_first(self) -> None:
        self.assertEqual(escalate({"a": 5, "b": 9, "c": 7}, LEVELS)["clerk"], ["b", "c", "a"])

    def test_ties_are_sorted_by_id(self) -> None:
        self.assertEqual(escalate({"z": 5, "m": 5, "a": 5}, LEVELS)["clerk"], ["a", "m", "z"])

    def test_no_levels(self) -> None:
        self.assertEqual(escalate({"a": 5}, []), {})

    def test_levels_are_unchanged(self) -> None:
        levels = list(LEVELS)
        escalate({"a": 5}, levels)
        self.assertEqual(levels, LEVELS)
