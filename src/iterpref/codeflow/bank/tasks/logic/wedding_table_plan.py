"""Write `seat_households(households, tables)`. `households` maps names to numbers of guests, `tables` lists the
seats of each table. Place the largest household first, equal ones in alphabetical order, each at one table where it
fits: the one with the fewest free seats, of equal ones the first. Return `(plan, unseated)`: for every table the
list of its households in the order of placing, and the names that fit nowhere in the order tried. A household of
fewer than 1 guest raises ValueError. The arguments stay unchanged."""


def seat_households(households: dict[str, int], tables: list[int]) -> tuple[list[list[str]], list[str]]:
    free = list(tables)
    plan: list[list[str]] = [[] for _ in tables]
    unseated: list[str] = []
    for name in sorted(households, key=lambda household: (-households[household], household)):
        guests = households[name]
        if guests < 1:
            raise ValueError(f"household {name} has {guests} guests")
        fitting = [table for table, seats in enumerate(free) if seats >= guests]
        if fitting:
            table = min(fitting, key=lambda number: free[number])
            free[table] -= guests
            plan[table].append(name)
        else:
            unseated.append(name)
    return plan, unseated


# --- tests ---

import unittest


class TestSeatHouseholds(unittest.TestCase):
    def test_the_tightest_table_is_taken(self) -> None:
        self.assertEqual(seat_households({"Abel": 3}, [8, 4, 6]), ([[], ["Abel"], []], []))

    def test_a_household_may_fill_a_table(self) -> None:
        self.assertEqual(seat_households({"Abel": 4, "Bach": 5}, [4, 4]), ([["Abel"], []], ["Bach"]))

    def test_the_first_of_equal_tables(self) -> None:
        self.assertEqual(seat_households({"Abel": 2}, [6, 6, 6]), ([["Abel"], [], []], []))

    def test_large_households_come_first(self) -> None:
        plan, unseated = seat_households({"Abel": 2, "Bach": 5, "Cruz": 4}, [6, 5])
        self.assertEqual(plan, [["Cruz", "Abel"], ["Bach"]])
        self.assertEqual(unseated, [])

    def test_equal_households_are_placed_alphabetically(self) -> None:
        plan, unseated = seat_households({"Cruz": 3, "Abel": 3, "Bach": 3}, [3, 3])
        self.assertEqual((plan, unseated), ([["Abel"], ["Bach"]], ["Cruz"]))

    def test_smaller_ones_may_still_fit_after_a_failure(self) -> None:
        plan, unseated = seat_households({"Abel": 9, "Bach": 8, "Cruz": 1}, [7])
        self.assertEqual((plan, unseated), ([["Cruz"]], ["Abel", "Bach"]))

    def test_seats_are_used_up(self) -> None:
        plan, unseated = seat_households({"Abel": 4, "Bach": 3, "Cruz": 2, "Dorn": 1}, [5, 4])
        self.assertEqual((plan, unseated), ([["Bach", "Cruz"], ["Abel"]], ["Dorn"]))

    def test_no_tables_and_no_households(self) -> None:
        self.assertEqual(seat_households({"Abel": 1}, []), ([], ["Abel"]))
        self.assertEqual(seat_households({}, [4, 2]), ([[], []], []))

    def test_empty_households_raise(self) -> None:
        for guests in (0, -1):
            with self.assertRaises(ValueError):
                seat_households({"Abel": 2, "Bach": guests}, [4])

    def test_the_arguments_stay_unchanged(self) -> None:
        households, tables = {"Cruz": 3, "Abel": 4}, [4, 3]
        seat_households(households, tables)
        self.assertEqual((households, list(households), tables), ({"Cruz": 3, "Abel": 4}, ["Cruz", "Abel"], [4, 3]))
