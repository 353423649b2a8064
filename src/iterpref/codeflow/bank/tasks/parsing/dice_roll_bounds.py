"""Write dice_roll_bounds(notation) for a board-game helper: return (lowest, highest) total that a notation such as
"2d6+3-d4" can give. Terms are numbers ("3") or dice ("2d6": two dice showing 1 to 6; "d8": one die), joined by + or
-; the first term may carry a sign too. Blanks are ignored and "D" counts as "d". A subtracted die lowers the total by
what it shows. An empty notation, unreadable text, or a die with 0 sides raises ValueError."""

import re

_TERM = re.compile(r"([+-])(?:(\d*)d(\d+)|(\d+))")


def dice_roll_bounds(notation: str) -> tuple[int, int]:
    text = notation.replace(" ", "").lower()
    if not text:
        raise ValueError("empty notation")
    if text[0] not in "+-":
        text = "+" + text
    low = high = position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise ValueError(f"cannot read {text[position:]!r}")
        sign, count, sides, plain = match.groups()
        if plain is not None:
            smallest = largest = int(plain)
        else:
            if int(sides) == 0:
                raise ValueError("a die needs at least one side")
            smallest = int(count or 1)
            largest = smallest * int(sides)
        if sign == "-":
            smallest, largest = -largest, -smallest
        low += smallest
        high += largest
        position = match.end()
    return low, high


# --- tests ---

import unittest


class TestDiceRollBounds(unittest.TestCase):
    def test_dice_and_a_bonus(self) -> None:
        self.assertEqual(dice_roll_bounds("2d6+3"), (5, 15))

    def test_a_single_die_without_a_count(self) -> None:
        self.assertEqual(dice_roll_bounds("d8"), (1, 8))

    def test_a_subtracted_die_swaps_its_bounds(self) -> None:
        self.assertEqual(dice_roll_bounds("2d6+3-d4"), (1, 14))

    def test_a_subtracted_number(self) -> None:
        self.assertEqual(dice_roll_bounds("1d20-2"), (-1, 18))

    def test_a_leading_sign(self) -> None:
        self.assertEqual(dice_roll_bounds("-2d4"), (-8, -2))
        self.assertEqual(dice_roll_bounds("+7"), (7, 7))

    def test_blanks_and_capital_d(self) -> None:
        self.assertEqual(dice_roll_bounds(" 3 D 10 + 1 "), (4, 31))

    def test_zero_dice_give_nothing(self) -> None:
        self.assertEqual(dice_roll_bounds("0d6+2"), (2, 2))

    def test_a_one_sided_die_is_allowed_but_zero_sides_are_not(self) -> None:
        self.assertEqual(dice_roll_bounds("3d1"), (3, 3))
        with self.assertRaises(ValueError):
            dice_roll_bounds("3d0")

    def test_unreadable_notations(self) -> None:
        for notation in ("", "  ", "2d", "d", "+", "2d6+", "2d6*2", "2d6 x", "1--2"):
            with self.subTest(notation=notation), self.assertRaises(ValueError):
                dice_roll_bounds(notation)
