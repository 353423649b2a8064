"""Write `quoted_reply_wrap(message, width, depth=1)` for an e-mail program. Every line of the result begins
with `depth` times "> ", and is at most `width` characters long including that prefix. Each input line is
wrapped by itself at white space, words being joined by one space; a word too long for a line gets its own line,
unbroken. A blank input line becomes the prefix without its trailing space. Return the list of lines; an empty
message gives none. A depth below 1 raises ValueError."""


def quoted_reply_wrap(message: str, width: int, depth: int = 1) -> list[str]:
    if depth < 1:
        raise ValueError("depth must be at least 1")
    prefix = "> " * depth
    lines = []
    for paragraph in message.splitlines():
        words = paragraph.split()
        if not words:
            lines.append(prefix.rstrip())
            continue
        line = prefix + words[0]
        for word in words[1:]:
            if len(line) + 1 + len(word) <= width:
                line += " " + word
            else:
                lines.append(line)
                line = prefix + word
        lines.append(line)
    return lines


# --- tests ---

import unittest


class TestQuotedReplyWrap(unittest.TestCase):
    def test_short_line_is_quoted(self) -> None:
        self.assertEqual(quoted_reply_wrap("See you at noon", 40), ["> See you at noon"])

    def test_line_is_filled_to_the_width(self) -> None:
        self.assertEqual(quoted_reply_wrap("aa bb cc dd", 10), ["> aa bb cc", "> dd"])
        self.assertEqual(quoted_reply_wrap("aa bb cc dd", 9), ["> aa bb", "> cc dd"])

    def test_depth_costs_width(self) -> None:
        self.assertEqual(quoted_reply_wrap("aa bb cc", 9, depth=2), ["> > aa bb", "> > cc"])

    def test_input_lines_are_wrapped_one_by_one(self) -> None:
        self.assertEqual(quoted_reply_wrap("aa\nbb cc", 20), ["> aa", "> bb cc"])

    def test_white_space_is_squeezed(self) -> None:
        self.assertEqual(quoted_reply_wrap("  aa \t bb ", 20), ["> aa bb"])

    def test_long_word_has_its_own_line(self) -> None:
        self.assertEqual(quoted_reply_wrap("a incredibly b", 8), ["> a", "> incredibly", "> b"])
        self.assertEqual(quoted_reply_wrap("incredibly b", 8), ["> incredibly", "> b"])

    def test_blank_lines_keep_a_bare_prefix(self) -> None:
        self.assertEqual(quoted_reply_wrap("a\n\n  \nb", 8, 2), ["> > a", "> >", "> >", "> > b"])

    def test_empty_message(self) -> None:
        self.assertEqual(quoted_reply_wrap("", 8), [])

    def test_bad_depth_raises(self) -> None:
        with self.assertRaises(ValueError):
            quoted_reply_wrap("a", 8, 0)
