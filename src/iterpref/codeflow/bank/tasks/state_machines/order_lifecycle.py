"""Write a class `Order` for a flower shop. Its `status` starts as "draft" and `move(status)` allows only: draft to
placed or cancelled, placed to paid or cancelled, paid to packed or refunded, packed to shipped or refunded, shipped
to delivered. Any other move, unknown names included, raises `TransitionError` (a ValueError subclass you define) with
both statuses in its text, and changes nothing. `history` returns a new list of all statuses so far, the first
included. `finished` is True when no further move is possible. Both are properties."""

MOVES: dict[str, set[str]] = {
    "draft": {"placed", "cancelled"},
    "placed": {"paid", "cancelled"},
    "paid": {"packed", "refunded"},
    "packed": {"shipped", "refunded"},
    "shipped": {"delivered"},
}


class TransitionError(ValueError):
    pass


class Order:
    def __init__(self) -> None:
        self._history = ["draft"]

    @property
    def status(self) -> str:
        return self._history[-1]

    @property
    def history(self) -> list[str]:
        return self._history.copy()

    @property
    def finished(self) -> bool:
        return self.status not in MOVES

    def move(self, status: str) -> None:
        if status not in MOVES.get(self.status, set()):
            raise TransitionError(f"an order cannot go from {self.status} to {status}")
        self._history.append(status)


# --- tests ---

import unittest

ALLOWED = {
    ("draft", "placed"),
    ("draft", "cancelled"),
    ("placed", "paid"),
    ("placed", "cancelled"),
    ("paid", "packed"),
    ("paid", "refunded"),
    ("packed", "shipped"),
    ("packed", "refunded"),
    ("shipped", "delivered"),
}
ROUTES = {
    "draft": [],
    "placed": ["placed"],
    "paid": ["placed", "paid"],
    "packed": ["placed", "paid", "packed"],
    "shipped": ["placed", "paid", "packed", "shipped"],
    "delivered": ["placed", "paid", "packed", "shipped", "delivered"],
    "cancelled": ["cancelled"],
    "refunded": ["placed", "paid", "refunded"],
}


def _order_at(status: str) -> Order:
    order = Order()
    for step in ROUTES[status]:
        order.move(step)
    return order


class TestOrder(unittest.TestCase):
    def test_a_new_order_is_a_draft(self) -> None:
        order = Order()
        self.assertEqual((order.status, order.history, order.finished), ("draft", ["draft"], False))

    def test_history_of_a_whole_order(self) -> None:
        self.assertEqual(_order_at("delivered").history, ["draft", "placed", "paid", "packed", "shipped", "delivered"])

    def test_exactly_the_listed_moves_are_allowed(self) -> None:
        for start in ROUTES:
            for goal in ROUTES:
                order = _order_at(start)
                if (start, goal) in ALLOWED:
                    order.move(goal)
                    self.assertEqual(order.status, goal)
                else:
                    with self.assertRaises(TransitionError):
                        order.move(goal)
                    self.assertEqual(order.status, start)

    def test_unknown_names_are_refused(self) -> None:
        with self.assertRaises(TransitionError):
            Order().move("lost")

    def test_the_error_names_both_statuses(self) -> None:
        with self.assertRaises(ValueError) as caught:
            _order_at("placed").move("shipped")
        self.assertIn("placed", str(caught.exception))
        self.assertIn("shipped", str(caught.exception))

    def test_failed_moves_leave_the_history(self) -> None:
        order = _order_at("placed")
        with self.assertRaises(TransitionError):
            order.move("draft")
        self.assertEqual(order.history, ["draft", "placed"])

    def test_finished(self) -> None:
        finished = {status for status in ROUTES if _order_at(status).finished}
        self.assertEqual(finished, {"delivered", "cancelled", "refunded"})

    def test_history_is_a_copy(self) -> None:
        order = Order()
        order.history.append("paid")
        self.assertEqual((order.status, order.history), ("draft", ["draft"]))

    def test_orders_are_separate(self) -> None:
        first, second = Order(), Order()
        first.move("cancelled")
        self.assertEqual((first.status, second.status), ("cancelled", "draft"))
