"""Write tokenize_stage_cue(line), which splits a lighting cue into (kind, text) pairs. Kinds: "number" (digits, with
an optional point and further digits), "word" (a letter or underscore, then letters, digits or underscores), "text"
(between double quotes, returned without them, possibly empty) and "mark" (one of , ; = @). Each token takes as many
characters as it can; blanks separate. A "#" outside quotes starts a comment that runs to the end. Any other
character, or an unclosed quote, raises ValueError."""


def tokenize_stage_cue(line: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(line) and line[at] != "#":
        char = line[at]
        end = at + 1
        if char == '"':
            end = line.find('"', at + 1)
            if end < 0:
                raise ValueError(f"quote opened at {at} is never closed")
            tokens.append(("text", line[at + 1 : end]))
            end += 1
        elif char.isdigit():
            while end < len(line) and line[end].isdigit():
                end += 1
            if line[end : end + 1] == "." and line[end + 1 : end + 2].isdigit():
                end += 2
                while end < len(line) and line[end].isdigit():
                    end += 1
            tokens.append(("number", line[at:end]))
        elif char.isalpha() or char == "_":
            while end < len(line) and (line[end].isalnum() or line[end] == "_"):
                end += 1
            tokens.append(("word", line[at:end]))
        elif char in ",;=@":
            tokens.append(("mark", char))
        elif not char.isspace():
            raise ValueError(f"unexpected {char!r} at {at}")
        at = end
    return tokens


# --- tests ---

import unittest


class TestTokenizeStageCue(unittest.TestCase):
    def test_a_full_cue(self) -> None:
        self.assertEqual(
            tokenize_stage_cue('LX_12 @ 3.5; fade="blue wash", 40'),
            [
                ("word", "LX_12"),
                ("mark", "@"),
                ("number", "3.5"),
                ("mark", ";"),
                ("word", "fade"),
                ("mark", "="),
                ("text", "blue wash"),
                ("mark", ","),
                ("number", "40"),
            ],
        )

    def test_an_empty_line_has_no_tokens(self) -> None:
        self.assertEqual(tokenize_stage_cue(""), [])
        self.assertEqual(tokenize_stage_cue(" \t "), [])

    def test_a_comment_runs_to_the_end(self) -> None:
        self.assertEqual(tokenize_stage_cue('go # then "wait'), [("word", "go")])
        self.assertEqual(tokenize_stage_cue("# all of it"), [])

    def test_a_hash_in_quotes_is_text(self) -> None:
        self.assertEqual(tokenize_stage_cue('"cue #4"7'), [("text", "cue #4"), ("number", "7")])

    def test_an_empty_text(self) -> None:
        self.assertEqual(tokenize_stage_cue('""'), [("text", "")])

    def test_tokens_are_greedy_and_need_no_blanks(self) -> None:
        self.assertEqual(tokenize_stage_cue("1.25ab3"), [("number", "1.25"), ("word", "ab3")])
        self.assertEqual(tokenize_stage_cue("_x=0.25"), [("word", "_x"), ("mark", "="), ("number", "0.25")])

    def test_one_character_tokens(self) -> None:
        self.assertEqual(tokenize_stage_cue("a 1"), [("word", "a"), ("number", "1")])

    def test_a_point_needs_digits_on_both_sides(self) -> None:
        for line in ("12.", "12.x", ".5", "1.2.3."):
            with self.subTest(line=line), self.assertRaises(ValueError):
                tokenize_stage_cue(line)

    def test_an_unclosed_quote_is_refused(self) -> None:
        for line in ('say "hello', '"', '"a" "'):
            with self.subTest(line=line), self.assertRaises(ValueError):
                tokenize_stage_cue(line)

    def test_other_characters_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            tokenize_stage_cue("go + 3")
