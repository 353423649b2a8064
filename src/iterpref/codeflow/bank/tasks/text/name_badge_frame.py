"""Write `name_badge(rows, min_width=10)`. Return the lines of a frame drawn with "+", "-" and "|" around the
rows of text: each row is stripped and centred, with at least one space on both sides. The space between the two
bars is `min_width` characters, or more if the longest row needs it. If the spaces cannot be split evenly, the
right side gets the extra one. No rows give a badge with one empty row."""


def name_badge(rows: list[str], min_width: int = 10) -> list[str]:
    texts = [row.strip() for row in rows] or [""]
    inner = max(min_width, max(len(text) for text in texts) + 2)
    edge = "+" + "-" * inner + "+"
    lines = [edge]
    for text in texts:
        left = (inner - len(text)) // 2
        right = inner - len(text) - left
        lines.append("|" + " " * left + text + " " * right + "|")
    lines.append(edge)
    return lines


# --- tests ---

import unittest


class TestNameBadgeFrame(unittest.TestCase):
    def test_minimum_width(self) -> None:
        self.assertEqual(name_badge(["Anna"]), ["+----------+", "|   Anna   |", "+----------+"])

    def test_extra_space_goes_right(self) -> None:
        self.assertEqual(name_badge(["Ida"])[1], "|   Ida    |")
        self.assertEqual(name_badge(["Anna"], 7)[1], "| Anna  |")

    def test_longest_row_widens_the_badge(self) -> None:
        self.assertEqual(
            name_badge(["Bo", "Harbour Office"], 4),
            ["+----------------+", "|       Bo       |", "| Harbour Office |", "+----------------+"],
        )

    def test_row_that_just_fits(self) -> None:
        self.assertEqual(name_badge(["12345678"])[1], "| 12345678 |")
        self.assertEqual(name_badge(["123456789"])[1], "| 123456789 |")

    def test_rows_are_stripped(self) -> None:
        self.assertEqual(name_badge(["  Anna "], 8), ["+--------+", "|  Anna  |", "+--------+"])

    def test_empty_row_inside(self) -> None:
        self.assertEqual(name_badge(["A", "", "B"], 3), ["+---+", "| A |", "|   |", "| B |", "+---+"])

    def test_no_rows(self) -> None:
        self.assertEqual(name_badge([], 3), ["+---+", "|   |", "+---+"])
        self.assertEqual(name_badge([], 0), ["+--+", "|  |", "+--+"])

    def test_rows_are_not_changed(self) -> None:
        rows = [" A "]
        name_badge(rows)
        self.assertEqual(rows, [" A "])
