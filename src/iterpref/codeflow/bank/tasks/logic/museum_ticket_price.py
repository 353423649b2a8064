"""Write `museum_price(ages, evening=False)` giving the price in cents for visitors who come together. Under 6 years
entry is free; from 6 to 17 it costs 450, from 18 to 64 it costs 1200, from 65 on 800. If at least one and at most
two adults (18 or older) come with two or more visitors under 18, the whole party pays at most 2600. In the evening
the total is then halved. A negative age raises ValueError. No visitors cost nothing."""


def museum_price(ages: list[int], evening: bool = False) -> int:
    total = sum(_entry(age) for age in ages)
    adults = sum(age >= 18 for age in ages)
    minors = len(ages) - adults
    if 1 <= adults <= 2 and minors >= 2:
        total = min(total, 2600)
    if evening:
        total //= 2
    return total


def _entry(age: int) -> int:
    if age < 0:
        raise ValueError(f"age must not be negative, got {age}")
    if age < 6:
        return 0
    if age < 18:
        return 450
    return 1200 if age < 65 else 800


# --- tests ---

import unittest


class TestMuseumPrice(unittest.TestCase):
    def test_the_ages_where_the_price_changes(self) -> None:
        prices = [museum_price([age]) for age in (0, 5, 6, 17, 18, 64, 65, 90)]
        self.assertEqual(prices, [0, 0, 450, 450, 1200, 1200, 800, 800])

    def test_visitors_add_up(self) -> None:
        self.assertEqual(museum_price([30, 30, 30]), 3600)
        self.assertEqual(museum_price([10, 12, 14]), 1350)

    def test_a_family_pays_at_most_the_family_price(self) -> None:
        self.assertEqual(museum_price([40, 38, 10, 12]), 2600)
        self.assertEqual(museum_price([40, 10, 10, 10, 10]), 2600)
        self.assertEqual(museum_price([40, 38, 17, 10]), 2600)

    def test_a_cheaper_family_pays_less(self) -> None:
        self.assertEqual(museum_price([40, 10, 12]), 2100)
        self.assertEqual(museum_price([70, 3, 2]), 800)

    def test_no_family_price_with_three_adults_or_one_minor_or_no_adult(self) -> None:
        self.assertEqual(museum_price([40, 38, 18, 10, 12]), 4500)
        self.assertEqual(museum_price([40, 38, 17]), 2850)
        self.assertEqual(museum_price([17] * 7), 3150)

    def test_evenings_cost_half(self) -> None:
        self.assertEqual(museum_price([40, 65], evening=True), 1000)
        self.assertEqual(museum_price([40, 38, 10, 12], True), 1300)

    def test_the_evening_price_of_one_child(self) -> None:
        price = museum_price([7], evening=True)
        self.assertEqual((price, type(price)), (225, int))

    def test_nobody_costs_nothing(self) -> None:
        self.assertEqual((museum_price([]), museum_price([], True)), (0, 0))

    def test_negative_ages_raise(self) -> None:
        with self.assertRaises(ValueError):
            museum_price([30, -1])
