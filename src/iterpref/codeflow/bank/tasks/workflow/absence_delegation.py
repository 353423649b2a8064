"""Write `acting_person(person, absences, day)` for an office. `absences` is a list of dicts with "who", "first",
"last" (day numbers, both inclusive) and "deputy" (a name or None). Return who acts for `person` on `day`: the person
when present, else whoever acts for the deputy. The first absence in the list that covers the day counts for each
person. An absence without a deputy, or deputies that lead back to somebody already asked, give None."""

from typing import Any


def _absence_on(person: str, absences: list[dict[str, Any]], day: int) -> dict[str, Any] | None:
    for absence in absences:
        if absence["who"] == person and absence["first"] <= day <= absence["last"]:
            return absence
    return None


def acting_person(person: str, absences: list[dict[str, Any]], day: int) -> str | None:
    asked: set[str] = set()
    current: str | None = person
    while current is not None and current not in asked:
        asked.add(current)
        absence = _absence_on(current, absences, day)
        if absence is None:
            return current
        current = absence["deputy"]
    return None


# --- tests ---

import unittest
from typing import Any


def away(who: str, first: int, last: int, deputy: str | None) -> dict[str, Any]:
    return {"who": who, "first": first, "last": last, "deputy": deputy}


class TestAbsenceDelegation(unittest.TestCase):
    def test_present_person_acts(self) -> None:
        self.assertEqual(acting_person("Ann", [], 3), "Ann")
        self.assertEqual(acting_person("Ann", [away("Bob", 1, 9, "Ann")], 3), "Ann")

    def test_first_and_last_day_are_absent_days(self) -> None:
        absences = [away("Ann", 5, 7, "Bob")]
        acting = [acting_person("Ann", absences, day) for day in (4, 5, 7, 8)]
        self.assertEqual(acting, ["Ann", "Bob", "Bob", "Ann"])

    def test_deputies_are_followed(self) -> None:
        absences = [away("Ann", 1, 9, "Bob"), away("Cleo", 1, 9, "Dan"), away("Bob", 2, 4, "Cleo")]
        self.assertEqual(acting_person("Ann", absences, 3), "Dan")
        self.assertEqual(acting_person("Ann", absences, 5), "Bob")

    def test_no_deputy_gives_none(self) -> None:
        self.assertIsNone(acting_person("Ann", [away("Ann", 1, 9, None)], 1))

    def test_circle_gives_none(self) -> None:
        absences = [away("Ann", 1, 9, "Bob"), away("Bob", 1, 9, "Ann")]
        self.assertIsNone(acting_person("Ann", absences, 2))

    def test_own_deputy_gives_none(self) -> None:
        self.assertIsNone(acting_person("Ann", [away("Ann", 1, 9, "Ann")], 2))

    def test_first_covering_absence_counts(self) -> None:
        absences = [away("Ann", 1, 2, "Cleo"), away("Ann", 3, 9, "Bob"), away("Ann", 4, 6, "Dan")]
        self.assertEqual(acting_person("Ann", absences, 5), "Bob")
