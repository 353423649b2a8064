"""Write `level_counts(lines)` for the bakery's oven log. A good line is "HH:MM:SS LEVEL message", for example
"06:14:09 WARNING door open", the level being DEBUG, INFO, WARNING or ERROR in capitals; the message may hold spaces
but not be missing. Return a dictionary from level to number of good lines, holding only levels that occur, in the
order DEBUG, INFO, WARNING, ERROR; if any non-blank line is not good, add the key "malformed" with their number at
the end. Blank lines are ignored. No lines give an empty dictionary."""

import re

LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR) \S.*")


def level_counts(lines: list[str]) -> dict[str, int]:
    counts = {"DEBUG": 0, "INFO": 0, "WARNING": 0, "ERROR": 0, "malformed": 0}
    for line in lines:
        text = line.strip()
        if not text:
            continue
        match = LINE.fullmatch(text)
        counts[match.group(1) if match else "malformed"] += 1
    return {level: count for level, count in counts.items() if count > 0}


# --- tests ---

import unittest


class TestLevelCounts(unittest.TestCase):
    def test_counts_each_level(self) -> None:
        lines = ["06:14:09 INFO start", "06:15:00 ERROR burner out", "06:15:01 ERROR gas low", "06:16:00 INFO stop"]
        self.assertEqual(level_counts(lines), {"INFO": 2, "ERROR": 2})

    def test_the_order_of_keys_is_fixed(self) -> None:
        lines = ["nonsense", "06:14:09 ERROR a", "06:14:09 WARNING b", "06:14:09 INFO c", "06:14:09 DEBUG d"]
        self.assertEqual(list(level_counts(lines)), ["DEBUG", "INFO", "WARNING", "ERROR", "malformed"])

    def test_blank_lines_are_ignored(self) -> None:
        self.assertEqual(level_counts(["", "   ", "06:14:09 DEBUG x\n", "\n"]), {"DEBUG": 1})

    def test_no_lines_give_an_empty_dictionary(self) -> None:
        self.assertEqual(level_counts([]), {})
        self.assertEqual(level_counts(["", " "]), {})

    def test_a_lower_case_or_unknown_level_is_malformed(self) -> None:
        self.assertEqual(level_counts(["06:14:09 info x", "06:14:09 FATAL x"]), {"malformed": 2})

    def test_a_missing_message_or_time_is_malformed(self) -> None:
        self.assertEqual(
            level_counts(["06:14:09 INFO", "INFO hot", "6:14:09 INFO hot", "06:14 INFO hot"]), {"malformed": 4}
        )

    def test_a_level_inside_the_message_does_not_count(self) -> None:
        self.assertEqual(level_counts(["06:14:09 WARNING last ERROR repeated"]), {"WARNING": 1})

    def test_malformed_lines_do_not_stop_the_count(self) -> None:
        self.assertEqual(level_counts(["??", "06:14:09 INFO ok", "06:14:10 INFO ok"]), {"INFO": 2, "malformed": 1})
