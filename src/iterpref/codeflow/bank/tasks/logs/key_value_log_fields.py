"""Write `parse_fields(line)` for log lines such as `tank=4 note="too warm" temp=21.5 cooling`, fields separated by
spaces. Names are letters, digits and underscores. Double quoted values may hold spaces, and `\\"` for a quote; they
stay texts. Other values, which hold no quotes, become int (digits, optional minus), float (also a point between
digits), else text; `name=` gives an empty text, a word without `=` the value True. The last of repeated names wins.
Anything else raises ValueError; an empty line gives an empty dictionary."""

import re

FIELD = re.compile(r'(\w+)(?:=(?:"((?:[^"\\]|\\")*)"|([^\s"]*)))?(?: +|$)')


def parse_fields(line: str) -> dict[str, str | int | float | bool]:
    fields: dict[str, str | int | float | bool] = {}
    text = line.strip(" ")
    position = 0
    while position < len(text):
        match = FIELD.match(text, position)
        if match is None:
            raise ValueError(f"cannot read {text[position:]!r}")
        name, quoted, plain = match.groups()
        if quoted is not None:
            fields[name] = quoted.replace('\\"', '"')
        elif plain is not None:
            fields[name] = _value(plain)
        else:
            fields[name] = True
        position = match.end()
    return fields


def _value(plain: str) -> str | int | float:
    if re.fullmatch(r"-?\d+", plain):
        return int(plain)
    if re.fullmatch(r"-?\d+\.\d+", plain):
        return float(plain)
    return plain


# --- tests ---

import unittest


class TestParseFields(unittest.TestCase):
    def check(self, line: str, expected: dict[str, object]) -> None:
        found = parse_fields(line)
        self.assertEqual(found, expected)
        self.assertEqual([type(v) for v in found.values()], [type(v) for v in expected.values()])

    def test_the_line_of_the_instruction(self) -> None:
        line = 'tank=4 note="too warm" temp=21.5 cooling'
        self.check(line, {"tank": 4, "note": "too warm", "temp": 21.5, "cooling": True})

    def test_numbers(self) -> None:
        self.check(
            "a=-12 b=-0.5 c=007 d=1.5.2 e=1. f=.5 g=-",
            {"a": -12, "b": -0.5, "c": 7, "d": "1.5.2", "e": "1.", "f": ".5", "g": "-"},
        )

    def test_quoted_values_stay_texts(self) -> None:
        self.check('n="42" empty=""', {"n": "42", "empty": ""})

    def test_quotes_inside_quotes(self) -> None:
        self.check(r'say="he said \"hop\" twice" x=1', {"say": 'he said "hop" twice', "x": 1})

    def test_an_empty_plain_value_and_spaces_around(self) -> None:
        self.check("  a=   b=x  ", {"a": "", "b": "x"})

    def test_equal_signs_inside_values(self) -> None:
        self.check('url=x?a=1 q="b=2"', {"url": "x?a=1", "q": "b=2"})

    def test_the_last_of_repeated_names_wins(self) -> None:
        self.check("a=1 a a=2", {"a": 2})
        self.check("a=1 a", {"a": True})

    def test_empty_lines(self) -> None:
        self.check("", {})
        self.check("   ", {})

    def test_anything_else_raises(self) -> None:
        for line in ('a="open', '"a"=1', "=1", "a-b=1", 'a="x"y', "ok=1 ?", 'a=x"y'):
            with self.assertRaises(ValueError):
                parse_fields(line)
