"""Write a generator `checkout_rounds(queues, quota)`. `queues` maps lane names to lists of customers. Serve lanes in
the mapping's order: from each lane take up to `quota` customers, then go on to the next lane, and after the last lane
start again, until all are served. Yield (lane, customer) pairs. Lanes that are empty are skipped from then on. The
lists must not be changed. An empty mapping yields nothing; a `quota` below 1 raises ValueError when iteration
starts."""

from collections import deque
from collections.abc import Iterator, Mapping


def checkout_rounds(queues: Mapping[str, list[str]], quota: int) -> Iterator[tuple[str, str]]:
    if quota < 1:
        raise ValueError("quota must be at least 1")
    waiting = {lane: deque(customers) for lane, customers in queues.items()}
    while waiting:
        for lane in list(waiting):
            customers = waiting[lane]
            for _ in range(min(quota, len(customers))):
                yield lane, customers.popleft()
            if not customers:
                del waiting[lane]


# --- tests ---

import unittest


class TestCheckoutRounds(unittest.TestCase):
    def test_lanes_take_turns(self) -> None:
        served = list(checkout_rounds({"A": ["a1", "a2"], "B": ["b1", "b2"]}, 1))
        self.assertEqual(served, [("A", "a1"), ("B", "b1"), ("A", "a2"), ("B", "b2")])

    def test_quota_of_two(self) -> None:
        served = list(checkout_rounds({"A": ["a1", "a2", "a3"], "B": ["b1", "b2", "b3"]}, 2))
        self.assertEqual([customer for _, customer in served], ["a1", "a2", "b1", "b2", "a3", "b3"])

    def test_short_lanes_drop_out(self) -> None:
        served = list(checkout_rounds({"A": ["a1"], "B": ["b1", "b2", "b3"], "C": ["c1", "c2"]}, 1))
        self.assertEqual([customer for _, customer in served], ["a1", "b1", "c1", "b2", "c2", "b3"])

    def test_empty_lanes_are_skipped(self) -> None:
        self.assertEqual(list(checkout_rounds({"A": [], "B": ["b1"]}, 3)), [("B", "b1")])

    def test_order_of_the_mapping_counts(self) -> None:
        served = list(checkout_rounds({"Z": ["z1"], "A": ["a1"]}, 1))
        self.assertEqual(served, [("Z", "z1"), ("A", "a1")])

    def test_no_lanes_no_customers(self) -> None:
        self.assertEqual(list(checkout_rounds({}, 1)), [])
        self.assertEqual(list(checkout_rounds({"A": []}, 1)), [])

    def test_queues_are_not_changed(self) -> None:
        queues = {"A": ["a1", "a2"], "B": ["b1"]}
        list(checkout_rounds(queues, 1))
        self.assertEqual(queues, {"A": ["a1", "a2"], "B": ["b1"]})

    def test_quota_zero_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            next(checkout_rounds({"A": ["a1"]}, 0))
