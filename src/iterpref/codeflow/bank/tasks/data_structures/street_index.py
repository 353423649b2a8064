"""Write a class StreetIndex, a prefix tree of street names; letter case is ignored everywhere and names are given
back in lower case. add(name) adds a name; adding it again counts once more. count(prefix) is how many additions begin
with the prefix. suggest(prefix, limit=3) lists different stored names beginning with it, alphabetically, at most
limit of them. The empty prefix matches everything. An empty name, or a limit below 1, raises ValueError. An unknown
prefix gives 0 and []."""

from collections.abc import Iterator
from itertools import islice


class _Node:
    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.passing = 0
        self.ends_here = False


class StreetIndex:
    def __init__(self) -> None:
        self._root = _Node()

    def add(self, name: str) -> None:
        if not name:
            raise ValueError("a street needs a name")
        node = self._root
        node.passing += 1
        for letter in name.lower():
            node = node.children.setdefault(letter, _Node())
            node.passing += 1
        node.ends_here = True

    def count(self, prefix: str) -> int:
        node = self._find(prefix.lower())
        return node.passing if node else 0

    def suggest(self, prefix: str, limit: int = 3) -> list[str]:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        node = self._find(prefix.lower())
        return list(islice(self._walk(node, prefix.lower()), limit)) if node else []

    def _find(self, prefix: str) -> _Node | None:
        node = self._root
        for letter in prefix:
            if letter not in node.children:
                return None
            node = node.children[letter]
        return node

    def _walk(self, node: _Node, name: str) -> Iterator[str]:
        if node.ends_here:
            yield name
        for letter in sorted(node.children):
            yield from self._walk(node.children[letter], name + letter)


# --- tests ---

import unittest


class TestStreetIndex(unittest.TestCase):
    def setUp(self) -> None:
        self.index = StreetIndex()
        for name in ("Elm Road", "Elm", "Mill Lane", "Elmwood", "elm", "Ely Way"):
            self.index.add(name)

    def test_counts_by_prefix(self) -> None:
        self.assertEqual(self.index.count("el"), 5)
        self.assertEqual(self.index.count("elm"), 4)
        self.assertEqual(self.index.count("Elm Road"), 1)

    def test_the_empty_prefix_counts_all(self) -> None:
        self.assertEqual(self.index.count(""), 6)
        self.assertEqual(StreetIndex().count(""), 0)

    def test_an_unknown_prefix(self) -> None:
        self.assertEqual(self.index.count("elms"), 0)
        self.assertEqual(self.index.suggest("oak"), [])

    def test_suggestions_are_alphabetical_and_different(self) -> None:
        self.assertEqual(self.index.suggest("ELM", 10), ["elm", "elm road", "elmwood"])
        self.index.add("Elm Close")
        self.assertEqual(self.index.suggest("elm "), ["elm close", "elm road"])

    def test_suggestions_stop_at_three_by_default(self) -> None:
        self.assertEqual(self.index.suggest("el"), ["elm", "elm road", "elmwood"])
        self.assertEqual(self.index.suggest("", 2), ["elm", "elm road"])
        self.assertEqual(self.index.suggest("m", 1), ["mill lane"])

    def test_the_prefix_need_not_be_a_name(self) -> None:
        self.assertEqual(self.index.suggest("mi"), ["mill lane"])

    def test_an_empty_index_suggests_nothing(self) -> None:
        self.assertEqual(StreetIndex().suggest(""), [])

    def test_an_empty_name_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            self.index.add("")
        self.assertEqual(self.index.count(""), 6)

    def test_a_limit_below_one_is_refused(self) -> None:
        for prefix in ("elm", "oak"):
            with self.subTest(prefix=prefix), self.assertRaises(ValueError):
                self.index.suggest(prefix, 0)
