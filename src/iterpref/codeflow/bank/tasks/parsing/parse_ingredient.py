"""Write parse_ingredient(line) returning (amount, unit, name). The amount is a Fraction written as a whole number, a
fraction like 3/4, or both ("1 1/2"); without any amount it is 1. After it may come one unit of g, ml, tsp, tbsp or
cup in any letter case, returned in lower case, or "" when there is none. The remaining words, joined by single
blanks, are the name. A missing name or a zero denominator raises ValueError."""

import re
from fractions import Fraction

UNITS = {"g", "ml", "tsp", "tbsp", "cup"}


def parse_ingredient(line: str) -> tuple[Fraction, str, str]:
    words = line.split()
    parts: list[Fraction] = []
    if words and re.fullmatch(r"\d+", words[0]):
        parts.append(Fraction(int(words.pop(0))))
    if words and re.fullmatch(r"\d+/\d+", words[0]):
        top, bottom = words.pop(0).split("/")
        if int(bottom) == 0:
            raise ValueError(f"zero denominator in {line!r}")
        parts.append(Fraction(int(top), int(bottom)))
    amount = sum(parts, Fraction(0)) if parts else Fraction(1)
    unit = words.pop(0).lower() if words and words[0].lower() in UNITS else ""
    if not words:
        raise ValueError(f"no ingredient name in {line!r}")
    return amount, unit, " ".join(words)


# --- tests ---

import unittest
from fractions import Fraction


class TestParseIngredient(unittest.TestCase):
    def test_a_mixed_number_with_a_unit(self) -> None:
        self.assertEqual(parse_ingredient("1 1/2 cup plain flour"), (Fraction(3, 2), "cup", "plain flour"))

    def test_a_fraction_alone(self) -> None:
        self.assertEqual(parse_ingredient("3/4 tsp salt"), (Fraction(3, 4), "tsp", "salt"))

    def test_a_whole_number_without_a_unit(self) -> None:
        self.assertEqual(parse_ingredient("2 eggs"), (Fraction(2), "", "eggs"))

    def test_no_amount_means_one(self) -> None:
        self.assertEqual(parse_ingredient("bay leaf"), (Fraction(1), "", "bay leaf"))

    def test_an_amount_of_zero_stays_zero(self) -> None:
        self.assertEqual(parse_ingredient("0 g sugar"), (Fraction(0), "g", "sugar"))

    def test_unit_in_capitals_and_loose_blanks(self) -> None:
        self.assertEqual(parse_ingredient("  250   ML  oat   milk "), (Fraction(250), "ml", "oat milk"))

    def test_a_unit_word_later_in_the_line_belongs_to_the_name(self) -> None:
        self.assertEqual(parse_ingredient("1 Paper cup"), (Fraction(1), "", "Paper cup"))

    def test_a_unit_without_an_amount(self) -> None:
        self.assertEqual(parse_ingredient("cup rice"), (Fraction(1), "cup", "rice"))

    def test_a_missing_name_is_refused(self) -> None:
        for line in ("", "   ", "2", "1 1/2", "3 tbsp"):
            with self.subTest(line=line), self.assertRaises(ValueError):
                parse_ingredient(line)

    def test_a_zero_denominator_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            parse_ingredient("1/0 cup milk")
