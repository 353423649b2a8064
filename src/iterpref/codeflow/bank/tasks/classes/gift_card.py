"""Write a class `GiftCard(cents)` for a bookshop, created with a positive whole number of cents (otherwise
ValueError). `pay(price)` takes as much of the price as the card holds and returns the cents still to be paid
otherwise; a price below 1 raises ValueError. The attribute `balance` gives the cents left; `payments` is a list of
the amounts taken so far, leaving out payments where nothing was taken."""


class GiftCard:
    def __init__(self, cents: int) -> None:
        if cents <= 0:
            raise ValueError("a card needs a positive amount")
        self.balance = cents
        self.payments: list[int] = []

    def pay(self, price: int) -> int:
        if price < 1:
            raise ValueError("a price is at least a cent")
        taken = min(price, self.balance)
        if taken > 0:
            self.balance -= taken
            self.payments.append(taken)
        return price - taken


# --- tests ---

import unittest


class TestGiftCard(unittest.TestCase):
    def test_paying_part_of_the_card(self) -> None:
        card = GiftCard(2500)
        self.assertEqual(card.pay(999), 0)
        self.assertEqual((card.balance, card.payments), (1501, [999]))

    def test_paying_more_than_the_card_holds(self) -> None:
        card = GiftCard(500)
        self.assertEqual(card.pay(700), 200)
        self.assertEqual((card.balance, card.payments), (0, [500]))

    def test_paying_exactly_the_card(self) -> None:
        card = GiftCard(500)
        self.assertEqual(card.pay(500), 0)
        self.assertEqual(card.balance, 0)

    def test_an_empty_card_takes_nothing(self) -> None:
        card = GiftCard(1)
        card.pay(1)
        self.assertEqual(card.pay(300), 300)
        self.assertEqual(card.payments, [1])

    def test_payments_are_in_order(self) -> None:
        card = GiftCard(100)
        for price in (30, 20, 80):
            card.pay(price)
        self.assertEqual((card.payments, card.balance), ([30, 20, 50], 0))

    def test_a_card_needs_a_positive_amount(self) -> None:
        self.assertEqual(GiftCard(1).balance, 1)
        for cents in (0, -5):
            with self.assertRaises(ValueError):
                GiftCard(cents)

    def test_prices_below_one_are_refused(self) -> None:
        card = GiftCard(10)
        for price in (0, -3):
            with self.assertRaises(ValueError):
                card.pay(price)
        self.assertEqual((card.balance, card.payments), (10, []))
        self.assertEqual((card.pay(1), card.balance), (0, 9))

    def test_cards_are_separate(self) -> None:
        first, second = GiftCard(10), GiftCard(10)
        first.pay(4)
        self.assertEqual((second.balance, second.payments), (10, []))
