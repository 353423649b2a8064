"""Write denied_badges_by_door(lines) for door log lines such as "08:15 door=North badge=17 result=denied". The first
word is the time; then come key=value fields in any order, split at their first "="; ignore words without one. Count
the lines whose result is exactly "denied" per door; a line without a door field counts for "unknown". Skip blank
lines and lines whose first non-blank character is "#". Return a dict ordered by falling count, equal counts by door
name. No lines give an empty dict."""

from collections import Counter
from collections.abc import Iterable


def denied_badges_by_door(lines: Iterable[str]) -> dict[str, int]:
    denied: Counter[str] = Counter()
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
        if fields.get("result") == "denied":
            denied[fields.get("door", "unknown")] += 1
    return dict(sorted(denied.items(), key=lambda item: (-item[1], item[0])))


# --- tests ---

import unittest


class TestDeniedBadgesByDoor(unittest.TestCase):
    def test_only_denied_lines_count(self) -> None:
        lines = ["08:15 door=North badge=17 result=denied", "08:16 door=North badge=17 result=ok"]
        self.assertEqual(denied_badges_by_door(lines), {"North": 1})

    def test_fields_come_in_any_order(self) -> None:
        self.assertEqual(denied_badges_by_door(["09:00 result=denied visitor badge=3 door=Lab"]), {"Lab": 1})

    def test_order_is_by_count_then_name(self) -> None:
        doors = ["Roof", "Lab", "Yard", "Lab", "Attic"]
        lines = [f"10:00 door={door} result=denied" for door in doors]
        self.assertEqual(
            list(denied_badges_by_door(lines).items()), [("Lab", 2), ("Attic", 1), ("Roof", 1), ("Yard", 1)]
        )

    def test_blank_lines_and_comments_are_skipped(self) -> None:
        lines = ["", "   ", "# 08:00 door=A result=denied", "  # x door=A result=denied", "08:01 door=B result=denied"]
        self.assertEqual(denied_badges_by_door(lines), {"B": 1})

    def test_a_missing_door_is_unknown(self) -> None:
        self.assertEqual(denied_badges_by_door(["11:00 result=denied", "11:05 badge=2 result=denied"]), {"unknown": 2})

    def test_no_lines(self) -> None:
        self.assertEqual(denied_badges_by_door([]), {})

    def test_the_result_must_match_exactly(self) -> None:
        self.assertEqual(denied_badges_by_door(["11:00 door=A result=Denied", "11:01 door=A result=denied2"]), {})

    def test_the_value_may_hold_an_equals_sign(self) -> None:
        self.assertEqual(denied_badges_by_door(["11:00 door=A=1 result=denied"]), {"A=1": 1})

    def test_the_first_word_is_the_time_even_with_an_equals_sign(self) -> None:
        self.assertEqual(denied_badges_by_door(["result=denied door=A"]), {})
