"""Write `postage(grams, sides, zone)`, the price in cents of a parcel. `sides` are its three lengths in cm. Up to
1000 g cost 490, up to 5000 g 790, up to 20000 g 1490; a heavier parcel, or a weight of 0 or less, raises
ValueError. A longest side over 120 cm or sides adding up to more than 200 cm (or both) add 650, once. Zone "home"
pays this price, "island" 300 more, "abroad" twice the price plus 100 for every started kilogram. Another zone
raises KeyError."""

BANDS = [(1000, 490), (5000, 790), (20000, 1490)]


def postage(grams: int, sides: tuple[int, int, int], zone: str) -> int:
    if grams <= 0:
        raise ValueError(f"the weight must be positive, got {grams}")
    for limit, price in BANDS:
        if grams <= limit:
            break
    else:
        raise ValueError(f"{grams} g is too heavy, at most {BANDS[-1][0]} g")
    if max(sides) > 120 or sum(sides) > 200:
        price += 650
    prices = {"home": price, "island": price + 300, "abroad": 2 * price + 100 * -(-grams // 1000)}
    return prices[zone]


# --- tests ---

import unittest

SMALL = (30, 20, 10)


class TestPostage(unittest.TestCase):
    def test_weight_bands(self) -> None:
        prices = [postage(grams, SMALL, "home") for grams in (1, 1000, 1001, 5000, 5001, 20000)]
        self.assertEqual(prices, [490, 490, 790, 790, 1490, 1490])

    def test_too_heavy_or_weightless(self) -> None:
        for grams in (20001, 0, -5):
            with self.assertRaises(ValueError):
                postage(grams, SMALL, "home")

    def test_a_long_parcel_costs_more(self) -> None:
        self.assertEqual(postage(500, (120, 10, 10), "home"), 490)
        self.assertEqual(postage(500, (10, 121, 10), "home"), 1140)

    def test_a_bulky_parcel_costs_more(self) -> None:
        self.assertEqual(postage(500, (70, 70, 60), "home"), 490)
        self.assertEqual(postage(500, (70, 70, 61), "home"), 1140)

    def test_the_surcharge_is_added_once(self) -> None:
        self.assertEqual(postage(6000, (130, 60, 50), "home"), 2140)

    def test_islands_pay_a_fixed_extra(self) -> None:
        self.assertEqual(postage(2000, SMALL, "island"), 1090)
        self.assertEqual(postage(2000, (121, 1, 1), "island"), 1740)

    def test_abroad_pays_twice_and_per_started_kilogram(self) -> None:
        self.assertEqual(postage(1000, SMALL, "abroad"), 1080)
        self.assertEqual(postage(1001, SMALL, "abroad"), 1780)
        self.assertEqual(postage(2999, (121, 1, 1), "abroad"), 3180)

    def test_an_unknown_zone_raises(self) -> None:
        with self.assertRaises(KeyError):
            postage(1000, SMALL, "moon")
