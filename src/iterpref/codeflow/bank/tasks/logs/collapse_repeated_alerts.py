"""Write `collapse_repeats(messages, least=2)` for a wind farm's alert list. A run of equal neighbouring messages
becomes one line "message (xN)", N being its length, when it has at least `least` messages; shorter runs stay as
they are, message by message. Messages are compared without spaces and line breaks at their ends, and output lines
are stripped of them. The order is kept, equal messages that are not neighbours are not joined, and the input list
stays unchanged. `least` below 2 raises ValueError."""

from itertools import groupby


def collapse_repeats(messages: list[str], least: int = 2) -> list[str]:
    if least < 2:
        raise ValueError(f"least must be 2 or more, got {least}")
    collapsed: list[str] = []
    for message, run in groupby(text.strip() for text in messages):
        count = len(list(run))
        if count >= least:
            collapsed.append(f"{message} (x{count})")
        else:
            collapsed.extend([message] * count)
    return collapsed


# --- tests ---

import unittest


class TestCollapseRepeats(unittest.TestCase):
    def test_a_run_becomes_one_line(self) -> None:
        self.assertEqual(collapse_repeats(["gust", "gust", "gust", "calm"]), ["gust (x3)", "calm"])

    def test_two_are_enough_by_default(self) -> None:
        self.assertEqual(collapse_repeats(["ice", "ice"]), ["ice (x2)"])

    def test_shorter_runs_stay(self) -> None:
        self.assertEqual(collapse_repeats(["ice", "ice", "gust", "gust", "gust"], 3), ["ice", "ice", "gust (x3)"])

    def test_distant_repeats_are_not_joined(self) -> None:
        self.assertEqual(collapse_repeats(["a", "b", "a", "a"]), ["a", "b", "a (x2)"])

    def test_spaces_at_the_ends_do_not_matter(self) -> None:
        self.assertEqual(collapse_repeats([" blade ", "blade", "yaw\n"]), ["blade (x2)", "yaw"])

    def test_empty_input(self) -> None:
        self.assertEqual(collapse_repeats([]), [])

    def test_the_last_run_is_not_lost_and_the_input_is_kept(self) -> None:
        messages = ["a", "b ", "b"]
        self.assertEqual(collapse_repeats(messages), ["a", "b (x2)"])
        self.assertEqual(messages, ["a", "b ", "b"])

    def test_least_below_two_is_an_error(self) -> None:
        for least in (1, 0, -1):
            with self.assertRaises(ValueError):
                collapse_repeats(["a"], least)
