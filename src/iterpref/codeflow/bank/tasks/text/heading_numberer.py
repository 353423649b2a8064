"""Write `number_headings(lines)` for a handbook. A heading is a line of one to three "#" characters, one space
and a title. Return a new list in which every heading's title is preceded by its number and a space: "# Tools"
becomes "# 1 Tools", "## Saws" below it "## 1.1 Saws". A heading restarts the counting of all deeper levels. If
levels are skipped, the missing ones count as 0. All other lines are copied, and nothing between two lines "```"
is treated as a heading."""

import re

HEADING = re.compile(r"(#{1,3}) (\S.*)")


def number_headings(lines: list[str]) -> list[str]:
    counts = [0, 0, 0]
    in_code = False
    numbered = []
    for line in lines:
        if line == "```":
            in_code = not in_code
        match = HEADING.fullmatch(line)
        if match is None or in_code:
            numbered.append(line)
            continue
        marks, title = match.groups()
        level = len(marks)
        counts[level - 1] += 1
        counts[level:] = [0] * (3 - level)
        number = ".".join(str(count) for count in counts[:level])
        numbered.append(f"{marks} {number} {title}")
    return numbered


# --- tests ---

import unittest


class TestHeadingNumberer(unittest.TestCase):
    def test_top_level(self) -> None:
        self.assertEqual(number_headings(["# Tools", "text", "# Wood"]), ["# 1 Tools", "text", "# 2 Wood"])

    def test_levels_restart(self) -> None:
        lines = ["# A", "## B", "### C", "### D", "## E", "### F", "# G", "## H"]
        expected = ["# 1 A", "## 1.1 B", "### 1.1.1 C", "### 1.1.2 D", "## 1.2 E", "### 1.2.1 F", "# 2 G", "## 2.1 H"]
        self.assertEqual(number_headings(lines), expected)

    def test_skipped_levels_count_as_zero(self) -> None:
        self.assertEqual(number_headings(["## A", "# B", "### C"]), ["## 0.1 A", "# 1 B", "### 1.0.1 C"])

    def test_top_heading_restarts_the_third_level(self) -> None:
        self.assertEqual(number_headings(["# A", "### B", "# C", "### D"])[3], "### 2.0.1 D")

    def test_lines_that_are_no_headings(self) -> None:
        lines = ["#Tools", "#### Deep", "#  Two spaces", "# ", " # Indented", ""]
        self.assertEqual(number_headings(lines), lines)

    def test_code_is_left_alone_and_not_counted(self) -> None:
        lines = ["# A", "```", "# comment", "```", "# B"]
        self.assertEqual(number_headings(lines), ["# 1 A", "```", "# comment", "```", "# 2 B"])

    def test_input_is_not_changed(self) -> None:
        lines = ["# A"]
        number_headings(lines)
        self.assertEqual(lines, ["# A"])

    def test_empty(self) -> None:
        self.assertEqual(number_headings([]), [])
