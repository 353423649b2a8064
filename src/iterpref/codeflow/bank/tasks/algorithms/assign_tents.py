"""Write assign_tents(groups, tents) for a camp site. Groups maps a group's name to its number of people, tents maps a
tent's name to its beds. Serve larger groups first, equal ones by name; each takes the free tent with the fewest beds
that still holds it, ties by tent name. A tent holds one group. Return a dict from every group name to its tent name,
or to None if no free tent fits. Leave both inputs unchanged."""


def assign_tents(groups: dict[str, int], tents: dict[str, int]) -> dict[str, str | None]:
    free = sorted((beds, name) for name, beds in tents.items())
    chosen: dict[str, str | None] = {}
    for group in sorted(groups, key=lambda name: (-groups[name], name)):
        fitting = [tent for tent in free if tent[0] >= groups[group]]
        if fitting:
            free.remove(fitting[0])
            chosen[group] = fitting[0][1]
        else:
            chosen[group] = None
    return chosen


# --- tests ---

import unittest


class TestAssignTents(unittest.TestCase):
    def test_the_smallest_fitting_tent_is_taken(self) -> None:
        self.assertEqual(assign_tents({"Foxes": 3}, {"Big": 8, "Mid": 4, "Tiny": 2}), {"Foxes": "Mid"})

    def test_an_exact_fit_is_enough(self) -> None:
        self.assertEqual(assign_tents({"Foxes": 4}, {"Big": 8, "Mid": 4}), {"Foxes": "Mid"})

    def test_larger_groups_choose_first(self) -> None:
        self.assertEqual(assign_tents({"Ants": 2, "Bears": 5}, {"Dome": 6}), {"Bears": "Dome", "Ants": None})

    def test_equal_groups_choose_by_name(self) -> None:
        self.assertEqual(assign_tents({"Owls": 3, "Elks": 3}, {"Pole": 3}), {"Elks": "Pole", "Owls": None})

    def test_equal_tents_are_taken_by_name(self) -> None:
        self.assertEqual(
            assign_tents({"Owls": 2, "Elks": 2}, {"South": 4, "North": 4}), {"Elks": "North", "Owls": "South"}
        )

    def test_a_group_too_large_leaves_the_tents_to_others(self) -> None:
        self.assertEqual(assign_tents({"Herd": 9, "Pair": 2}, {"Dome": 6}), {"Herd": None, "Pair": "Dome"})

    def test_no_groups_or_no_tents(self) -> None:
        self.assertEqual(assign_tents({}, {"Dome": 6}), {})
        self.assertEqual(assign_tents({"Pair": 2}, {}), {"Pair": None})

    def test_inputs_stay_unchanged(self) -> None:
        groups, tents = {"Pair": 2, "Trio": 3}, {"Dome": 3}
        assign_tents(groups, tents)
        self.assertEqual((groups, tents), ({"Pair": 2, "Trio": 3}, {"Dome": 3}))
