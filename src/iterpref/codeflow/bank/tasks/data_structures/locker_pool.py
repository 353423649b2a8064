"""Write a class LockerPool(size) for a swimming pool with lockers 1 to size. take(guest) gives the guest the free
locker with the smallest number and returns that number; a guest who has one already gets the same number again.
give_back(guest) frees the guest's locker and returns its number, or raises KeyError if there is none. free() is the
number of free lockers. take raises LookupError when all are taken. A negative size raises ValueError; a size of 0 is
a pool without lockers."""

import heapq


class LockerPool:
    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"size must not be negative: {size}")
        self._free = list(range(1, size + 1))
        self._taken: dict[str, int] = {}

    def take(self, guest: str) -> int:
        if guest in self._taken:
            return self._taken[guest]
        if not self._free:
            raise LookupError("all lockers are taken")
        number = heapq.heappop(self._free)
        self._taken[guest] = number
        return number

    def give_back(self, guest: str) -> int:
        number = self._taken.pop(guest)
        heapq.heappush(self._free, number)
        return number

    def free(self) -> int:
        return len(self._free)


# --- tests ---

import unittest


class TestLockerPool(unittest.TestCase):
    def pool(self, size: int, guests: str) -> LockerPool:
        pool = LockerPool(size)
        for guest in guests:
            pool.take(guest)
        return pool

    def test_numbers_start_at_one_and_rise(self) -> None:
        pool = LockerPool(3)
        self.assertEqual([pool.take(guest) for guest in "abc"], [1, 2, 3])

    def test_the_smallest_free_number_comes_first(self) -> None:
        pool = self.pool(6, "abcde")
        for guest in "dbe":
            pool.give_back(guest)
        self.assertEqual([pool.take(guest) for guest in "wxyz"], [2, 4, 5, 6])

    def test_a_guest_keeps_the_locker(self) -> None:
        pool = self.pool(3, "ab")
        self.assertEqual((pool.take("a"), pool.free()), (1, 1))

    def test_a_guest_keeps_the_locker_even_when_all_are_taken(self) -> None:
        self.assertEqual(self.pool(2, "ab").take("b"), 2)

    def test_give_back_returns_the_number_once(self) -> None:
        pool = self.pool(3, "ab")
        self.assertEqual(pool.give_back("b"), 2)
        with self.assertRaises(KeyError):
            pool.give_back("b")

    def test_a_returning_guest_may_get_another_number(self) -> None:
        pool = self.pool(3, "ab")
        pool.give_back("b")
        pool.give_back("a")
        self.assertEqual(pool.take("b"), 1)

    def test_free_counts(self) -> None:
        pool = self.pool(4, "ab")
        self.assertEqual(pool.free(), 2)
        pool.give_back("a")
        self.assertEqual(pool.free(), 3)

    def test_all_lockers_taken(self) -> None:
        pool = self.pool(2, "ab")
        with self.assertRaises(LookupError):
            pool.take("c")
        self.assertEqual(pool.free(), 0)

    def test_sizes(self) -> None:
        self.assertEqual(LockerPool(0).free(), 0)
        with self.assertRaises(LookupError):
            LockerPool(0).take("a")
        with self.assertRaises(ValueError):
            LockerPool(-1)
