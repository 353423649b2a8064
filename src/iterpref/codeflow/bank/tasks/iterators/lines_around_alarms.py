"""Write a generator `lines_around_alarms(lines, word, before, after)` over an iterable of log lines. Yield every line
that contains `word`, together with up to `before` lines ahead of it and `after` lines behind it, each line once and
in order. Between two yielded lines that were not neighbours in the input, yield the separator "..." (none at the
start or the end). An empty `word` or a negative count raises ValueError when iteration starts. Yield lines as soon as
they are due, without reading on."""

from collections import deque
from collections.abc import Iterable, Iterator


def lines_around_alarms(lines: Iterable[str], word: str, before: int, after: int) -> Iterator[str]:
    if not word or before < 0 or after < 0:
        raise ValueError("word must not be empty and counts must not be negative")
    held: deque[str] = deque(maxlen=before)
    dropped = False
    started = False
    remaining = 0
    for line in lines:
        if word in line:
            if started and dropped:
                yield "..."
            yield from held
            held.clear()
            yield line
            started, dropped = True, False
            remaining = after
        elif remaining > 0:
            yield line
            remaining -= 1
        else:
            if len(held) == before:
                dropped = True
            held.append(line)


# --- tests ---

import unittest


class TestLinesAroundAlarms(unittest.TestCase):
    def test_only_the_alarms(self) -> None:
        lines = ["a", "ALARM 1", "ALARM 2", "b"]
        self.assertEqual(list(lines_around_alarms(lines, "ALARM", 0, 0)), ["ALARM 1", "ALARM 2"])

    def test_lines_before(self) -> None:
        self.assertEqual(list(lines_around_alarms("abcXd", "X", 2, 0)), ["b", "c", "X"])

    def test_lines_after(self) -> None:
        self.assertEqual(list(lines_around_alarms("aXbcd", "X", 0, 2)), ["X", "b", "c"])

    def test_fewer_lines_than_asked_for(self) -> None:
        self.assertEqual(list(lines_around_alarms("aXb", "X", 3, 3)), ["a", "X", "b"])

    def test_separator_between_distant_groups(self) -> None:
        self.assertEqual(
            list(lines_around_alarms("XabcdX", "X", 1, 1)),
            ["X", "a", "...", "d", "X"],
        )

    def test_no_separator_between_touching_groups(self) -> None:
        self.assertEqual(list(lines_around_alarms("XabX", "X", 1, 1)), ["X", "a", "b", "X"])
        self.assertEqual(list(lines_around_alarms("XabcX", "X", 1, 1)), ["X", "a", "...", "c", "X"])

    def test_overlapping_groups_give_each_line_once(self) -> None:
        self.assertEqual(list(lines_around_alarms("aXbXc", "X", 2, 2)), ["a", "X", "b", "X", "c"])

    def test_separator_without_context(self) -> None:
        self.assertEqual(list(lines_around_alarms("aXbXXc", "X", 0, 0)), ["X", "...", "X", "X"])

    def test_an_alarm_within_the_lines_after_starts_the_count_again(self) -> None:
        self.assertEqual(list(lines_around_alarms("XaXbcd", "X", 0, 2)), ["X", "a", "X", "b", "c"])

    def test_no_alarm_no_lines(self) -> None:
        self.assertEqual(list(lines_around_alarms("abc", "X", 1, 1)), [])
        self.assertEqual(list(lines_around_alarms([], "X", 1, 1)), [])

    def test_bad_arguments_are_refused(self) -> None:
        for word, before, after in (("", 1, 1), ("X", -1, 0), ("X", 0, -1)):
            with self.assertRaises(ValueError):
                next(lines_around_alarms("aX", word, before, after))

    def test_lines_are_yielded_as_soon_as_they_are_due(self) -> None:
        source = iter("aXbX")
        found = lines_around_alarms(source, "X", 1, 0)
        self.assertEqual([next(found), next(found)], ["a", "X"])
        self.assertEqual(next(source), "b")
