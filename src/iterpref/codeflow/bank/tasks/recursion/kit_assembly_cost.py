"""Write `kit_cost(name, parts, prices)`. `prices` maps a bought part to its price in cents; `parts` maps an
assembled item to a dict from component name to how many are needed. Components may be assembled items
themselves, to any depth. Return the cost in cents of one `name`: an item found in `parts` costs what its
components cost, even if it also has a price; an assembled item without components costs 0. An item in neither
raises KeyError; an item that contains itself, directly or indirectly, raises ValueError."""


def kit_cost(name: str, parts: dict[str, dict[str, int]], prices: dict[str, int]) -> int:
    return _cost(name, parts, prices, ())


def _cost(name: str, parts: dict[str, dict[str, int]], prices: dict[str, int], above: tuple[str, ...]) -> int:
    if name in above:
        raise ValueError(f"{name} contains itself")
    if name not in parts:
        return prices[name]
    total = 0
    for component, count in parts[name].items():
        total += count * _cost(component, parts, prices, (*above, name))
    return total


# --- tests ---

import unittest

PRICES = {"plank": 250, "screw": 5, "wheel": 400, "cart": 9999}
PARTS = {
    "box": {"plank": 5, "screw": 20},
    "axle": {"wheel": 2, "screw": 4},
    "cart": {"box": 1, "axle": 2, "plank": 1},
    "nothing": {},
    "gift": {"nothing": 3, "screw": 1},
    "hen": {"egg": 1},
    "egg": {"hen": 1},
    "mirror": {"mirror": 1},
    "riddle": {"hen": 1},
    "broken": {"screw": 1, "spring": 1},
}


class TestKitAssemblyCost(unittest.TestCase):
    def test_bought_part(self) -> None:
        self.assertEqual(kit_cost("screw", PARTS, PRICES), 5)

    def test_one_level(self) -> None:
        self.assertEqual(kit_cost("box", PARTS, PRICES), 1350)

    def test_nested_counts_multiply(self) -> None:
        self.assertEqual(kit_cost("cart", PARTS, PRICES), 1350 + 2 * 820 + 250)

    def test_empty_item_costs_nothing(self) -> None:
        self.assertEqual(kit_cost("nothing", PARTS, PRICES), 0)
        self.assertEqual(kit_cost("gift", PARTS, PRICES), 5)

    def test_same_component_in_two_branches_is_no_cycle(self) -> None:
        parts = {"pair": {"left": 1, "right": 1}, "left": {"core": 1}, "right": {"core": 2}, "core": {"bolt": 3}}
        self.assertEqual(kit_cost("pair", parts, {"bolt": 7}), 63)

    def test_unknown_item_raises(self) -> None:
        with self.assertRaises(KeyError):
            kit_cost("spring", PARTS, PRICES)
        with self.assertRaises(KeyError):
            kit_cost("broken", PARTS, PRICES)

    def test_cycles_raise(self) -> None:
        for name in ("mirror", "hen", "egg", "riddle"):
            with self.subTest(name=name), self.assertRaises(ValueError):
                kit_cost(name, PARTS, PRICES)
