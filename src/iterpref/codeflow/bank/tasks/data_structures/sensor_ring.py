"""Write a class SensorRing(capacity) that keeps the newest capacity readings of a greenhouse sensor; a capacity below
1 raises ValueError. push(value) stores a reading and returns the one it displaces, or None while there was still
room. len() is the number stored; iteration runs from oldest to newest. ring[i] is the i-th reading counted from the
oldest, negative i from the newest; outside the stored range raises IndexError. mean() is their average, or None when
empty."""

from collections.abc import Iterator


class SensorRing:
    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._slots: list[float] = [0.0] * capacity
        self._start = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> float:
        if not -self._size <= index < self._size:
            raise IndexError(f"no reading {index}")
        return self._slots[(self._start + index % self._size) % len(self._slots)]

    def __iter__(self) -> Iterator[float]:
        return (self[index] for index in range(self._size))

    def push(self, value: float) -> float | None:
        if self._size < len(self._slots):
            self._slots[(self._start + self._size) % len(self._slots)] = value
            self._size += 1
            return None
        displaced = self._slots[self._start]
        self._slots[self._start] = value
        self._start = (self._start + 1) % len(self._slots)
        return displaced

    def mean(self) -> float | None:
        return sum(self) / self._size if self._size else None


# --- tests ---

import unittest


class TestSensorRing(unittest.TestCase):
    def filled(self, capacity: int, *values: float) -> SensorRing:
        ring = SensorRing(capacity)
        for value in values:
            ring.push(value)
        return ring

    def test_order_before_it_is_full(self) -> None:
        ring = self.filled(4, 20, 21, 19)
        self.assertEqual((list(ring), len(ring)), ([20, 21, 19], 3))

    def test_the_oldest_readings_are_dropped(self) -> None:
        ring = self.filled(3, 1, 2, 3, 4, 5)
        self.assertEqual((list(ring), len(ring)), ([3, 4, 5], 3))

    def test_many_rounds(self) -> None:
        self.assertEqual(list(self.filled(4, *range(23))), [19, 20, 21, 22])

    def test_push_returns_what_it_displaces(self) -> None:
        ring = SensorRing(2)
        self.assertEqual([ring.push(value) for value in (7, 8, 9, 10, 11)], [None, None, 7, 8, 9])

    def test_positions_from_both_ends(self) -> None:
        ring = self.filled(3, 1, 2, 3, 4)
        self.assertEqual([ring[0], ring[1], ring[2]], [2, 3, 4])
        self.assertEqual([ring[-1], ring[-2], ring[-3]], [4, 3, 2])

    def test_positions_of_a_partly_filled_ring(self) -> None:
        ring = self.filled(5, 6, 7)
        self.assertEqual([ring[1], ring[-1], ring[-2]], [7, 7, 6])

    def test_positions_outside_are_refused(self) -> None:
        for ring in (self.filled(3, 1, 2, 3, 4), self.filled(5, 1, 2, 3)):
            for index in (3, -4):
                with self.subTest(index=index), self.assertRaises(IndexError):
                    ring[index]
        with self.assertRaises(IndexError):
            SensorRing(2)[0]

    def test_mean(self) -> None:
        self.assertIsNone(SensorRing(3).mean())
        self.assertEqual(self.filled(4, 1, 2).mean(), 1.5)
        self.assertEqual(self.filled(2, 100, 3, 4).mean(), 3.5)

    def test_capacity_of_one_and_of_zero(self) -> None:
        self.assertEqual(list(self.filled(1, 5, 6)), [6])
        for capacity in (0, -2):
            with self.subTest(capacity=capacity), self.assertRaises(ValueError):
                SensorRing(capacity)
