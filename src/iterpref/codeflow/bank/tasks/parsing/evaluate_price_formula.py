"""Write evaluate_price_formula(formula, values) for a quoting tool working in whole cents. A formula has unsigned
integers, names (letters and underscores) looked up in values, the operators + - * with * binding tighter and equal
operators working from left to right, and parentheses. Blanks may stand between parts. There is no sign in front of a
value. A name missing from values raises KeyError; an empty or malformed formula raises ValueError. Leave values
unchanged."""

import re
from collections.abc import Mapping


def evaluate_price_formula(formula: str, values: Mapping[str, int]) -> int:
    parts = re.findall(r"[0-9]+|[A-Za-z_]+|\S", formula)
    result = _sum(parts, values)
    if parts:
        raise ValueError(f"unexpected {parts[0]!r}")
    return result


def _sum(parts: list[str], values: Mapping[str, int]) -> int:
    result = _product(parts, values)
    while parts and parts[0] in "+-":
        if parts.pop(0) == "+":
            result += _product(parts, values)
        else:
            result -= _product(parts, values)
    return result


def _product(parts: list[str], values: Mapping[str, int]) -> int:
    result = _value(parts, values)
    while parts and parts[0] == "*":
        parts.pop(0)
        result *= _value(parts, values)
    return result


def _value(parts: list[str], values: Mapping[str, int]) -> int:
    if not parts:
        raise ValueError("the formula ends too early")
    part = parts.pop(0)
    if part == "(":
        result = _sum(parts, values)
        if not parts or parts.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return result
    if part[0] in "0123456789":
        return int(part)
    if re.fullmatch(r"[A-Za-z_]+", part):
        return values[part]
    raise ValueError(f"unexpected {part!r}")


# --- tests ---

import unittest


class TestEvaluatePriceFormula(unittest.TestCase):
    def test_a_number_and_a_name(self) -> None:
        self.assertEqual(evaluate_price_formula("250", {}), 250)
        self.assertEqual(evaluate_price_formula(" unit_price ", {"unit_price": 99}), 99)

    def test_times_binds_tighter_than_plus_and_minus(self) -> None:
        self.assertEqual(evaluate_price_formula("2 + 3 * 4", {}), 14)
        self.assertEqual(evaluate_price_formula("2 * 3 - 4 * 5", {}), -14)

    def test_equal_operators_work_from_the_left(self) -> None:
        self.assertEqual(evaluate_price_formula("10 - 3 - 2 + 1", {}), 6)

    def test_parentheses(self) -> None:
        self.assertEqual(evaluate_price_formula("(base+fee)*(3-1)", {"base": 700, "fee": 50}), 1500)
        self.assertEqual(evaluate_price_formula("((7))", {}), 7)
        self.assertEqual(evaluate_price_formula("9-(4-3)", {}), 8)

    def test_long_products(self) -> None:
        self.assertEqual(evaluate_price_formula("2*3*4*0+1", {}), 1)

    def test_an_unknown_name(self) -> None:
        with self.assertRaises(KeyError):
            evaluate_price_formula("base + tax", {"base": 1})

    def test_values_stay_unchanged(self) -> None:
        values = {"a": 2}
        evaluate_price_formula("a * a", values)
        self.assertEqual(values, {"a": 2})

    def test_malformed_formulas(self) -> None:
        for formula in ("", "  ", "1 +", "* 2", "-3", "1 2", "(1", "(1 2)", "1)", "()", "3 / 2", "2 * -1", "1 + + 2"):
            with self.subTest(formula=formula), self.assertRaises(ValueError):
                evaluate_price_formula(formula, {})
