"""Write a class `SpiceShelf(slots)` holding different spice names. `add(name)` returns True if the name was put on
the shelf, False if it is there already, and raises OverflowError if it is new but all slots are taken. Names compare
without regard to case, in `name in shelf` as well. Iteration yields the names as they were added, sorted
alphabetically ignoring case, and `len(shelf)` counts them."""

from collections.abc import Iterator


class SpiceShelf:
    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._spices: dict[str, str] = {}

    def add(self, name: str) -> bool:
        if name in self:
            return False
        if len(self) >= self.slots:
            raise OverflowError(f"no slot left for {name}")
        self._spices[name.lower()] = name
        return True

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._spices

    def __len__(self) -> int:
        return len(self._spices)

    def __iter__(self) -> Iterator[str]:
        return (self._spices[key] for key in sorted(self._spices))


# --- tests ---

import unittest


class TestSpiceShelf(unittest.TestCase):
    def test_adding_uses_a_slot(self) -> None:
        shelf = SpiceShelf(3)
        self.assertEqual(len(shelf), 0)
        self.assertIs(shelf.add("Cumin"), True)
        self.assertEqual((len(shelf), list(shelf)), (1, ["Cumin"]))

    def test_adding_twice_gives_false(self) -> None:
        shelf = SpiceShelf(3)
        shelf.add("Cumin")
        self.assertIs(shelf.add("CUMIN"), False)
        self.assertEqual(list(shelf), ["Cumin"])

    def test_a_full_shelf_takes_no_new_spice(self) -> None:
        shelf = SpiceShelf(2)
        shelf.add("mace")
        self.assertIs(shelf.add("dill"), True)
        with self.assertRaises(OverflowError):
            shelf.add("basil")
        self.assertEqual(list(shelf), ["dill", "mace"])

    def test_a_known_spice_is_no_overflow(self) -> None:
        shelf = SpiceShelf(1)
        shelf.add("dill")
        self.assertIs(shelf.add("Dill"), False)

    def test_a_shelf_without_slots(self) -> None:
        with self.assertRaises(OverflowError):
            SpiceShelf(0).add("dill")

    def test_iteration_is_sorted_ignoring_case(self) -> None:
        shelf = SpiceShelf(4)
        for name in ("thyme", "Basil", "anise", "Zaatar"):
            shelf.add(name)
        self.assertEqual(list(shelf), ["anise", "Basil", "thyme", "Zaatar"])

    def test_contains_ignores_case(self) -> None:
        shelf = SpiceShelf(1)
        shelf.add("Mace")
        self.assertTrue("mACE" in shelf)
        self.assertFalse("mac" in shelf)

    def test_shelves_are_separate(self) -> None:
        first, second = SpiceShelf(1), SpiceShelf(1)
        first.add("dill")
        self.assertEqual((len(second), "dill" in second), (0, False))
