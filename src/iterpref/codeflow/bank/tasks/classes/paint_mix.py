"""Write a frozen dataclass `Paint(litres, white_percent)` with float fields. `litres` must be positive and
`white_percent` between 0 and 100 inclusive, otherwise creating it raises ValueError. `paint + other` gives a new
Paint with the summed litres and the white share weighted by volume; adding anything that is not a Paint gives
NotImplemented, so Python raises TypeError. The property `white_litres` is the volume of white pigment in litres."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paint:
    litres: float
    white_percent: float

    def __post_init__(self) -> None:
        if self.litres <= 0:
            raise ValueError("litres must be positive")
        if not 0 <= self.white_percent <= 100:
            raise ValueError("white_percent must be from 0 to 100")

    @property
    def white_litres(self) -> float:
        return self.litres * self.white_percent / 100

    def __add__(self, other: object) -> "Paint":
        if not isinstance(other, Paint):
            return NotImplemented
        litres = self.litres + other.litres
        return Paint(litres, 100 * (self.white_litres + other.white_litres) / litres)


# --- tests ---

import dataclasses
import unittest


class TestPaint(unittest.TestCase):
    def test_white_litres(self) -> None:
        self.assertAlmostEqual(Paint(8, 25).white_litres, 2.0)

    def test_sum_is_weighted_by_volume(self) -> None:
        mix = Paint(3, 0) + Paint(1, 100)
        self.assertAlmostEqual(mix.litres, 4)
        self.assertAlmostEqual(mix.white_percent, 25)

    def test_weighted_share_may_be_a_fraction(self) -> None:
        self.assertAlmostEqual((Paint(5, 50) + Paint(3, 25)).white_percent, 40.625)

    def test_equal_shares_stay(self) -> None:
        mix = Paint(2, 40) + Paint(5, 40)
        self.assertAlmostEqual(mix.white_percent, 40)

    def test_parts_are_unchanged(self) -> None:
        first, second = Paint(2, 10), Paint(2, 30)
        self.assertIsInstance(first + second, Paint)
        self.assertEqual((first, second), (Paint(2, 10), Paint(2, 30)))

    def test_litres_must_be_positive(self) -> None:
        self.assertEqual(Paint(0.5, 10).litres, 0.5)
        for litres in (0, -1):
            with self.assertRaises(ValueError):
                Paint(litres, 50)

    def test_percent_bounds_are_allowed(self) -> None:
        self.assertEqual(Paint(1, 0).white_litres, 0)
        self.assertEqual(Paint(1, 100).white_litres, 1)

    def test_percent_out_of_bounds_is_refused(self) -> None:
        for percent in (-0.5, 100.5):
            with self.assertRaises(ValueError):
                Paint(1, percent)

    def test_other_types_cannot_be_added(self) -> None:
        with self.assertRaises(TypeError):
            Paint(1, 50) + 2
        self.assertIs(Paint(1, 50).__add__("red"), NotImplemented)

    def test_paint_is_frozen(self) -> None:
        with self.assertRaises(dataclasses.FrozenInstanceError):
            Paint(1, 50).litres = 3
