"""Write `unique_page_slugs(titles)`. Turn each page title into a slug: lower case, accents removed (so that an
accented e becomes e), every run of characters other than a-z and 0-9 replaced by one hyphen, no hyphen at
either end. An empty slug becomes "page". If a slug was already given to an earlier title, append "-2", or "-3"
and so on, the first that is still free. Return the slugs in the order of the titles."""

import re
import unicodedata


def slug_of(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.lower())
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-") or "page"


def unique_page_slugs(titles: list[str]) -> list[str]:
    slugs: list[str] = []
    for title in titles:
        base = slug_of(title)
        slug = base
        number = 2
        while slug in slugs:
            slug = f"{base}-{number}"
            number += 1
        slugs.append(slug)
    return slugs


# --- tests ---

import unittest


class TestUniquePageSlugs(unittest.TestCase):
    def test_words_are_joined_by_hyphens(self) -> None:
        self.assertEqual(unique_page_slugs(["Opening Hours 2024"]), ["opening-hours-2024"])

    def test_runs_become_one_hyphen_and_ends_are_clean(self) -> None:
        self.assertEqual(unique_page_slugs(["  Tea & -- Cake!  "]), ["tea-cake"])

    def test_accents_are_removed(self) -> None:
        self.assertEqual(unique_page_slugs(["Caf\u00e9 \u00c0 la Cr\u00e8me"]), ["cafe-a-la-creme"])

    def test_repeated_titles_are_numbered(self) -> None:
        self.assertEqual(unique_page_slugs(["News", "news!", "NEWS"]), ["news", "news-2", "news-3"])

    def test_number_taken_by_another_title_is_skipped(self) -> None:
        self.assertEqual(unique_page_slugs(["News 2", "News", "News"]), ["news-2", "news", "news-3"])

    def test_later_title_meets_a_numbered_slug(self) -> None:
        self.assertEqual(unique_page_slugs(["News", "News", "News 2"]), ["news", "news-2", "news-2-2"])

    def test_empty_slug_becomes_page(self) -> None:
        self.assertEqual(unique_page_slugs(["???", "", "Page"]), ["page", "page-2", "page-3"])

    def test_no_titles(self) -> None:
        self.assertEqual(unique_page_slugs([]), [])
