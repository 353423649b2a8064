"""Write `join_entries(lines)` for a payroll service whose log entries may span lines. An entry starts with a line
"[LEVEL] text", LEVEL being one or more capital letters; all lines up to the next such line belong to it. Return a
list of `Entry(level, line_number, text)`, where `line_number` is that of the starting line counted from 1, and
`text` is the starting line's text followed by the other lines, joined with newlines, without blank lines at the
end. Lines before the first entry are ignored."""

import re
from dataclasses import dataclass

START = re.compile(r"\[([A-Z]+)\] (.*)")


@dataclass(frozen=True)
class Entry:
    level: str
    line_number: int
    text: str


def join_entries(lines: list[str]) -> list[Entry]:
    starts = [number for number, line in enumerate(lines) if START.fullmatch(line)]
    entries: list[Entry] = []
    for start, stop in zip(starts, [*starts, len(lines)][1:], strict=True):
        match = START.fullmatch(lines[start])
        assert match is not None
        body = [match.group(2), *lines[start + 1 : stop]]
        while len(body) > 1 and not body[-1].strip():
            body.pop()
        entries.append(Entry(match.group(1), start + 1, "\n".join(body)))
    return entries


# --- tests ---

import unittest


class TestJoinEntries(unittest.TestCase):
    def test_single_lines(self) -> None:
        lines = ["[INFO] paid 3", "[ERROR] no bank"]
        self.assertEqual(join_entries(lines), [Entry("INFO", 1, "paid 3"), Entry("ERROR", 2, "no bank")])

    def test_following_lines_belong_to_the_entry(self) -> None:
        lines = ["[ERROR] failed", "  at run", "  at pay", "[INFO] next"]
        expected = [Entry("ERROR", 1, "failed\n  at run\n  at pay"), Entry("INFO", 4, "next")]
        self.assertEqual(join_entries(lines), expected)

    def test_lines_before_the_first_entry_are_ignored(self) -> None:
        self.assertEqual(join_entries(["banner", "", "[INFO] up", "more"]), [Entry("INFO", 3, "up\nmore")])

    def test_blank_lines_at_the_end_go_and_those_inside_stay(self) -> None:
        lines = ["[WARN] a", "", "b", "", "  ", "[INFO] c", ""]
        self.assertEqual(join_entries(lines), [Entry("WARN", 1, "a\n\nb"), Entry("INFO", 6, "c")])

    def test_other_brackets_start_nothing(self) -> None:
        lines = ["[INFO] a", "[info] b", "[] c", " [INFO] d", "[INFO]e"]
        self.assertEqual(join_entries(lines), [Entry("INFO", 1, "a\n[info] b\n[] c\n [INFO] d\n[INFO]e")])

    def test_no_lines_and_no_entries(self) -> None:
        self.assertEqual(join_entries([]), [])
        self.assertEqual(join_entries(["just", "text"]), [])

    def test_an_entry_may_have_an_empty_text(self) -> None:
        self.assertEqual(join_entries(["[INFO] ", "", ""]), [Entry("INFO", 1, "")])
        self.assertEqual(join_entries(["[INFO] ", "x"]), [Entry("INFO", 1, "\nx")])
