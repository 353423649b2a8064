"""Write `photo_matches(query, tags)`. A query combines tag names (letters, digits, underscores) with "!" (not),
"&" (and) and "|" (or); "!" binds strongest, "|" weakest; parentheses group; spaces separate tokens and are
otherwise ignored. Return whether the set `tags` satisfies the query; a name holds if it is in `tags`, exactly
as spelled. Any other query raises ValueError: empty, unknown characters, missing or extra parts, unbalanced
parentheses, even if the answer would already be known from its beginning."""

import re


def photo_matches(query: str, tags: set[str]) -> bool:
    tokens = re.findall(r"\w+|\S", query)
    result = _any_of(tokens, tags)
    if tokens:
        raise ValueError(f"unexpected {tokens[0]!r}")
    return result


def _any_of(tokens: list[str], tags: set[str]) -> bool:
    result = _all_of(tokens, tags)
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        following = _all_of(tokens, tags)
        result = result or following
    return result


def _all_of(tokens: list[str], tags: set[str]) -> bool:
    result = _single(tokens, tags)
    while tokens and tokens[0] == "&":
        tokens.pop(0)
        following = _single(tokens, tags)
        result = result and following
    return result


def _single(tokens: list[str], tags: set[str]) -> bool:
    if not tokens:
        raise ValueError("the query ends too early")
    token = tokens.pop(0)
    if token == "!":
        return not _single(tokens, tags)
    if token == "(":
        result = _any_of(tokens, tags)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return result
    if not re.fullmatch(r"\w+", token):
        raise ValueError(f"unexpected {token!r}")
    return token in tags


# --- tests ---

import unittest

TAGS = {"sea", "sun", "year_2024"}


class TestPhotoTagFilter(unittest.TestCase):
    def check(self, expected: bool, *queries: str) -> None:
        for query in queries:
            with self.subTest(query=query):
                self.assertIs(photo_matches(query, TAGS), expected)

    def test_single_names(self) -> None:
        self.check(True, "sea", " year_2024 ", "(sea)")
        self.check(False, "rain", "Sea", "se", "2024")

    def test_not(self) -> None:
        self.check(True, "!rain", "!!sea", "!(rain)")
        self.check(False, "!sea", "!!rain", "!(sea)")

    def test_and_and_or(self) -> None:
        self.check(True, "sea & sun", "sea|rain", "rain | sun", "sea&sun&year_2024")
        self.check(False, "sea & rain", "rain & sun", "rain|snow", "sea & sun & rain")

    def test_not_binds_strongest(self) -> None:
        self.check(True, "!rain & sea", "!sea | sun")
        self.check(False, "!rain & snow", "!sea & rain")

    def test_and_binds_stronger_than_or(self) -> None:
        self.check(True, "sea | rain & snow", "rain & snow | sea")
        self.check(False, "rain | snow & sea", "rain & sea | snow")

    def test_parentheses(self) -> None:
        self.check(True, "sea & (rain | sun)", "((sea) & !(rain | snow))")
        self.check(False, "(sea | rain) & snow", "!(sea | rain)")

    def test_incomplete_queries_raise(self) -> None:
        for query in ("", "  ", "sea &", "| sea", "!", "sea sun", "()", "(sea", "sea)", "(sea sun", "sea & | sun"):
            with self.subTest(query=query), self.assertRaises(ValueError):
                photo_matches(query, TAGS)

    def test_errors_are_found_behind_a_known_answer(self) -> None:
        for query in ("sea | ", "sea | )", "rain & $", "sea | (sun", "sea || sun", "rain & sun +"):
            with self.subTest(query=query), self.assertRaises(ValueError):
                photo_matches(query, TAGS)

    def test_tags_are_not_changed(self) -> None:
        tags = {"sea"}
        photo_matches("sea & !sun", tags)
        self.assertEqual(tags, {"sea"})
