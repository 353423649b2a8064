"""Write a frozen, ordered dataclass `BoardLength(feet, inches=0)` for a sawmill, with whole numbers. On creation, 12
or more inches carry over into feet; negative numbers raise ValueError. Lengths compare by size. `+` adds two lengths,
`length * count` (and `count * length`) multiplies by a whole number. The property `total_inches` gives the length in
inches. `str()` gives 8' 3", leaves out zero inches (8') and zero feet (3"), and is 0" for no length."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class BoardLength:
    feet: int
    inches: int = 0

    def __post_init__(self) -> None:
        if self.feet < 0 or self.inches < 0:
            raise ValueError("lengths must not be negative")
        carried, inches = divmod(self.inches, 12)
        object.__setattr__(self, "feet", self.feet + carried)
        object.__setattr__(self, "inches", inches)

    @property
    def total_inches(self) -> int:
        return self.feet * 12 + self.inches

    def __add__(self, other: "BoardLength") -> "BoardLength":
        return BoardLength(self.feet + other.feet, self.inches + other.inches)

    def __mul__(self, count: int) -> "BoardLength":
        return BoardLength(self.feet * count, self.inches * count)

    __rmul__ = __mul__

    def __str__(self) -> str:
        parts = []
        if self.feet:
            parts.append(f"{self.feet}'")
        if self.inches or not self.feet:
            parts.append(f'{self.inches}"')
        return " ".join(parts)


# --- tests ---

import unittest


class TestBoardLength(unittest.TestCase):
    def test_inches_carry_over(self) -> None:
        for inches, expected in ((11, (2, 11)), (12, (3, 0)), (25, (4, 1))):
            length = BoardLength(2, inches)
            self.assertEqual((length.feet, length.inches), expected)

    def test_inches_default_to_zero(self) -> None:
        self.assertEqual(BoardLength(4), BoardLength(3, 12))
        self.assertEqual(BoardLength(4).inches, 0)

    def test_negative_numbers_are_refused(self) -> None:
        self.assertEqual(BoardLength(0, 0).total_inches, 0)
        for feet, inches in ((-1, 5), (1, -5)):
            with self.assertRaises(ValueError):
                BoardLength(feet, inches)

    def test_total_inches(self) -> None:
        self.assertEqual(BoardLength(8, 3).total_inches, 99)

    def test_addition_carries(self) -> None:
        self.assertEqual(BoardLength(1, 7) + BoardLength(2, 8), BoardLength(4, 3))

    def test_multiplication_from_both_sides(self) -> None:
        self.assertEqual(BoardLength(1, 5) * 3, BoardLength(4, 3))
        self.assertEqual(3 * BoardLength(1, 5), BoardLength(4, 3))
        self.assertEqual(BoardLength(1, 5) * 0, BoardLength(0))

    def test_ordering_is_by_size(self) -> None:
        lengths = [BoardLength(2, 1), BoardLength(1, 11), BoardLength(0, 30)]
        self.assertEqual([length.total_inches for length in sorted(lengths)], [23, 25, 30])
        self.assertTrue(BoardLength(1, 12) <= BoardLength(2))

    def test_text(self) -> None:
        lengths = [BoardLength(8, 3), BoardLength(8), BoardLength(0, 3), BoardLength(0)]
        self.assertEqual([str(length) for length in lengths], ["8' 3\"", "8'", '3"', '0"'])

    def test_lengths_are_frozen(self) -> None:
        with self.assertRaises(AttributeError):
            BoardLength(1).feet = 2
