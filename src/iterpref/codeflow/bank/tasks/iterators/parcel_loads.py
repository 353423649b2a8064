"""Write a generator `parcel_loads(weights, limit)` for a delivery van. It walks through an iterable of integer parcel
weights in order and yields lists: each load takes parcels as long as their total stays at or below `limit`. A parcel
heavier than the limit travels alone in its own load. No empty load is ever yielded, the last partial load is
included, and an empty input yields nothing. Each load must be a separate list. If `limit` is below 1, raise
ValueError when iteration starts."""

from collections.abc import Iterable, Iterator


def parcel_loads(weights: Iterable[int], limit: int) -> Iterator[list[int]]:
    if limit < 1:
        raise ValueError("limit must be at least 1")
    load: list[int] = []
    total = 0
    for weight in weights:
        if load and total + weight > limit:
            yield load
            load = []
            total = 0
        load.append(weight)
        total += weight
    if load:
        yield load


# --- tests ---

import itertools
import unittest


class TestParcelLoads(unittest.TestCase):
    def test_a_load_may_reach_the_limit_exactly(self) -> None:
        self.assertEqual(list(parcel_loads([4, 6, 1], 10)), [[4, 6], [1]])

    def test_one_gram_over_starts_a_new_load(self) -> None:
        self.assertEqual(list(parcel_loads([4, 7, 3], 10)), [[4], [7, 3]])

    def test_a_too_heavy_parcel_travels_alone(self) -> None:
        self.assertEqual(list(parcel_loads([2, 15, 3, 4], 10)), [[2], [15], [3, 4]])

    def test_a_too_heavy_first_parcel_gives_no_empty_load(self) -> None:
        self.assertEqual(list(parcel_loads([12, 11], 10)), [[12], [11]])

    def test_no_parcels_no_loads(self) -> None:
        self.assertEqual(list(parcel_loads([], 10)), [])

    def test_total_restarts_with_every_load(self) -> None:
        self.assertEqual(list(parcel_loads([5, 5, 5, 5, 5], 10)), [[5, 5], [5, 5], [5]])

    def test_limit_one_is_allowed_and_zero_is_not(self) -> None:
        self.assertEqual(list(parcel_loads([1, 1], 1)), [[1], [1]])
        with self.assertRaises(ValueError):
            next(parcel_loads([1], 0))

    def test_loads_come_lazily_and_stay_separate(self) -> None:
        loads = parcel_loads(itertools.repeat(3), 7)
        first = next(loads)
        first.append(99)
        self.assertEqual(next(loads), [3, 3])
