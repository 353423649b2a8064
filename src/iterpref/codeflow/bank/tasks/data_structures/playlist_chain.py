"""Write a class PlaylistChain, a doubly linked list of different song titles. append(title) adds at the end;
insert_after(known, title) right behind a known title; both raise ValueError if title is already in the list.
remove(title) takes one out; to_front(title) moves it to the beginning. An unknown title raises KeyError, and failing
calls change nothing. Iteration runs from the first to the last title, reversed() backwards; len() counts. Every call
but iteration takes constant time."""

from collections.abc import Iterator


class PlaylistChain:
    def __init__(self) -> None:
        # None stands for the frame around the list: its "next" is the first title, its "previous" the last.
        self._next: dict[str | None, str | None] = {None: None}
        self._previous: dict[str | None, str | None] = {None: None}

    def __len__(self) -> int:
        return len(self._next) - 1

    def __iter__(self) -> Iterator[str]:
        title = self._next[None]
        while title is not None:
            yield title
            title = self._next[title]

    def __reversed__(self) -> Iterator[str]:
        title = self._previous[None]
        while title is not None:
            yield title
            title = self._previous[title]

    def append(self, title: str) -> None:
        self._link(self._previous[None], title)

    def insert_after(self, known: str, title: str) -> None:
        if known not in self._next:
            raise KeyError(known)
        self._link(known, title)

    def remove(self, title: str) -> None:
        before, after = self._previous.pop(title), self._next.pop(title)
        self._next[before] = after
        self._previous[after] = before

    def to_front(self, title: str) -> None:
        self.remove(title)
        self._link(None, title)

    def _link(self, before: str | None, title: str) -> None:
        if title in self._next:
            raise ValueError(f"{title} is already in the list")
        after = self._next[before]
        self._next[before] = self._previous[after] = title
        self._previous[title], self._next[title] = before, after


# --- tests ---

import unittest


class TestPlaylistChain(unittest.TestCase):
    def chain(self, titles: str) -> PlaylistChain:
        chain = PlaylistChain()
        for title in titles:
            chain.append(title)
        return chain

    def check(self, chain: PlaylistChain, titles: str) -> None:
        self.assertEqual(list(chain), list(titles))
        self.assertEqual(list(reversed(chain)), list(reversed(titles)))
        self.assertEqual(len(chain), len(titles))

    def test_an_empty_list(self) -> None:
        self.check(PlaylistChain(), "")

    def test_append(self) -> None:
        self.check(self.chain("a"), "a")
        self.check(self.chain("bca"), "bca")

    def test_insert_in_the_middle_and_at_the_end(self) -> None:
        chain = self.chain("abc")
        chain.insert_after("a", "x")
        self.check(chain, "axbc")
        chain.insert_after("c", "y")
        self.check(chain, "axbcy")
        chain.append("z")
        self.check(chain, "axbcyz")

    def test_remove_anywhere(self) -> None:
        for title, left in (("a", "bc"), ("b", "ac"), ("c", "ab")):
            chain = self.chain("abc")
            chain.remove(title)
            self.check(chain, left)

    def test_the_only_title_can_go_and_come_back(self) -> None:
        chain = self.chain("a")
        chain.remove("a")
        self.check(chain, "")
        chain.append("a")
        self.check(chain, "a")

    def test_to_front_from_anywhere(self) -> None:
        for title, order in (("a", "abc"), ("b", "bac"), ("c", "cab")):
            chain = self.chain("abc")
            chain.to_front(title)
            self.check(chain, order)

    def test_titles_are_different(self) -> None:
        chain = self.chain("abc")
        with self.assertRaises(ValueError):
            chain.append("b")
        with self.assertRaises(ValueError):
            chain.insert_after("a", "c")
        self.check(chain, "abc")

    def test_unknown_titles(self) -> None:
        chain = self.chain("ab")
        for call in (
            lambda: chain.remove("x"),
            lambda: chain.to_front("x"),
            lambda: chain.insert_after("x", "y"),
        ):
            self.assertRaises(KeyError, call)
        self.check(chain, "ab")
