"""Write a generator `songs_with_jingles(songs, jingles, every)` for a radio station. It yields the songs in order and
puts one jingle after every `every` songs, but never after the last song. Jingles are used in turn, starting over from
the first when all have been played; with no jingles at all, only the songs are yielded. No songs yield nothing. An
`every` below 1 raises ValueError when iteration starts."""

from collections.abc import Iterable, Iterator, Sequence


def songs_with_jingles(songs: Iterable[str], jingles: Sequence[str], every: int) -> Iterator[str]:
    if every < 1:
        raise ValueError("every must be at least 1")
    played = 0
    for position, song in enumerate(songs):
        if jingles and position > 0 and position % every == 0:
            yield jingles[played % len(jingles)]
            played += 1
        yield song


# --- tests ---

import unittest


class TestSongsWithJingles(unittest.TestCase):
    def test_a_jingle_after_every_two_songs(self) -> None:
        self.assertEqual(list(songs_with_jingles("abcde", ["J"], 2)), ["a", "b", "J", "c", "d", "J", "e"])

    def test_no_jingle_after_the_last_song(self) -> None:
        self.assertEqual(list(songs_with_jingles("abcd", ["J"], 2)), ["a", "b", "J", "c", "d"])

    def test_jingles_are_used_in_turn(self) -> None:
        self.assertEqual(
            list(songs_with_jingles("abcd", ["X", "Y"], 1)),
            ["a", "X", "b", "Y", "c", "X", "d"],
        )

    def test_fewer_songs_than_every(self) -> None:
        self.assertEqual(list(songs_with_jingles("ab", ["J"], 3)), ["a", "b"])

    def test_no_jingles_gives_only_songs(self) -> None:
        self.assertEqual(list(songs_with_jingles("abc", [], 1)), ["a", "b", "c"])

    def test_no_songs_gives_nothing(self) -> None:
        self.assertEqual(list(songs_with_jingles([], ["J"], 1)), [])

    def test_every_zero_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            next(songs_with_jingles("abc", ["J"], 0))

    def test_jingle_count_goes_on_between_breaks(self) -> None:
        played = list(songs_with_jingles("abcdefghij", ["X", "Y", "Z"], 3))
        self.assertEqual([item for item in played if item.isupper()], ["X", "Y", "Z"])
        self.assertEqual(played[3], "X")
