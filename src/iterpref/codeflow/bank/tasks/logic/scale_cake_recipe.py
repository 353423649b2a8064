"""Write `scale_recipe(ingredients, old_tin, new_tin)` for baking in another tin. A tin is `(diameter,)` if round,
otherwise `(width, length)`. `ingredients` maps names to `(amount, unit)`. Multiply every amount by the new tin's
area over the old one's. Then round "g" and "ml" to the nearest multiple of 5 but at least 5, "piece" upwards to
whole numbers (differences below a millionth are not counted), other units to two decimals. Return a new dictionary
of the same form and order. A side of 0 or less raises ValueError."""

import math


def scale_recipe(
    ingredients: dict[str, tuple[float, str]], old_tin: tuple[float, ...], new_tin: tuple[float, ...]
) -> dict[str, tuple[float, str]]:
    factor = _area(new_tin) / _area(old_tin)
    scaled: dict[str, tuple[float, str]] = {}
    for name, (amount, unit) in ingredients.items():
        exact = amount * factor
        if unit in ("g", "ml"):
            rounded: float = max(5, 5 * round(exact / 5))
        elif unit == "piece":
            rounded = math.ceil(exact - 1e-6)
        else:
            rounded = round(exact, 2)
        scaled[name] = (rounded, unit)
    return scaled


def _area(tin: tuple[float, ...]) -> float:
    if min(tin) <= 0:
        raise ValueError(f"a tin needs positive sides, got {tin}")
    if len(tin) == 1:
        return math.pi * (tin[0] / 2) ** 2
    return tin[0] * tin[1]


# --- tests ---

import unittest


class TestScaleRecipe(unittest.TestCase):
    def scaled(self, amount: float, unit: str, old: tuple[float, ...], new: tuple[float, ...]) -> float:
        amount, same_unit = scale_recipe({"x": (amount, unit)}, old, new)["x"]
        self.assertEqual(same_unit, unit)
        return amount

    def test_round_tins_scale_with_the_square_of_the_diameter(self) -> None:
        self.assertEqual(self.scaled(100, "g", (20,), (30,)), 225)

    def test_square_cornered_tins(self) -> None:
        self.assertEqual(self.scaled(300, "ml", (20, 30), (20, 20)), 200)
        self.assertEqual(self.scaled(300, "ml", (10, 10), (10, 40)), 1200)

    def test_from_a_round_to_a_square_tin(self) -> None:
        self.assertEqual(self.scaled(1000, "g", (20,), (20, 20)), 1275)
        self.assertEqual(self.scaled(1000, "g", (20, 20), (20,)), 785)

    def test_grams_and_millilitres_are_multiples_of_five(self) -> None:
        self.assertEqual(self.scaled(112, "g", (20,), (20,)), 110)
        self.assertEqual(self.scaled(113, "ml", (20,), (20,)), 115)

    def test_at_least_five(self) -> None:
        self.assertEqual(self.scaled(2, "g", (20,), (20,)), 5)
        self.assertEqual(self.scaled(1, "ml", (20,), (5,)), 5)

    def test_pieces_are_rounded_up(self) -> None:
        self.assertEqual(self.scaled(3, "piece", (20,), (20,)), 3)
        self.assertEqual(self.scaled(3, "piece", (10, 10), (10, 11)), 4)
        self.assertEqual(self.scaled(4, "piece", (20,), (10,)), 1)

    def test_other_units_have_two_decimals(self) -> None:
        self.assertEqual(self.scaled(1, "tsp", (10, 30), (10, 20)), 0.67)

    def test_a_new_dictionary_in_the_same_order(self) -> None:
        recipe = {"flour": (200.0, "g"), "eggs": (2.0, "piece"), "salt": (0.5, "tsp")}
        scaled = scale_recipe(recipe, (10, 10), (20, 10))
        self.assertEqual(list(scaled.items()), [("flour", (400, "g")), ("eggs", (4, "piece")), ("salt", (1.0, "tsp"))])
        self.assertEqual(recipe["flour"], (200.0, "g"))
        self.assertEqual(scale_recipe({}, (10,), (20,)), {})

    def test_tiny_tins_are_tins(self) -> None:
        self.assertEqual(self.scaled(8, "tsp", (1,), (0.5,)), 2.0)

    def test_bad_tins_raise(self) -> None:
        for old, new in (((0,), (20,)), ((20,), (20, 0)), ((-1, 5), (20,))):
            with self.assertRaises(ValueError):
                scale_recipe({}, old, new)
