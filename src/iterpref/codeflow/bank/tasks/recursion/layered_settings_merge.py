"""Write `merge_layers(base, override)` for nested settings dicts. Keys of `override` win over keys of `base`;
where both values are dicts, merge these in the same way. A value None in `override` removes the key from the
result; None values in `base` stay unless overridden. A dict in `override` that meets no dict in `base` is taken
over, without its own None entries at any depth. Keep the key order of `base`, new keys last. Neither argument
may be changed, and no dict of the result may be shared with them."""

from typing import Any


def merge_layers(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = {key: merge_layers(value, {}) if isinstance(value, dict) else value for key, value in base.items()}
    for key, value in override.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge_layers(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


# --- tests ---

import unittest


class TestLayeredSettingsMerge(unittest.TestCase):
    def test_override_wins(self) -> None:
        self.assertEqual(merge_layers({"a": 1, "b": 2}, {"b": 3, "c": 4}), {"a": 1, "b": 3, "c": 4})

    def test_nested_dicts_are_merged(self) -> None:
        base = {"db": {"host": "x", "pool": {"min": 1, "max": 5}}}
        self.assertEqual(
            merge_layers(base, {"db": {"pool": {"max": 9}}}), {"db": {"host": "x", "pool": {"min": 1, "max": 9}}}
        )

    def test_none_removes(self) -> None:
        self.assertEqual(merge_layers({"a": 1, "d": {"x": 1, "y": 2}}, {"a": None, "d": {"x": None}}), {"d": {"y": 2}})
        self.assertEqual(merge_layers({"a": 1}, {"zzz": None}), {"a": 1})

    def test_none_in_the_base_stays(self) -> None:
        self.assertEqual(merge_layers({"a": None, "d": {"x": None}}, {}), {"a": None, "d": {"x": None}})

    def test_falsy_values_are_values(self) -> None:
        self.assertEqual(
            merge_layers({"a": 1, "b": 1, "c": 1}, {"a": 0, "b": "", "c": False}), {"a": 0, "b": "", "c": False}
        )

    def test_dict_meets_plain_value(self) -> None:
        self.assertEqual(merge_layers({"a": 1}, {"a": {"x": 1, "y": None, "z": {"w": None}}}), {"a": {"x": 1, "z": {}}})
        self.assertEqual(merge_layers({"a": {"x": 1}}, {"a": 2}), {"a": 2})

    def test_order_of_keys(self) -> None:
        merged = merge_layers({"z": 1, "d": {"k": 1}, "a": 1}, {"new": 1, "a": 2, "d": {"b": 1}})
        self.assertEqual(list(merged), ["z", "d", "a", "new"])

    def test_arguments_are_not_changed(self) -> None:
        base, override = {"d": {"x": 1}}, {"d": {"y": 2, "x": None}}
        merge_layers(base, override)
        self.assertEqual((base, override), ({"d": {"x": 1}}, {"d": {"y": 2, "x": None}}))

    def test_nothing_is_shared(self) -> None:
        base: dict = {"d": {"x": {"q": 1}}, "e": {"x": {}}}
        override: dict = {"n": {"y": {}}}
        merged = merge_layers(base, override)
        for inner in (merged["d"], merged["d"]["x"], merged["e"]["x"], merged["n"], merged["n"]["y"]):
            inner["extra"] = 1
        self.assertEqual(base, {"d": {"x": {"q": 1}}, "e": {"x": {}}})
        self.assertEqual(override, {"n": {"y": {}}})
