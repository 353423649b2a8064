"""Write `river_flow(river)`. A river is a dict with "spring" (litres per second at its source), and optionally
"tributaries" (a list of rivers, default none) and "taken" (litres per second taken out along it, default 0).
Its flow at the mouth is its spring plus the flows of its tributaries minus what is taken, but never below 0.
Return `(flow, dry)`, where `dry` counts the rivers, this one included, whose flow at the mouth is 0. A missing
"spring" raises KeyError."""

from typing import Any


def river_flow(river: dict[str, Any]) -> tuple[int, int]:
    flow = river["spring"]
    dry = 0
    for tributary in river.get("tributaries", []):
        added, dry_above = river_flow(tributary)
        flow += added
        dry += dry_above
    flow = max(flow - river.get("taken", 0), 0)
    return flow, dry + 1 if flow == 0 else dry


# --- tests ---

import unittest


class TestRiverBasinFlow(unittest.TestCase):
    def test_lone_river(self) -> None:
        self.assertEqual(river_flow({"spring": 40}), (40, 0))

    def test_water_is_taken(self) -> None:
        self.assertEqual(river_flow({"spring": 40, "taken": 15}), (25, 0))

    def test_tributaries_add_up(self) -> None:
        river = {"spring": 10, "taken": 5, "tributaries": [{"spring": 7}, {"spring": 8, "taken": 2}]}
        self.assertEqual(river_flow(river), (18, 0))

    def test_nested_tributaries(self) -> None:
        river = {"spring": 1, "tributaries": [{"spring": 2, "tributaries": [{"spring": 4, "tributaries": []}]}]}
        self.assertEqual(river_flow(river), (7, 0))

    def test_dry_tributary_takes_nothing_from_the_main_river(self) -> None:
        river = {"spring": 30, "tributaries": [{"spring": 5, "taken": 20}, {"spring": 1}]}
        self.assertEqual(river_flow(river), (31, 1))

    def test_exactly_dry_and_nearly_dry(self) -> None:
        self.assertEqual(river_flow({"spring": 5, "taken": 5}), (0, 1))
        self.assertEqual(river_flow({"spring": 5, "taken": 4}), (1, 0))

    def test_taken_counts_after_the_tributaries(self) -> None:
        self.assertEqual(river_flow({"spring": 1, "taken": 5, "tributaries": [{"spring": 9}]}), (5, 0))

    def test_all_dry_rivers_are_counted(self) -> None:
        dead = {"spring": 0}
        river = {"spring": 2, "taken": 9, "tributaries": [dead, {"spring": 3, "tributaries": [dead, dead]}]}
        self.assertEqual(river_flow(river), (0, 4))

    def test_missing_spring_raises(self) -> None:
        with self.assertRaises(KeyError):
            river_flow({"spring": 1, "tributaries": [{"taken": 1}]})
