"""Write a class `Mixtape(side_seconds, songs=())`, where songs are (title, seconds) pairs. `add(title, seconds)`
appends a song and raises ValueError if the tape would then run longer than `side_seconds`, or seconds are below 1;
the same holds on creation. `songs` is a property giving a new list of the pairs. `len()` counts songs, `left` is a
property with the seconds left, `str()` shows the playing time as "m:ss". `tape + other` is a new tape with both time
limits and both song lists added; the originals stay as they are."""

from collections.abc import Iterable


class Mixtape:
    def __init__(self, side_seconds: int, songs: Iterable[tuple[str, int]] = ()) -> None:
        self.side_seconds = side_seconds
        self._songs: list[tuple[str, int]] = []
        for title, seconds in songs:
            self.add(title, seconds)

    def add(self, title: str, seconds: int) -> None:
        if seconds < 1:
            raise ValueError("a song lasts at least a second")
        if seconds > self.left:
            raise ValueError(f"{title} does not fit")
        self._songs.append((title, seconds))

    @property
    def songs(self) -> list[tuple[str, int]]:
        return list(self._songs)

    @property
    def left(self) -> int:
        return self.side_seconds - sum(seconds for _, seconds in self._songs)

    def __len__(self) -> int:
        return len(self._songs)

    def __str__(self) -> str:
        minutes, seconds = divmod(self.side_seconds - self.left, 60)
        return f"{minutes}:{seconds:02d}"

    def __add__(self, other: "Mixtape") -> "Mixtape":
        return Mixtape(self.side_seconds + other.side_seconds, self._songs + other._songs)


# --- tests ---

import unittest


class TestMixtape(unittest.TestCase):
    def test_songs_are_kept_in_order(self) -> None:
        tape = Mixtape(1800)
        tape.add("Rain", 200)
        tape.add("Anthem", 185)
        self.assertEqual(tape.songs, [("Rain", 200), ("Anthem", 185)])
        self.assertEqual((len(tape), tape.left), (2, 1415))

    def test_a_song_may_fill_the_tape_exactly(self) -> None:
        tape = Mixtape(100, [("Rain", 60)])
        tape.add("Sun", 40)
        self.assertEqual((len(tape), tape.left), (2, 0))

    def test_one_second_too_much_is_refused(self) -> None:
        tape = Mixtape(100, [("Rain", 60)])
        with self.assertRaises(ValueError):
            tape.add("Sun", 41)
        self.assertEqual(tape.songs, [("Rain", 60)])

    def test_songs_need_a_length(self) -> None:
        tape = Mixtape(100)
        with self.assertRaises(ValueError):
            tape.add("Silence", 0)
        tape.add("Click", 1)
        self.assertEqual(len(tape), 1)

    def test_creation_checks_the_songs(self) -> None:
        with self.assertRaises(ValueError):
            Mixtape(100, [("Rain", 60), ("Sun", 60)])

    def test_songs_is_a_copy(self) -> None:
        given = [("Rain", 60)]
        tape = Mixtape(100, given)
        tape.songs.append(("Sun", 10))
        tape.add("Wind", 5)
        self.assertEqual(given, [("Rain", 60)])
        self.assertEqual(tape.songs, [("Rain", 60), ("Wind", 5)])

    def test_playing_time_as_text(self) -> None:
        self.assertEqual(str(Mixtape(4000, [("Long", 3725)])), "62:05")
        self.assertEqual(str(Mixtape(100)), "0:00")
        self.assertEqual(str(Mixtape(100, [("Rain", 60)])), "1:00")

    def test_sum_joins_songs_and_limits(self) -> None:
        first, second = Mixtape(100, [("Rain", 60)]), Mixtape(50, [("Sun", 45)])
        both = first + second
        self.assertEqual(both.songs, [("Rain", 60), ("Sun", 45)])
        self.assertEqual((both.side_seconds, both.left), (150, 45))

    def test_sum_leaves_the_originals(self) -> None:
        first, second = Mixtape(100, [("Rain", 60)]), Mixtape(50, [("Sun", 45)])
        (first + second).add("Wind", 10)
        self.assertEqual((first.songs, second.songs), ([("Rain", 60)], [("Sun", 45)]))
        self.assertEqual((first.left, second.left), (40, 5))
