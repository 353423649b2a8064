"""Write a class LayeredSettings(base) for an exhibition's lighting desk. It keeps its own copy of the dict base as
the bottom layer. push(changes) lays a copy of another dict on top; pop() removes the top layer and returns it, but
raises IndexError if only the base is left. get(name) returns the value of the highest layer that has the name, even
if that value is None, and raises KeyError if none has it. set(name, value) writes into the top layer only. flat()
returns one new dict of all effective values."""


class LayeredSettings:
    def __init__(self, base: dict[str, object]) -> None:
        self._layers = [dict(base)]

    def push(self, changes: dict[str, object]) -> None:
        self._layers.append(dict(changes))

    def pop(self) -> dict[str, object]:
        if len(self._layers) == 1:
            raise IndexError("only the base layer is left")
        return self._layers.pop()

    def get(self, name: str) -> object:
        for layer in reversed(self._layers):
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def set(self, name: str, value: object) -> None:
        self._layers[-1][name] = value

    def flat(self) -> dict[str, object]:
        merged: dict[str, object] = {}
        for layer in self._layers:
            merged.update(layer)
        return merged


# --- tests ---

import unittest


class TestLayeredSettings(unittest.TestCase):
    def setUp(self) -> None:
        self.base = {"spot": 80, "wash": "blue"}
        self.evening = {"spot": 40}
        self.settings = LayeredSettings(self.base)
        self.settings.push(self.evening)

    def test_the_highest_layer_wins(self) -> None:
        self.settings.push({"spot": 10, "fog": True})
        self.assertEqual([self.settings.get(name) for name in ("spot", "wash", "fog")], [10, "blue", True])

    def test_none_and_zero_are_real_values(self) -> None:
        self.settings.push({"spot": None, "wash": 0})
        self.assertIsNone(self.settings.get("spot"))
        self.assertEqual(self.settings.get("wash"), 0)

    def test_an_unknown_name(self) -> None:
        with self.assertRaises(KeyError):
            self.settings.get("fog")

    def test_pop_uncovers_the_layer_below(self) -> None:
        self.assertEqual(self.settings.pop(), {"spot": 40})
        self.assertEqual(self.settings.get("spot"), 80)

    def test_the_base_cannot_be_popped(self) -> None:
        self.settings.pop()
        with self.assertRaises(IndexError):
            self.settings.pop()
        self.assertEqual(self.settings.get("spot"), 80)

    def test_set_writes_into_the_top_layer(self) -> None:
        self.settings.set("wash", "red")
        self.assertEqual(self.settings.get("wash"), "red")
        self.assertEqual(self.settings.pop(), {"spot": 40, "wash": "red"})
        self.assertEqual(self.settings.get("wash"), "blue")
        self.settings.set("wash", "pink")
        self.assertEqual(self.settings.flat(), {"spot": 80, "wash": "pink"})

    def test_flat_is_a_new_dict(self) -> None:
        flat = self.settings.flat()
        self.assertEqual(flat, {"spot": 40, "wash": "blue"})
        flat["spot"] = 1
        self.assertEqual(self.settings.get("spot"), 40)

    def test_flat_of_the_base_alone_is_a_new_dict(self) -> None:
        settings = LayeredSettings({"spot": 5})
        settings.flat()["spot"] = 6
        self.assertEqual(settings.get("spot"), 5)
        self.assertEqual(LayeredSettings({}).flat(), {})

    def test_the_given_dicts_are_copied(self) -> None:
        self.settings.set("spot", 99)
        self.evening["wash"] = "green"
        self.base["fog"] = True
        self.assertEqual(self.evening, {"spot": 40, "wash": "green"})
        self.assertEqual(self.settings.flat(), {"spot": 99, "wash": "blue"})
