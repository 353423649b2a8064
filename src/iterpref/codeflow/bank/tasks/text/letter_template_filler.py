"""Write `fill_letter(template, values)`. A placeholder is `{name}` or `{name|fallback}`, where the name is made
of letters, digits and underscores and the fallback may be empty but holds no braces. Replace it by `str()` of
the value; if the name is missing from `values` or its value is None, use the fallback. Without a fallback raise
KeyError with the name. `{{` and `}}` stand for single braces. Inserted values are not filled again; other text
is kept."""

import re
from collections.abc import Mapping

TOKEN = re.compile(r"\{\{|\}\}|\{(\w+)(?:\|([^{}]*))?\}")


def fill_letter(template: str, values: Mapping[str, object]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name, fallback = match.groups()
        if name is None:
            return match.group()[0]
        value = values.get(name)
        if value is not None:
            return str(value)
        if fallback is None:
            raise KeyError(name)
        return fallback

    return TOKEN.sub(replacement, template)


# --- tests ---

import unittest


class TestLetterTemplateFiller(unittest.TestCase):
    def test_values_are_inserted(self) -> None:
        letter = fill_letter("Dear {title} {last_name}, you owe {sum}.", {"title": "Dr", "last_name": "Ek", "sum": 12})
        self.assertEqual(letter, "Dear Dr Ek, you owe 12.")

    def test_falsy_values_are_values(self) -> None:
        self.assertEqual(fill_letter("{n|none} {text|empty}!", {"n": 0, "text": ""}), "0 !")

    def test_fallback_for_missing_and_none(self) -> None:
        self.assertEqual(fill_letter("Dear {name|friend of ours}", {}), "Dear friend of ours")
        self.assertEqual(fill_letter("Dear {name|friend}", {"name": None}), "Dear friend")

    def test_present_value_beats_the_fallback(self) -> None:
        self.assertEqual(fill_letter("Dear {name|friend}", {"name": "Ida"}), "Dear Ida")

    def test_empty_fallback(self) -> None:
        self.assertEqual(fill_letter("[{note|}]", {}), "[]")

    def test_missing_name_raises_with_the_name(self) -> None:
        for values in ({}, {"date": None}):
            with self.assertRaises(KeyError) as caught:
                fill_letter("On {date}", values)
            self.assertEqual(caught.exception.args, ("date",))

    def test_doubled_braces(self) -> None:
        self.assertEqual(fill_letter("{{name}} is {name}", {"name": "x"}), "{name} is x")

    def test_inserted_values_are_not_filled_again(self) -> None:
        self.assertEqual(fill_letter("{a}", {"a": "{b} {{", "b": "no"}), "{b} {{")

    def test_other_text_is_kept(self) -> None:
        self.assertEqual(fill_letter("a { b } c", {}), "a { b } c")
        self.assertEqual(fill_letter("", {}), "")
