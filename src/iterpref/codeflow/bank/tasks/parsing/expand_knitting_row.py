"""Write expand_knitting_row(pattern), which lists the single stitches of a row. A pattern is items joined by commas.
An item is "k" or "p" followed by a count ("k2"), or a pattern in parentheses followed by "x" and a count
("(p1, k1) x3"); a count left out, with or without the x, means 1, and 0 gives no stitches. Groups may nest. Blanks
are ignored; a blank pattern gives []. Any other text, an empty item or unbalanced parentheses raises ValueError."""


def expand_knitting_row(pattern: str) -> list[str]:
    text = "".join(pattern.split())
    if not text:
        return []
    row, at = _read_items(text, 0)
    if at != len(text):
        raise ValueError(f"cannot read {text[at:]!r}")
    return row


def _read_items(text: str, at: int) -> tuple[list[str], int]:
    row: list[str] = []
    while True:
        stitches, at = _read_item(text, at)
        row += stitches
        if text[at : at + 1] != ",":
            return row, at
        at += 1


def _read_item(text: str, at: int) -> tuple[list[str], int]:
    start = text[at : at + 1]
    if start == "(":
        group, at = _read_items(text, at + 1)
        if text[at : at + 1] != ")":
            raise ValueError("a group is not closed")
        times, at = _read_count(text, at + 2) if text[at + 1 : at + 2] == "x" else (1, at + 1)
        return group * times, at
    if start not in ("k", "p"):
        raise ValueError(f"expected a stitch at {at}")
    times, at = _read_count(text, at + 1)
    return [start] * times, at


def _read_count(text: str, at: int) -> tuple[int, int]:
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return (int(text[at:end]) if end > at else 1), end


# --- tests ---

import unittest


class TestExpandKnittingRow(unittest.TestCase):
    def check(self, pattern: str, row: str) -> None:
        self.assertEqual(expand_knitting_row(pattern), list(row))

    def test_plain_stitches(self) -> None:
        self.check("k2, p3", "kkppp")

    def test_a_missing_count_means_one(self) -> None:
        self.check("k,p2,k", "kppk")

    def test_a_repeated_group(self) -> None:
        self.check("k2, (p1, k1) x3, p2", "kkpkpkpkpp")

    def test_a_group_without_a_repeat_or_without_a_count(self) -> None:
        self.check("(k2,p), k", "kkpk")
        self.check("(k2,p)x,k", "kkpk")

    def test_nested_groups(self) -> None:
        self.check("((k, p2) x2, k) x2", "kppkppkkppkppk")

    def test_counts_of_two_digits_and_of_zero(self) -> None:
        self.check("k12", "k" * 12)
        self.check("k0, p1, (k9)x0", "p")

    def test_a_blank_pattern(self) -> None:
        self.check("", "")
        self.check("  ", "")

    def test_blanks_do_not_matter(self) -> None:
        self.check(" k 1 0 ,( p ) x 2 ", "k" * 10 + "pp")

    def test_bad_patterns_are_refused(self) -> None:
        for pattern in (
            "q2",
            "k2,",
            ",k",
            "k,,p",
            "(k",
            "(kp",
            "k)",
            "()",
            "k2p2",
            "(k)3",
            "kx2",
            "3",
            "(k2,p1(k)",
            "K1",
        ):
            with self.subTest(pattern=pattern), self.assertRaises(ValueError):
                expand_knitting_row(pattern)
