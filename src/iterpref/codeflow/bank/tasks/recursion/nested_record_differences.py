"""Write `differences(left, right)` for records of dicts (text keys), lists and plain values. Return sorted
texts, one for each differing place: "path: only left", "path: only right" or "path: L != R" with the `repr` of
both values. The path joins dict keys and list indices with dots ("crew.0.name"); for the whole record it is
".". Two dicts or two lists are compared inside, anything else by `==` and equal type, so 1 and True differ.
Below a key or index found on one side only, list nothing more."""

from typing import Any


def differences(left: Any, right: Any) -> list[str]:
    return sorted(_compare(left, right, ""))


def _compare(left: Any, right: Any, path: str) -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        return _compare_members(left, right, path)
    if isinstance(left, list) and isinstance(right, list):
        return _compare_members(dict(enumerate(left)), dict(enumerate(right)), path)
    if type(left) is type(right) and left == right:
        return []
    return [f"{path or '.'}: {left!r} != {right!r}"]


def _compare_members(left: dict[Any, Any], right: dict[Any, Any], path: str) -> list[str]:
    found = []
    for key in left.keys() | right.keys():
        place = f"{path}.{key}" if path else str(key)
        if key not in right:
            found.append(f"{place}: only left")
        elif key not in left:
            found.append(f"{place}: only right")
        else:
            found.extend(_compare(left[key], right[key], place))
    return found


# --- tests ---

import unittest


class TestNestedRecordDifferences(unittest.TestCase):
    def test_equal_records(self) -> None:
        record = {"ship": "Ida", "crew": [{"name": "Al"}], "tons": None}
        self.assertEqual(differences(record, {"tons": None, "crew": [{"name": "Al"}], "ship": "Ida"}), [])

    def test_changed_value(self) -> None:
        self.assertEqual(differences({"a": 1, "b": 2}, {"a": 1, "b": "2"}), ["b: 2 != '2'"])

    def test_keys_on_one_side(self) -> None:
        self.assertEqual(differences({"a": {"x": 1}}, {"b": [1]}), ["a: only left", "b: only right"])

    def test_none_is_not_missing(self) -> None:
        self.assertEqual(differences({"a": None}, {}), ["a: only left"])
        self.assertEqual(differences({"a": None}, {"a": 0}), ["a: None != 0"])

    def test_nested_path(self) -> None:
        left = {"crew": [{"name": "Al", "age": 3}, {"name": "Bo"}]}
        right = {"crew": [{"name": "Al", "age": 4}, {"nick": "Bo"}]}
        self.assertEqual(
            differences(left, right), ["crew.0.age: 3 != 4", "crew.1.name: only left", "crew.1.nick: only right"]
        )

    def test_lists_of_different_length(self) -> None:
        self.assertEqual(differences([1, 2, 3], [1]), ["1: only left", "2: only left"])
        self.assertEqual(differences({"a": []}, {"a": [5]}), ["a.0: only right"])

    def test_different_kinds(self) -> None:
        self.assertEqual(differences({"a": []}, {"a": {}}), ["a: [] != {}"])
        self.assertEqual(differences({"a": {}}, {"a": []}), ["a: {} != []"])
        self.assertEqual(differences({"a": 1}, {"a": True}), ["a: 1 != True"])
        self.assertEqual(differences([1], [1.0]), ["0: 1 != 1.0"])

    def test_whole_record(self) -> None:
        self.assertEqual(differences(1, 2), [".: 1 != 2"])
        self.assertEqual(differences([], {}), [".: [] != {}"])
        self.assertEqual(differences("a", "a"), [])

    def test_result_is_sorted(self) -> None:
        self.assertEqual(
            differences({"z": 1, "m": {"b": 1, "a": 1}}, {"z": 2, "m": {"b": 2, "a": 2}}),
            ["m.a: 1 != 2", "m.b: 1 != 2", "z: 1 != 2"],
        )
