"""Write a class `Kitty(cents)` for a shared trip purse with an integer number of cents, which may not be negative
(ValueError). `a + b` and `a - b` give new kitties; taking more than there is raises ValueError. `==`, `<`, `<=`, `>`
and `>=` compare cents, and equal kitties hash alike; comparing with other types by `==` is False. `str()` gives e.g.
"12.05". `split(n)` returns a list of n kitties that differ by at most a cent, the bigger ones first; n below 1 raises
ValueError."""

from functools import total_ordering


@total_ordering
class Kitty:
    def __init__(self, cents: int) -> None:
        if cents < 0:
            raise ValueError("a kitty cannot hold less than nothing")
        self.cents = cents

    def __add__(self, other: "Kitty") -> "Kitty":
        return Kitty(self.cents + other.cents)

    def __sub__(self, other: "Kitty") -> "Kitty":
        return Kitty(self.cents - other.cents)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Kitty):
            return NotImplemented
        return self.cents == other.cents

    def __lt__(self, other: "Kitty") -> bool:
        return self.cents < other.cents

    def __hash__(self) -> int:
        return hash(self.cents)

    def __str__(self) -> str:
        return f"{self.cents // 100}.{self.cents % 100:02d}"

    def split(self, n: int) -> list["Kitty"]:
        if n < 1:
            raise ValueError("a kitty is split among at least one")
        share, rest = divmod(self.cents, n)
        return [Kitty(share + 1 if i < rest else share) for i in range(n)]


# --- tests ---

import unittest


class TestKitty(unittest.TestCase):
    def test_addition_gives_a_new_kitty(self) -> None:
        first, second = Kitty(250), Kitty(75)
        self.assertEqual((first + second).cents, 325)
        self.assertEqual((first.cents, second.cents), (250, 75))

    def test_subtraction_down_to_zero(self) -> None:
        self.assertEqual((Kitty(250) - Kitty(75)).cents, 175)
        self.assertEqual((Kitty(50) - Kitty(50)).cents, 0)

    def test_taking_too_much_raises(self) -> None:
        with self.assertRaises(ValueError):
            Kitty(50) - Kitty(51)

    def test_negative_cents_are_refused(self) -> None:
        self.assertEqual(Kitty(0).cents, 0)
        with self.assertRaises(ValueError):
            Kitty(-1)

    def test_comparisons(self) -> None:
        self.assertTrue(Kitty(5) < Kitty(6))
        self.assertFalse(Kitty(5) < Kitty(5))
        self.assertTrue(Kitty(5) <= Kitty(5))
        self.assertTrue(Kitty(7) > Kitty(6))
        self.assertTrue(Kitty(6) >= Kitty(6))
        self.assertFalse(Kitty(5) >= Kitty(6))

    def test_equality_and_hash(self) -> None:
        self.assertEqual(Kitty(5), Kitty(5))
        self.assertNotEqual(Kitty(5), Kitty(6))
        self.assertFalse(Kitty(5) == 5)
        self.assertEqual(len({Kitty(5), Kitty(5), Kitty(6)}), 2)

    def test_text_has_two_decimals(self) -> None:
        self.assertEqual([str(Kitty(n)) for n in (1205, 7, 100, 99)], ["12.05", "0.07", "1.00", "0.99"])

    def test_split_gives_the_rest_to_the_first(self) -> None:
        self.assertEqual([part.cents for part in Kitty(101).split(4)], [26, 25, 25, 25])
        self.assertEqual([part.cents for part in Kitty(11).split(4)], [3, 3, 3, 2])

    def test_split_evenly_and_of_little(self) -> None:
        self.assertEqual([part.cents for part in Kitty(90).split(3)], [30, 30, 30])
        self.assertEqual([part.cents for part in Kitty(1).split(3)], [1, 0, 0])
        self.assertEqual([part.cents for part in Kitty(8).split(1)], [8])

    def test_split_among_nobody_raises(self) -> None:
        with self.assertRaises(ValueError):
            Kitty(5).split(0)
