"""Write `strip_comments(source)` for a lighting-script language. A comment runs from "#" to the end of its line and
goes; the newline stays. From "[-" to "-]" everything is removed, newlines too; these blocks nest, and marks never
share a character. Inside single-quoted strings nothing is a comment; a string ends at the next single quote. Inside
comments, quotes and other comment signs mean nothing. The rest is returned unchanged; a "-]" outside a block is plain
text. Raise ValueError if a block or string is still open at the end."""


def strip_comments(source: str) -> str:
    kept: list[str] = []
    in_line = in_string = False
    depth = 0
    i = 0
    while i < len(source):
        char, pair = source[i], source[i : i + 2]
        i += 1
        if in_line:
            if char == "\n":
                in_line = False
                kept.append(char)
        elif in_string:
            in_string = char != "'"
            kept.append(char)
        elif pair == "[-":
            depth += 1
            i += 1
        elif depth > 0:
            if pair == "-]":
                depth -= 1
                i += 1
        elif char == "#":
            in_line = True
        else:
            in_string = char == "'"
            kept.append(char)
    if depth > 0 or in_string:
        raise ValueError("a block or a string is still open")
    return "".join(kept)


# --- tests ---

import unittest


class TestStripComments(unittest.TestCase):
    def test_plain_text_stays(self) -> None:
        self.assertEqual(strip_comments("fade 3\nhold 2\n"), "fade 3\nhold 2\n")
        self.assertEqual(strip_comments(""), "")

    def test_line_comments_leave_the_newline(self) -> None:
        self.assertEqual(strip_comments("fade 3 # slow\nhold 2"), "fade 3 \nhold 2")
        self.assertEqual(strip_comments("hold # last"), "hold ")

    def test_blocks_are_removed_with_their_newlines(self) -> None:
        self.assertEqual(strip_comments("a[- one\ntwo -]b"), "ab")
        self.assertEqual(strip_comments("[--]x"), "x")

    def test_blocks_nest(self) -> None:
        self.assertEqual(strip_comments("a[-b[-c-]d-]e"), "ae")
        self.assertEqual(strip_comments("[-[-[--]-]-]"), "")

    def test_hash_means_nothing_in_a_block(self) -> None:
        self.assertEqual(strip_comments("a[- # -]b\nc"), "ab\nc")

    def test_strings_hold_no_comments(self) -> None:
        self.assertEqual(strip_comments("say '# [- no -]' # yes"), "say '# [- no -]' ")
        self.assertEqual(strip_comments("say '[-' 'x'"), "say '[-' 'x'")

    def test_quotes_in_comments_mean_nothing(self) -> None:
        self.assertEqual(strip_comments("a # don't\nb # it's\n"), "a \nb \n")
        self.assertEqual(strip_comments("a[- don't -]b"), "ab")

    def test_block_marks_in_line_comments_mean_nothing(self) -> None:
        self.assertEqual(strip_comments("a # [- here\nb"), "a \nb")

    def test_stray_block_ends_are_plain(self) -> None:
        self.assertEqual(strip_comments("a -] b"), "a -] b")
        self.assertEqual(strip_comments("[-x-]-]y"), "-]y")

    def test_marks_do_not_share_characters(self) -> None:
        with self.assertRaises(ValueError):
            strip_comments("a[-]b")

    def test_open_blocks_and_strings_raise(self) -> None:
        for source in ("a [- b", "[-[--]", "say 'hi", "'a''", "[-'-]'"):
            with self.assertRaises(ValueError):
                strip_comments(source)

    def test_single_brackets_and_dashes_stay(self) -> None:
        self.assertEqual(strip_comments("a[1] - b ["), "a[1] - b [")
