"""Write `join_orders(orders, catalogue)` for a seed shop. `orders` is a list of dicts with "seed" and "packets";
`catalogue` maps a seed to its dict with "price" (cents a packet) and optionally "latin". Return (lines, unknown):
`lines` holds, for each order of a known seed and in order, a new dict with "seed", "packets", "latin" (empty text
when the catalogue has none) and "total" (cents); `unknown` is the sorted list of the other seeds, each once. Inputs
stay unchanged."""

from typing import Any


def join_orders(
    orders: list[dict[str, Any]], catalogue: dict[str, dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    lines = []
    unknown: set[str] = set()
    for order in orders:
        entry = catalogue.get(order["seed"])
        if entry is None:
            unknown.add(order["seed"])
            continue
        total = order["packets"] * entry["price"]
        line = {"seed": order["seed"], "packets": order["packets"], "latin": entry.get("latin", ""), "total": total}
        lines.append(line)
    return lines, sorted(unknown)


# --- tests ---

import unittest

CATALOGUE = {"leek": {"price": 120, "latin": "Allium porrum"}, "dill": {"price": 95}, "free": {"price": 0}}


class TestSeedOrderJoin(unittest.TestCase):
    def test_nothing_ordered(self) -> None:
        self.assertEqual(join_orders([], CATALOGUE), ([], []))

    def test_known_seed(self) -> None:
        lines, unknown = join_orders([{"seed": "leek", "packets": 3}], CATALOGUE)
        self.assertEqual(lines, [{"seed": "leek", "packets": 3, "latin": "Allium porrum", "total": 360}])
        self.assertEqual(unknown, [])

    def test_missing_latin_name_is_empty(self) -> None:
        lines, _ = join_orders([{"seed": "dill", "packets": 2}], CATALOGUE)
        self.assertEqual(lines, [{"seed": "dill", "packets": 2, "latin": "", "total": 190}])

    def test_unknown_seeds_are_sorted_and_listed_once(self) -> None:
        orders = [{"seed": name, "packets": 1} for name in ("yam", "dill", "beet", "yam", "kale", "oat", "fig", "rye")]
        lines, unknown = join_orders(orders, CATALOGUE)
        self.assertEqual([line["seed"] for line in lines], ["dill"])
        self.assertEqual(unknown, ["beet", "fig", "kale", "oat", "rye", "yam"])

    def test_order_is_kept_and_repeats_stay_apart(self) -> None:
        orders = [{"seed": "leek", "packets": 1}, {"seed": "dill", "packets": 1}, {"seed": "leek", "packets": 2}]
        lines, _ = join_orders(orders, CATALOGUE)
        self.assertEqual(
            [(line["seed"], line["total"]) for line in lines], [("leek", 120), ("dill", 95), ("leek", 240)]
        )

    def test_price_zero_and_no_packets(self) -> None:
        lines, _ = join_orders([{"seed": "free", "packets": 4}, {"seed": "leek", "packets": 0}], CATALOGUE)
        self.assertEqual([line["total"] for line in lines], [0, 0])

    def test_inputs_are_unchanged(self) -> None:
        orders = [{"seed": "leek", "packets": 3}, {"seed": "yam", "packets": 1}]
        lines, _ = join_orders(orders, CATALOGUE)
        lines[0]["packets"] = 99
        self.assertEqual(orders, [{"seed": "leek", "packets": 3}, {"seed": "yam", "packets": 1}])
        self.assertEqual(CATALOGUE["leek"], {"price": 120, "latin": "Allium porrum"})
