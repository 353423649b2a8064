"""Write `coffee_points(purchases)` for a cafe's loyalty card. Each purchase is `(item, cents)` in order of time.
Every full 100 cents of a purchase give one point, twice as many for the item "filter coffee". Before a purchase is
booked, a card with 50 points or more is checked: if the purchase costs at most 600 cents it is free, 50 points are
taken and it gives no points. Return `(points, paid)`: the points left and the cents paid altogether. A negative
price raises ValueError."""

FREE_AT = 50
FREE_UP_TO = 600


def coffee_points(purchases: list[tuple[str, int]]) -> tuple[int, int]:
    points = 0
    paid = 0
    for item, cents in purchases:
        if cents < 0:
            raise ValueError(f"negative price for {item}: {cents}")
        if points >= FREE_AT and cents <= FREE_UP_TO:
            points -= FREE_AT
            continue
        paid += cents
        earned = cents // 100
        points += 2 * earned if item == "filter coffee" else earned
    return points, paid


# --- tests ---

import unittest


class TestCoffeePoints(unittest.TestCase):
    def test_full_hundreds_count(self) -> None:
        self.assertEqual(coffee_points([("cake", 399)]), (3, 399))
        self.assertEqual(coffee_points([("cake", 400)]), (4, 400))
        self.assertEqual(coffee_points([("gum", 99)]), (0, 99))

    def test_hundreds_are_counted_per_purchase(self) -> None:
        self.assertEqual(coffee_points([("cake", 150), ("cake", 150)]), (2, 300))

    def test_filter_coffee_counts_twice(self) -> None:
        self.assertEqual(coffee_points([("filter coffee", 290), ("Filter coffee", 290)]), (6, 580))

    def test_fifty_points_make_the_next_purchase_free(self) -> None:
        self.assertEqual(coffee_points([("beans", 5000), ("cake", 420)]), (0, 5000))
        self.assertEqual(coffee_points([("beans", 5350), ("cake", 420)]), (3, 5350))

    def test_forty_nine_points_are_too_few(self) -> None:
        self.assertEqual(coffee_points([("beans", 4900), ("cake", 420)]), (53, 5320))

    def test_a_free_purchase_costs_at_most_six_hundred(self) -> None:
        self.assertEqual(coffee_points([("beans", 5000), ("lunch", 600)]), (0, 5000))
        self.assertEqual(coffee_points([("beans", 5000), ("lunch", 601)]), (56, 5601))

    def test_only_fifty_points_are_taken(self) -> None:
        purchases = [("beans", 11000), ("cake", 400), ("filter coffee", 300), ("cake", 400)]
        self.assertEqual(coffee_points(purchases), (14, 11400))

    def test_no_purchases(self) -> None:
        self.assertEqual(coffee_points([]), (0, 0))

    def test_a_negative_price_raises(self) -> None:
        with self.assertRaises(ValueError):
            coffee_points([("cake", 400), ("refund", -1)])
        self.assertEqual(coffee_points([("sample", 0)]), (0, 0))
