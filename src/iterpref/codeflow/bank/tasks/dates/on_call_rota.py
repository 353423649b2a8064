"""Write a class `OnCallRota(people, first_day)`: people take turns for one week each, in order, over and over,
from `first_day` on. `on_call(day)` returns who is on duty; any day before `first_day` raises ValueError, also
in `swap`. `swap(first, second)` exchanges the persons of the two weeks containing those days; repeating it
undoes it. `weeks_of(person, count)` lists the first days of that person's first `count` weeks, swaps included;
an unknown person raises KeyError. An empty list raises ValueError; later changes to the caller's list have no
effect."""

from datetime import date, timedelta


class OnCallRota:
    def __init__(self, people: list[str], first_day: date) -> None:
        if not people:
            raise ValueError("a rota needs at least one person")
        self._people = list(people)
        self._first_day = first_day
        self._swapped: dict[int, str] = {}

    def _week(self, day: date) -> int:
        if day < self._first_day:
            raise ValueError(f"{day} is before the rota begins")
        return (day - self._first_day).days // 7

    def _person(self, week: int) -> str:
        return self._swapped.get(week, self._people[week % len(self._people)])

    def on_call(self, day: date) -> str:
        return self._person(self._week(day))

    def swap(self, first: date, second: date) -> None:
        one, other = self._week(first), self._week(second)
        self._swapped[one], self._swapped[other] = self._person(other), self._person(one)

    def weeks_of(self, person: str, count: int) -> list[date]:
        if person not in self._people:
            raise KeyError(person)
        found: list[date] = []
        week = 0
        while len(found) < count:
            if self._person(week) == person:
                found.append(self._first_day + timedelta(weeks=week))
            week += 1
        return found


# --- tests ---

import datetime as dt
import unittest

FIRST = dt.date(2024, 1, 3)


class TestOnCallRota(unittest.TestCase):
    def setUp(self) -> None:
        self.rota = OnCallRota(["Ada", "Bo", "Cy"], FIRST)

    def test_turns_change_after_seven_days(self) -> None:
        self.assertEqual(self.rota.on_call(FIRST), "Ada")
        self.assertEqual(self.rota.on_call(dt.date(2024, 1, 9)), "Ada")
        self.assertEqual(self.rota.on_call(dt.date(2024, 1, 10)), "Bo")
        self.assertEqual(self.rota.on_call(dt.date(2024, 1, 17)), "Cy")

    def test_turns_start_again(self) -> None:
        self.assertEqual(self.rota.on_call(dt.date(2024, 1, 24)), "Ada")

    def test_day_before_the_rota_raises(self) -> None:
        with self.assertRaises(ValueError):
            self.rota.on_call(dt.date(2024, 1, 2))
        with self.assertRaises(ValueError):
            self.rota.swap(FIRST, dt.date(2024, 1, 2))

    def test_swap_changes_only_the_two_weeks(self) -> None:
        self.rota.swap(dt.date(2024, 1, 5), dt.date(2024, 1, 12))
        days = [FIRST + dt.timedelta(weeks=week) for week in range(5)]
        self.assertEqual([self.rota.on_call(day) for day in days], ["Bo", "Ada", "Cy", "Ada", "Bo"])

    def test_second_swap_undoes_the_first(self) -> None:
        for _ in range(2):
            self.rota.swap(dt.date(2024, 1, 5), dt.date(2024, 1, 12))
        self.assertEqual(self.rota.on_call(FIRST), "Ada")
        self.assertEqual(self.rota.on_call(dt.date(2024, 1, 10)), "Bo")

    def test_swaps_can_be_chained(self) -> None:
        self.rota.swap(dt.date(2024, 1, 3), dt.date(2024, 1, 10))
        self.rota.swap(dt.date(2024, 1, 10), dt.date(2024, 1, 17))
        days = [FIRST + dt.timedelta(weeks=week) for week in range(3)]
        self.assertEqual([self.rota.on_call(day) for day in days], ["Bo", "Cy", "Ada"])

    def test_weeks_of_a_person(self) -> None:
        self.assertEqual(self.rota.weeks_of("Bo", 2), [dt.date(2024, 1, 10), dt.date(2024, 1, 31)])
        self.assertEqual(self.rota.weeks_of("Cy", 1), [dt.date(2024, 1, 17)])
        self.assertEqual(self.rota.weeks_of("Ada", 1), [FIRST])
        self.assertEqual(self.rota.weeks_of("Ada", 0), [])

    def test_weeks_of_follow_swaps(self) -> None:
        self.rota.swap(FIRST, dt.date(2024, 1, 10))
        self.assertEqual(self.rota.weeks_of("Ada", 2), [dt.date(2024, 1, 10), dt.date(2024, 1, 24)])

    def test_unknown_person_raises(self) -> None:
        with self.assertRaises(KeyError):
            self.rota.weeks_of("Zed", 1)

    def test_empty_rota_raises(self) -> None:
        with self.assertRaises(ValueError):
            OnCallRota([], FIRST)

    def test_list_of_the_caller_is_copied(self) -> None:
        people = ["Ada", "Bo"]
        rota = OnCallRota(people, FIRST)
        people[0] = "Zed"
        self.assertEqual(rota.on_call(FIRST), "Ada")

    def test_rotas_do_not_share_swaps(self) -> None:
        other = OnCallRota(["Ada", "Bo", "Cy"], FIRST)
        self.rota.swap(FIRST, dt.date(2024, 1, 10))
        self.assertEqual(other.on_call(FIRST), "Ada")
