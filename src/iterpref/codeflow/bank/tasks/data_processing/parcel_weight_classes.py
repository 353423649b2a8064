"""Write `weight_classes(grams, limits)` for a post office. `limits` is a strictly ascending list of upper limits,
each included in its class. Return a dict with the keys "up to L" for each limit L in order and "over L" for the last
one, each mapped to (number of parcels, mean grams rounded to one place, None for an empty class). Limits that are
empty or not strictly ascending raise ValueError, and so does a parcel of zero or fewer grams."""

from bisect import bisect_left
from itertools import pairwise


def weight_classes(grams: list[int], limits: list[int]) -> dict[str, tuple[int, float | None]]:
    if not limits or any(low >= high for low, high in pairwise(limits)):
        raise ValueError(f"limits {limits} do not ascend")
    groups: list[list[int]] = [[] for _ in range(len(limits) + 1)]
    for weight in grams:
        if weight <= 0:
            raise ValueError(f"a parcel of {weight} g")
        groups[bisect_left(limits, weight)].append(weight)
    names = [f"up to {limit}" for limit in limits] + [f"over {limits[-1]}"]
    return {
        name: (len(group), round(sum(group) / len(group), 1) if group else None)
        for name, group in zip(names, groups, strict=True)
    }


# --- tests ---

import unittest


class TestParcelWeightClasses(unittest.TestCase):
    def test_no_parcels(self) -> None:
        classes = weight_classes([], [100, 500])
        self.assertEqual(
            list(classes.items()), [("up to 100", (0, None)), ("up to 500", (0, None)), ("over 500", (0, None))]
        )

    def test_limits_are_included(self) -> None:
        classes = weight_classes([100, 101, 500, 501], [100, 500])
        self.assertEqual(classes, {"up to 100": (1, 100.0), "up to 500": (2, 300.5), "over 500": (1, 501.0)})

    def test_mean_is_rounded_to_one_place(self) -> None:
        self.assertEqual(weight_classes([1, 2, 2], [10])["up to 10"], (3, 1.7))

    def test_single_limit(self) -> None:
        self.assertEqual(weight_classes([3, 9, 5], [4]), {"up to 4": (1, 3.0), "over 4": (2, 7.0)})

    def test_empty_limits_raise(self) -> None:
        with self.assertRaises(ValueError):
            weight_classes([5], [])

    def test_limits_must_ascend_strictly(self) -> None:
        for limits in ([5, 5], [9, 4], [1, 3, 2]):
            with self.assertRaises(ValueError):
                weight_classes([], limits)

    def test_weightless_parcel_raises(self) -> None:
        for weight in (0, -5):
            with self.assertRaises(ValueError):
                weight_classes([5, weight], [10])

    def test_one_gram_is_a_parcel(self) -> None:
        self.assertEqual(weight_classes([1], [10])["up to 10"], (1, 1.0))
