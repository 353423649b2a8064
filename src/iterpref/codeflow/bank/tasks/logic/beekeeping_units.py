"""Write `to_grams(amount)` and `total_label(amounts)` for a beekeeper's orders. An amount is a text like "2.5 kg"
or "4 jars": digits, optionally a point and more digits, optional spaces, and a unit in any letter case: g, kg, lb
(453.592 g), oz (28.3495 g), jar or jars (500 g); spaces around it are fine. `to_grams` returns a float; any other
text raises ValueError. `total_label` adds up the amounts: if the sum rounded to whole grams is below 1000, it
returns that as "850 g", otherwise kilograms with two decimals as "1.25 kg". No amounts give "0 g"."""

import re

GRAMS = {"g": 1.0, "kg": 1000.0, "lb": 453.592, "oz": 28.3495, "jar": 500.0, "jars": 500.0}


def to_grams(amount: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", amount.strip().lower())
    if match is None or match.group(2) not in GRAMS:
        raise ValueError(f"not an amount: {amount!r}")
    return float(match.group(1)) * GRAMS[match.group(2)]


def total_label(amounts: list[str]) -> str:
    grams = sum(to_grams(amount) for amount in amounts)
    if round(grams) < 1000:
        return f"{round(grams)} g"
    return f"{grams / 1000:.2f} kg"


# --- tests ---

import unittest


class TestBeekeepingUnits(unittest.TestCase):
    def test_metric_units(self) -> None:
        self.assertAlmostEqual(to_grams("2.5 kg"), 2500.0)
        self.assertAlmostEqual(to_grams("300g"), 300.0)

    def test_other_units(self) -> None:
        self.assertAlmostEqual(to_grams("2 lb"), 907.184)
        self.assertAlmostEqual(to_grams("10 oz"), 283.495)
        self.assertAlmostEqual(to_grams("1 jar"), 500.0)
        self.assertAlmostEqual(to_grams("4 jars"), 2000.0)

    def test_letter_case_and_spaces_do_not_matter(self) -> None:
        self.assertAlmostEqual(to_grams("  3   KG "), 3000.0)
        self.assertAlmostEqual(to_grams("1 Jar"), 500.0)

    def test_the_result_is_a_float(self) -> None:
        self.assertIsInstance(to_grams("3 g"), float)

    def test_bad_amounts_raise(self) -> None:
        for amount in ("", "kg", "3", "-3 g", "3 stone", "3,5 kg", ".5 kg", "3. kg", "3 kg honey", "1 2 g"):
            with self.assertRaises(ValueError):
                to_grams(amount)

    def test_small_totals_are_in_grams(self) -> None:
        self.assertEqual(total_label(["300 g", "1 jar", "50 g"]), "850 g")
        self.assertEqual(total_label(["1 oz"]), "28 g")
        self.assertEqual(total_label(["999.4 g"]), "999 g")

    def test_from_one_kilogram_on(self) -> None:
        self.assertEqual(total_label(["2 jars"]), "1.00 kg")
        self.assertEqual(total_label(["999.6 g"]), "1.00 kg")
        self.assertEqual(total_label(["1 kg", "1 lb"]), "1.45 kg")
        self.assertEqual(total_label(["10 kg", "3456 g"]), "13.46 kg")

    def test_no_amounts(self) -> None:
        self.assertEqual(total_label([]), "0 g")
