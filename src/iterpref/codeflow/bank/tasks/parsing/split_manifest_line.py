r"""Write split_manifest_line(line) for a ship's cargo manifest. Fields are separated by "|". A backslash makes the
next character literal, whatever it is, so "\|" is a bar inside a field and "\\" a single backslash. Fields keep their
blanks. The empty line has one empty field, and every unescaped bar begins a new field, even at the end. A backslash
at the end of the line, with nothing after it, raises ValueError."""


def split_manifest_line(line: str) -> list[str]:
    fields = [""]
    escaped = False
    for char in line:
        if escaped:
            fields[-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "|":
            fields.append("")
        else:
            fields[-1] += char
    if escaped:
        raise ValueError("the line ends in a lone backslash")
    return fields


# --- tests ---

import unittest


class TestSplitManifestLine(unittest.TestCase):
    def test_plain_fields(self) -> None:
        self.assertEqual(split_manifest_line("A17|bananas|40"), ["A17", "bananas", "40"])

    def test_the_empty_line(self) -> None:
        self.assertEqual(split_manifest_line(""), [""])

    def test_empty_fields_at_both_ends(self) -> None:
        self.assertEqual(split_manifest_line("|x|"), ["", "x", ""])
        self.assertEqual(split_manifest_line("||"), ["", "", ""])

    def test_an_escaped_bar_does_not_split(self) -> None:
        self.assertEqual(split_manifest_line("nuts \\| bolts|9"), ["nuts | bolts", "9"])

    def test_an_escaped_backslash_then_a_bar_splits(self) -> None:
        self.assertEqual(split_manifest_line("a\\\\|b"), ["a\\", "b"])

    def test_three_backslashes_then_a_bar(self) -> None:
        self.assertEqual(split_manifest_line("a\\\\\\|b"), ["a\\|b"])

    def test_any_other_escaped_character_is_itself(self) -> None:
        self.assertEqual(split_manifest_line("\\n\\x|y"), ["nx", "y"])

    def test_blanks_are_kept(self) -> None:
        self.assertEqual(split_manifest_line(" tea | 5 "), [" tea ", " 5 "])

    def test_a_lone_backslash_at_the_end_is_refused(self) -> None:
        for line in ("\\", "tea|\\", "a\\\\\\"):
            with self.subTest(line=line), self.assertRaises(ValueError):
                split_manifest_line(line)
