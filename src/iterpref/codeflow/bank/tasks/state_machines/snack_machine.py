"""Write a class `SnackMachine(prices, stock)`, two dictionaries by slot, which are not changed. `insert(coin)`
accepts 5, 10, 20, 50, 100 and 200 and returns the attribute `credit`; other coins raise ValueError. `select(slot)`
raises KeyError for an unknown slot, `SoldOutError` if none is left, `CreditError` if the credit is too low, in that
order, keeping the credit; otherwise it gives change as a list of coins, largest first, as few as possible, leaving no
credit. `refund()` returns all credit likewise. Define both exceptions."""

from collections.abc import Mapping

COINS = (200, 100, 50, 20, 10, 5)


class SoldOutError(Exception):
    pass


class CreditError(Exception):
    pass


class SnackMachine:
    def __init__(self, prices: Mapping[str, int], stock: Mapping[str, int]) -> None:
        self._prices = dict(prices)
        self._stock = dict(stock)
        self.credit = 0

    def insert(self, coin: int) -> int:
        if coin not in COINS:
            raise ValueError(f"coin {coin} is not accepted")
        self.credit += coin
        return self.credit

    def select(self, slot: str) -> list[int]:
        price = self._prices[slot]
        if self._stock.get(slot, 0) == 0:
            raise SoldOutError(slot)
        if self.credit < price:
            raise CreditError(f"{price - self.credit} missing")
        self._stock[slot] -= 1
        self.credit -= price
        return self.refund()

    def refund(self) -> list[int]:
        coins: list[int] = []
        for coin in COINS:
            count, self.credit = divmod(self.credit, coin)
            coins += [coin] * count
        return coins


# --- tests ---

import unittest


class TestSnackMachine(unittest.TestCase):
    def setUp(self) -> None:
        self.stock = {"A1": 2, "A2": 0}
        self.machine = SnackMachine({"A1": 115, "A2": 50, "A3": 60}, self.stock)

    def _insert(self, *coins: int) -> None:
        for coin in coins:
            self.machine.insert(coin)

    def test_credit_adds_up(self) -> None:
        self.assertEqual([self.machine.insert(coin) for coin in (5, 10, 20, 50, 100, 200)], [5, 15, 35, 85, 185, 385])
        self.assertEqual(self.machine.credit, 385)

    def test_unknown_coins_are_refused(self) -> None:
        for coin in (0, 1, 25, 500, -5):
            with self.assertRaises(ValueError):
                self.machine.insert(coin)
        self.assertEqual(self.machine.credit, 0)

    def test_exact_money_gives_no_change(self) -> None:
        self._insert(100, 10, 5)
        self.assertEqual(self.machine.select("A1"), [])
        self.assertEqual(self.machine.credit, 0)

    def test_change_is_largest_first(self) -> None:
        self._insert(200, 200)
        self.assertEqual(self.machine.select("A1"), [200, 50, 20, 10, 5])
        self.assertEqual(self.machine.credit, 0)

    def test_too_little_credit_stays(self) -> None:
        self._insert(100, 10)
        with self.assertRaises(CreditError):
            self.machine.select("A1")
        self.assertEqual(self.machine.credit, 110)
        self._insert(5)
        self.assertEqual(self.machine.select("A1"), [])

    def test_sold_out_keeps_the_credit(self) -> None:
        self._insert(200)
        with self.assertRaises(SoldOutError):
            self.machine.select("A2")
        with self.assertRaises(SoldOutError):
            self.machine.select("A3")
        self.assertEqual(self.machine.credit, 200)

    def test_sold_out_is_told_before_missing_credit(self) -> None:
        with self.assertRaises(SoldOutError):
            self.machine.select("A2")

    def test_stock_runs_out(self) -> None:
        for _ in range(2):
            self._insert(200)
            self.assertEqual(self.machine.select("A1"), [50, 20, 10, 5])
        self._insert(200)
        with self.assertRaises(SoldOutError):
            self.machine.select("A1")

    def test_unknown_slots_raise(self) -> None:
        with self.assertRaises(KeyError):
            self.machine.select("B1")

    def test_failed_selection_takes_no_stock(self) -> None:
        for _ in range(3):
            with self.assertRaises(CreditError):
                self.machine.select("A1")
        self._insert(200)
        self.assertEqual(self.machine.select("A1"), [50, 20, 10, 5])

    def test_refund(self) -> None:
        self._insert(20, 20, 5, 20, 20)
        self.assertEqual(self.machine.refund(), [50, 20, 10, 5])
        self.assertEqual((self.machine.credit, self.machine.refund()), (0, []))
        self._insert(200, 200)
        self.assertEqual(self.machine.refund(), [200, 200])

    def test_given_stock_is_not_changed(self) -> None:
        self._insert(200)
        self.machine.select("A1")
        self.assertEqual(self.stock, {"A1": 2, "A2": 0})
