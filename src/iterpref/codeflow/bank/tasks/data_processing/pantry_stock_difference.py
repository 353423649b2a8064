"""Write `compare_stock(before, after)` for a pantry. Both are dicts from item to amount. Return a dict with the keys
"new" (items only in `after`), "gone" (only in `before`), "more" and "less" (in both, amount changed), each a sorted
list of items, and "balance", a dict from each item whose amount changed, a missing item counting as 0, to after minus
before, in alphabetical order. An amount of 0 that is listed is still in the dict."""

from typing import Any


def compare_stock(before: dict[str, int], after: dict[str, int]) -> dict[str, Any]:
    report: dict[str, Any] = {"new": [], "gone": [], "more": [], "less": [], "balance": {}}
    for item in sorted(before.keys() | after.keys()):
        change = after.get(item, 0) - before.get(item, 0)
        if item not in before:
            report["new"].append(item)
        elif item not in after:
            report["gone"].append(item)
        elif change > 0:
            report["more"].append(item)
        elif change < 0:
            report["less"].append(item)
        if change:
            report["balance"][item] = change
    return report


# --- tests ---

import unittest


class TestPantryStockDifference(unittest.TestCase):
    def test_both_empty(self) -> None:
        self.assertEqual(compare_stock({}, {}), {"new": [], "gone": [], "more": [], "less": [], "balance": {}})

    def test_no_change(self) -> None:
        report = compare_stock({"rice": 3}, {"rice": 3})
        self.assertEqual(report, {"new": [], "gone": [], "more": [], "less": [], "balance": {}})

    def test_each_kind_of_change(self) -> None:
        report = compare_stock({"rice": 3, "tea": 5, "oil": 1}, {"rice": 4, "tea": 4, "salt": 7})
        self.assertEqual(report["new"], ["salt"])
        self.assertEqual(report["gone"], ["oil"])
        self.assertEqual(report["more"], ["rice"])
        self.assertEqual(report["less"], ["tea"])
        self.assertEqual(report["balance"], {"oil": -1, "rice": 1, "salt": 7, "tea": -1})

    def test_lists_and_balance_are_sorted(self) -> None:
        report = compare_stock({"b": 1, "z": 1, "p": 3}, {"y": 2, "k": 1, "a": 2, "b": 2, "f": 4})
        self.assertEqual(report["new"], ["a", "f", "k", "y"])
        self.assertEqual(list(report["balance"]), ["a", "b", "f", "k", "p", "y", "z"])

    def test_new_item_with_amount_zero(self) -> None:
        report = compare_stock({}, {"jam": 0})
        self.assertEqual((report["new"], report["balance"]), (["jam"], {}))

    def test_gone_item_with_amount_zero(self) -> None:
        report = compare_stock({"jam": 0}, {})
        self.assertEqual((report["gone"], report["balance"]), (["jam"], {}))

    def test_used_up_but_listed_item_is_less(self) -> None:
        report = compare_stock({"jam": 2}, {"jam": 0})
        self.assertEqual((report["less"], report["gone"], report["balance"]), (["jam"], [], {"jam": -2}))
