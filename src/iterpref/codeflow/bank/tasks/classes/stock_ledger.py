"""Write a class `StockLedger` for a tool rental. `receive(item, count)` adds stock. `reserve(item, count)` returns a
ticket number (1, 2, 3, ...) and raises `ShortageError`, a LookupError subclass you define, if fewer are available.
`release(ticket)` makes the pieces available again; `ship(ticket)` takes them out for good; both raise KeyError for an
unknown or finished ticket. `available(item)` is stock not reserved, `on_hand(item)` all stock in house; unknown items
give 0. Counts below 1 raise ValueError. A failed call changes nothing and uses up no ticket number."""

from collections import Counter


class ShortageError(LookupError):
    pass


class StockLedger:
    def __init__(self) -> None:
        self._on_hand: Counter[str] = Counter()
        self._tickets: dict[int, tuple[str, int]] = {}
        self._last_ticket = 0

    def receive(self, item: str, count: int) -> None:
        self._check(count)
        self._on_hand[item] += count

    def reserve(self, item: str, count: int) -> int:
        self._check(count)
        if count > self.available(item):
            raise ShortageError(f"only {self.available(item)} of {item} available")
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (item, count)
        return self._last_ticket

    def release(self, ticket: int) -> None:
        del self._tickets[ticket]

    def ship(self, ticket: int) -> None:
        item, count = self._tickets.pop(ticket)
        self._on_hand[item] -= count

    def on_hand(self, item: str) -> int:
        return self._on_hand[item]

    def available(self, item: str) -> int:
        reserved = sum(count for name, count in self._tickets.values() if name == item)
        return self._on_hand[item] - reserved

    @staticmethod
    def _check(count: int) -> None:
        if count < 1:
            raise ValueError("count must be at least 1")


# --- tests ---

import unittest


class TestStockLedger(unittest.TestCase):
    def setUp(self) -> None:
        self.ledger = StockLedger()
        self.ledger.receive("drill", 5)

    def _drills(self) -> tuple[int, int]:
        return self.ledger.on_hand("drill"), self.ledger.available("drill")

    def test_received_stock_adds_up(self) -> None:
        self.ledger.receive("drill", 2)
        self.assertEqual(self._drills(), (7, 7))
        self.assertEqual((self.ledger.on_hand("saw"), self.ledger.available("saw")), (0, 0))

    def test_reserving_lowers_only_the_available(self) -> None:
        self.assertEqual(self.ledger.reserve("drill", 2), 1)
        self.assertEqual(self._drills(), (5, 3))
        self.assertEqual(self.ledger.reserve("drill", 3), 2)
        self.assertEqual(self._drills(), (5, 0))

    def test_a_shortage_changes_nothing(self) -> None:
        self.ledger.reserve("drill", 3)
        with self.assertRaises(ShortageError):
            self.ledger.reserve("drill", 3)
        self.assertEqual(self._drills(), (5, 2))
        self.assertEqual(self.ledger.reserve("drill", 2), 2)

    def test_a_shortage_is_a_lookup_error(self) -> None:
        self.assertTrue(issubclass(ShortageError, LookupError))
        with self.assertRaises(ShortageError):
            self.ledger.reserve("saw", 1)

    def test_release_gives_back(self) -> None:
        ticket = self.ledger.reserve("drill", 4)
        self.ledger.release(ticket)
        self.assertEqual(self._drills(), (5, 5))

    def test_ship_takes_out_for_good(self) -> None:
        ticket = self.ledger.reserve("drill", 4)
        self.ledger.ship(ticket)
        self.assertEqual(self._drills(), (1, 1))

    def test_finished_and_unknown_tickets_raise(self) -> None:
        first, second = self.ledger.reserve("drill", 1), self.ledger.reserve("drill", 1)
        self.ledger.ship(first)
        self.ledger.release(second)
        for ticket in (first, second, 99):
            with self.assertRaises(KeyError):
                self.ledger.ship(ticket)
            with self.assertRaises(KeyError):
                self.ledger.release(ticket)
        self.assertEqual(self._drills(), (4, 4))

    def test_ticket_numbers_are_not_used_again(self) -> None:
        self.ledger.release(self.ledger.reserve("drill", 1))
        self.assertEqual(self.ledger.reserve("drill", 1), 2)

    def test_items_are_separate(self) -> None:
        self.ledger.receive("saw", 1)
        self.ledger.reserve("saw", 1)
        self.assertEqual(self._drills(), (5, 5))
        self.assertEqual(self.ledger.available("saw"), 0)

    def test_counts_below_one_are_refused(self) -> None:
        for count in (0, -2):
            with self.assertRaises(ValueError):
                self.ledger.receive("drill", count)
            with self.assertRaises(ValueError):
                self.ledger.reserve("drill", count)
        self.assertEqual(self._drills(), (5, 5))
        self.assertEqual(self.ledger.reserve("drill", 1), 1)
