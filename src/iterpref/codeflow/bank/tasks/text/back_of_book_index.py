"""Write `back_of_book_index(pages, terms)`. `pages` is the list of page texts, page 1 first. For each term (a
word or phrase) find the pages where it occurs as a whole, ignoring case: not directly preceded or followed by a
letter or digit. Return lines sorted by term ignoring case, such as "heron 1, 4-6, 9": two or more neighbouring
pages form a range "first-last". Terms that occur nowhere are left out; terms equal but for case are listed
once, in their first spelling. An empty term raises ValueError."""

import re


def page_ranges(numbers: list[int]) -> str:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def back_of_book_index(pages: list[str], terms: list[str]) -> list[str]:
    spelling: dict[str, str] = {}
    for term in terms:
        if not term:
            raise ValueError("a term must not be empty")
        spelling.setdefault(term.lower(), term)
    lines = []
    for key in sorted(spelling):
        pattern = re.compile(rf"(?<![^\W_]){re.escape(key)}(?![^\W_])", re.IGNORECASE)
        found = [number for number, page in enumerate(pages, start=1) if pattern.search(page)]
        if found:
            lines.append(f"{spelling[key]} {page_ranges(found)}")
    return lines


# --- tests ---

import unittest


class TestBackOfBookIndex(unittest.TestCase):
    def test_single_pages(self) -> None:
        self.assertEqual(back_of_book_index(["a heron", "an owl", "the heron"], ["heron"]), ["heron 1, 3"])

    def test_neighbouring_pages_form_ranges(self) -> None:
        pages = ["owl", "", "owl", "owl", "owl", "", "owl", "owl"]
        self.assertEqual(back_of_book_index(pages, ["owl"]), ["owl 1, 3-5, 7-8"])

    def test_two_pages_are_a_range(self) -> None:
        self.assertEqual(back_of_book_index(["owl", "owl"], ["owl"]), ["owl 1-2"])

    def test_whole_words_only(self) -> None:
        self.assertEqual(back_of_book_index(["owls", "bowl", "owl2", "(owl)", "_owl_"], ["owl"]), ["owl 4-5"])

    def test_phrases_and_special_characters(self) -> None:
        pages = ["the grey heron", "heron, grey", "St. Ives", "Stx Ives"]
        self.assertEqual(back_of_book_index(pages, ["grey heron", "St. Ives"]), ["grey heron 1", "St. Ives 3"])

    def test_case_is_ignored_and_first_spelling_kept(self) -> None:
        self.assertEqual(back_of_book_index(["an OWL", "an owl"], ["Owl", "owl"]), ["Owl 1-2"])

    def test_sorted_ignoring_case(self) -> None:
        self.assertEqual(back_of_book_index(["Owl heron Bat"], ["Owl", "heron", "Bat"]), ["Bat 1", "heron 1", "Owl 1"])

    def test_term_twice_on_a_page_is_listed_once(self) -> None:
        self.assertEqual(back_of_book_index(["owl owl"], ["owl"]), ["owl 1"])

    def test_absent_terms_and_empty_input(self) -> None:
        self.assertEqual(back_of_book_index(["owl"], ["heron"]), [])
        self.assertEqual(back_of_book_index([], ["heron"]), [])
        self.assertEqual(back_of_book_index(["owl"], []), [])

    def test_empty_term_raises(self) -> None:
        with self.assertRaises(ValueError):
            back_of_book_index(["owl"], ["owl", ""])
