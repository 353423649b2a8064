"""Write `align_price_column(items, width)`. `items` is a list of `(name, price)` pairs, the price in whole
cents. Return one line per item, each exactly `width` characters: the name on the left, the price on the right
as "12.50", dots filling the space between, at least one dot. A name that is too long is cut to fit. Negative
prices have a leading minus as in "-0.05". If even a one-letter name does not fit beside its price and one dot,
raise ValueError. No items give an empty list."""


def format_cents(price: int) -> str:
    sign = "-" if price < 0 else ""
    euros, cents = divmod(abs(price), 100)
    return f"{sign}{euros}.{cents:02d}"


def align_price_column(items: list[tuple[str, int]], width: int) -> list[str]:
    lines = []
    for name, price in items:
        amount = format_cents(price)
        room = width - len(amount) - 1
        if room < 1:
            raise ValueError(f"width {width} is too small for {amount}")
        label = name[:room]
        lines.append(label.ljust(room + 1, ".") + amount)
    return lines


# --- tests ---

import unittest


class TestAlignPriceColumn(unittest.TestCase):
    def test_dots_fill_the_space(self) -> None:
        self.assertEqual(align_price_column([("Soup", 450), ("Tea", 1225)], 14), ["Soup......4.50", "Tea......12.25"])

    def test_one_dot_is_enough(self) -> None:
        self.assertEqual(align_price_column([("Bread", 300)], 10), ["Bread.3.00"])

    def test_long_name_is_cut(self) -> None:
        self.assertEqual(align_price_column([("Breads", 300)], 10), ["Bread.3.00"])

    def test_cents_have_two_digits(self) -> None:
        self.assertEqual(
            align_price_column([("Bag", 5), ("Box", 0), ("Can", 100)], 9), ["Bag..0.05", "Box..0.00", "Can..1.00"]
        )

    def test_negative_price(self) -> None:
        self.assertEqual(align_price_column([("Coupon", -5), ("Return", -250)], 13), ["Coupon..-0.05", "Return..-2.50"])

    def test_smallest_width(self) -> None:
        self.assertEqual(align_price_column([("Tea", 250)], 6), ["T.2.50"])
        with self.assertRaises(ValueError):
            align_price_column([("Tea", 250)], 5)

    def test_width_is_checked_for_short_names_too(self) -> None:
        with self.assertRaises(ValueError):
            align_price_column([("", 250)], 5)

    def test_no_items(self) -> None:
        self.assertEqual(align_price_column([], 3), [])
