"""Write `parse_tags(text)` that reads recipe tags such as `diet=vegan; note="mild; hot"` into a dictionary. Tags have
the form name=value, separated by ";". A value may be in double quotes: inside, ";" and "=" are plain and a backslash
makes the next character plain. Spaces are dropped around names, unquoted values and quotes, but kept inside quotes.
Empty pieces are skipped; a repeated name keeps its last value. Raise ValueError for an open quote, a piece without
"=", an empty name, or a double quote anywhere but around a whole value."""


def parse_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    name: str | None = None
    buffer = ""
    state = "plain"
    for char in text + ";":
        if state == "escaped":
            buffer += char
            state = "quoted"
        elif state == "quoted":
            if char == "\\":
                state = "escaped"
            elif char == '"':
                state = "closed"
            else:
                buffer += char
        elif char == ";":
            value = buffer if state == "closed" else buffer.strip(" ")
            if name is not None:
                tags[name] = value
            elif value:
                raise ValueError(f"{value!r} has no '='")
            name, buffer, state = None, "", "plain"
        elif state == "closed":
            if char != " ":
                raise ValueError(f"{char!r} after a quoted value")
        elif char == "=" and name is None:
            name, buffer = buffer.strip(" "), ""
            if not name:
                raise ValueError("a tag without a name")
        elif char == '"':
            if name is None or buffer.strip(" "):
                raise ValueError("a quote must begin a value")
            buffer, state = "", "quoted"
        else:
            buffer += char
    if state != "plain":
        raise ValueError("a quote is still open")
    return tags


# --- tests ---

import unittest


class TestParseTags(unittest.TestCase):
    def test_plain_tags(self) -> None:
        self.assertEqual(parse_tags("diet=vegan;time=20"), {"diet": "vegan", "time": "20"})

    def test_spaces_are_dropped_around_names_and_values(self) -> None:
        self.assertEqual(parse_tags("  diet =  very vegan ; a b= c "), {"diet": "very vegan", "a b": "c"})

    def test_quoted_values_keep_everything(self) -> None:
        self.assertEqual(parse_tags('note="mild; not=hot"; x=1'), {"note": "mild; not=hot", "x": "1"})
        self.assertEqual(parse_tags('note =  "  two  "  ;'), {"note": "  two  "})

    def test_backslash_makes_the_next_character_plain(self) -> None:
        self.assertEqual(parse_tags(r'note="a \"big\" pot \\ lid"'), {"note": r'a "big" pot \ lid'})
        self.assertEqual(parse_tags(r'note="\n"'), {"note": "n"})

    def test_backslash_outside_quotes_is_plain(self) -> None:
        self.assertEqual(parse_tags("path=a\\b"), {"path": "a\\b"})

    def test_equal_signs_in_plain_values(self) -> None:
        self.assertEqual(parse_tags("sum=a=b"), {"sum": "a=b"})

    def test_empty_pieces_and_values(self) -> None:
        self.assertEqual(parse_tags(""), {})
        self.assertEqual(parse_tags(" ;; a=1; ;"), {"a": "1"})
        self.assertEqual(parse_tags('a=;b="";c= '), {"a": "", "b": "", "c": ""})

    def test_the_last_value_of_a_name_stays(self) -> None:
        self.assertEqual(parse_tags("a=1;b=2;a=3"), {"a": "3", "b": "2"})

    def test_open_quotes_raise(self) -> None:
        for text in ('a="x', 'a="x;', 'a="', 'a="x\\', 'a="x\\"', 'a="x\\;'):
            with self.assertRaises(ValueError):
                parse_tags(text)

    def test_pieces_without_equal_sign_or_name_raise(self) -> None:
        for text in ("vegan", "a=1; vegan; b=2", "=x", "  =x", '"a"=1'):
            with self.assertRaises(ValueError):
                parse_tags(text)

    def test_text_beside_quotes_raises(self) -> None:
        for text in ('a=x"y"', 'a="y"x', 'a="y" "z"', 'a="y"=', 'a=x "y"'):
            with self.assertRaises(ValueError):
                parse_tags(text)
