"""Write `shorten_headline(headline, limit)` for a news board. Squeeze white space to single spaces and trim the
ends. If the result has at most `limit` characters, return it. Otherwise keep as many whole words from the
beginning as fit together with a following "..." (no space before it), and drop commas, colons and hyphens left
at the end of the kept words. If not even the first word fits, cut that word so that with "..." it has exactly
`limit` characters. A limit below 4 raises ValueError."""


def shorten_headline(headline: str, limit: int) -> str:
    if limit < 4:
        raise ValueError("limit must be at least 4")
    words = headline.split()
    full = " ".join(words)
    if len(full) <= limit:
        return full
    room = limit - len("...")
    while len(words) > 1 and len(" ".join(words)) > room:
        words.pop()
    kept = " ".join(words)
    if len(kept) > room:
        return kept[:room] + "..."
    return kept.rstrip(",:- ") + "..."


# --- tests ---

import unittest


class TestHeadlineShortener(unittest.TestCase):
    def test_short_headline_is_returned(self) -> None:
        self.assertEqual(shorten_headline("Goat wins race", 20), "Goat wins race")

    def test_headline_of_exactly_the_limit(self) -> None:
        self.assertEqual(shorten_headline("Goat wins race", 14), "Goat wins race")
        self.assertEqual(shorten_headline("Goat wins race", 13), "Goat wins...")

    def test_words_fit_exactly_with_the_dots(self) -> None:
        self.assertEqual(shorten_headline("Goat wins race", 12), "Goat wins...")
        self.assertEqual(shorten_headline("Goat wins race", 11), "Goat...")

    def test_white_space_is_squeezed_first(self) -> None:
        self.assertEqual(shorten_headline("  Goat \n wins  race ", 14), "Goat wins race")

    def test_marks_at_the_cut_are_dropped(self) -> None:
        self.assertEqual(shorten_headline("Fog: ferries stay in port", 12), "Fog...")
        self.assertEqual(shorten_headline("Rain, hail and snow", 10), "Rain...")
        self.assertEqual(shorten_headline("Goats - a story", 11), "Goats...")

    def test_marks_inside_stay(self) -> None:
        self.assertEqual(shorten_headline("Fog: ferries stay in port", 15), "Fog: ferries...")

    def test_first_word_is_cut(self) -> None:
        self.assertEqual(shorten_headline("Unbelievable", 8), "Unbel...")
        self.assertEqual(shorten_headline("Unbelievable goat", 4), "U...")

    def test_empty_headline(self) -> None:
        self.assertEqual(shorten_headline("   ", 4), "")

    def test_small_limit_raises(self) -> None:
        with self.assertRaises(ValueError):
            shorten_headline("Goat", 3)
