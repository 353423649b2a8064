"""Write `thread_lines(comments)`. Each comment is a dict with "id" (int), "parent" (an id or None), "author",
"votes". Return display lines: top comments sorted by votes, highest first, equal votes by smaller id; below
each, its replies in the same order, and so on. A line is "author (votes)" after two spaces per level. Instead
of its replies, a comment with negative votes shows one line "[n hidden]", one level deeper, n counting all
replies under it; without replies there is none. An unknown parent raises KeyError."""

from typing import Any

Comment = dict[str, Any]


def thread_lines(comments: list[Comment]) -> list[str]:
    replies: dict[int | None, list[Comment]] = {None: [], **{comment["id"]: [] for comment in comments}}
    for comment in sorted(comments, key=lambda comment: (-comment["votes"], comment["id"])):
        replies[comment["parent"]].append(comment)

    def count(parent: int) -> int:
        return sum(1 + count(reply["id"]) for reply in replies[parent])

    def show(parent: int | None, level: int) -> list[str]:
        lines = []
        for comment in replies[parent]:
            lines.append("  " * level + f"{comment['author']} ({comment['votes']})")
            hidden = count(comment["id"])
            if comment["votes"] >= 0:
                lines.extend(show(comment["id"], level + 1))
            elif hidden:
                lines.append("  " * (level + 1) + f"[{hidden} hidden]")
        return lines

    return show(None, 0)


# --- tests ---

import unittest


def note(number: int, parent: int | None, author: str, votes: int) -> dict:
    return {"id": number, "parent": parent, "author": author, "votes": votes}


class TestCommentThreadLines(unittest.TestCase):
    def test_top_comments_by_votes(self) -> None:
        notes = [note(1, None, "Al", 2), note(2, None, "Bo", 5), note(3, None, "Cy", -1)]
        self.assertEqual(thread_lines(notes), ["Bo (5)", "Al (2)", "Cy (-1)"])

    def test_equal_votes_by_smaller_id(self) -> None:
        self.assertEqual(thread_lines([note(9, None, "Al", 2), note(4, None, "Bo", 2)]), ["Bo (2)", "Al (2)"])

    def test_replies_are_indented_below_their_parent(self) -> None:
        notes = [
            note(1, None, "Al", 2),
            note(2, None, "Bo", 1),
            note(3, 1, "Cy", 0),
            note(4, 3, "Di", 7),
            note(5, 1, "Ed", 3),
        ]
        self.assertEqual(thread_lines(notes), ["Al (2)", "  Ed (3)", "  Cy (0)", "    Di (7)", "Bo (1)"])

    def test_parent_may_come_later(self) -> None:
        self.assertEqual(thread_lines([note(2, 1, "Bo", 9), note(1, None, "Al", 0)]), ["Al (0)", "  Bo (9)"])

    def test_negative_votes_hide_all_replies(self) -> None:
        notes = [note(1, None, "Al", -1), note(2, 1, "Bo", 5), note(3, 2, "Cy", 5), note(4, 1, "Di", -2)]
        self.assertEqual(thread_lines(notes), ["Al (-1)", "  [3 hidden]"])

    def test_hidden_line_is_one_level_deeper(self) -> None:
        notes = [note(1, None, "Al", 0), note(2, 1, "Bo", -3), note(3, 2, "Cy", 4)]
        self.assertEqual(thread_lines(notes), ["Al (0)", "  Bo (-3)", "    [1 hidden]"])

    def test_id_zero_is_an_ordinary_id(self) -> None:
        self.assertEqual(thread_lines([note(0, None, "Al", 1), note(1, 0, "Bo", 1)]), ["Al (1)", "  Bo (1)"])

    def test_unknown_parent_raises(self) -> None:
        with self.assertRaises(KeyError):
            thread_lines([note(1, 8, "Al", 1)])

    def test_no_comments_and_input_unchanged(self) -> None:
        self.assertEqual(thread_lines([]), [])
        notes = [note(1, None, "Al", 1), note(2, None, "Bo", 2)]
        thread_lines(notes)
        self.assertEqual([entry["id"] for entry in notes], [1, 2])
