"""Write parse_print_pages(spec, page_count) for a print dialog; page_count is at least 1. The spec is a
comma-separated list of single pages ("7") and inclusive ranges ("3-5"); an open range ("9-" or "-2") reaches to the
last or from the first page, and "-" alone is every page. A range whose start is larger than its end prints backwards.
Keep the asked order and repeats; ignore blanks around parts. A blank spec means all pages. An empty part, a
non-number, or a page outside 1..page_count raises ValueError."""


def _page(text: str, default: int, page_count: int) -> int:
    if not text:
        return default
    page = int(text)
    if not 1 <= page <= page_count:
        raise ValueError(f"page {page} is not in 1..{page_count}")
    return page


def parse_print_pages(spec: str, page_count: int) -> list[int]:
    if not spec.strip():
        return list(range(1, page_count + 1))
    pages: list[int] = []
    for part in spec.split(","):
        first, dash, last = part.strip().partition("-")
        if not first and not dash:
            raise ValueError("empty part in page list")
        start = _page(first, 1, page_count)
        stop = _page(last, page_count, page_count) if dash else start
        step = 1 if start <= stop else -1
        pages.extend(range(start, stop + step, step))
    return pages


# --- tests ---

import unittest


class TestParsePrintPages(unittest.TestCase):
    def test_singles_and_ranges_in_the_asked_order(self) -> None:
        self.assertEqual(parse_print_pages("7, 1-3 ,2", 9), [7, 1, 2, 3, 2])

    def test_open_ranges(self) -> None:
        self.assertEqual(parse_print_pages("8-", 10), [8, 9, 10])
        self.assertEqual(parse_print_pages(" -3 ", 10), [1, 2, 3])
        self.assertEqual(parse_print_pages("-", 4), [1, 2, 3, 4])

    def test_a_falling_range_prints_backwards(self) -> None:
        self.assertEqual(parse_print_pages("5-3", 6), [5, 4, 3])

    def test_a_range_of_one_page(self) -> None:
        self.assertEqual(parse_print_pages("4-4", 6), [4])

    def test_a_blank_spec_means_all(self) -> None:
        self.assertEqual(parse_print_pages("", 3), [1, 2, 3])
        self.assertEqual(parse_print_pages("  ", 1), [1])

    def test_first_and_last_page_are_allowed(self) -> None:
        self.assertEqual(parse_print_pages("1,12", 12), [1, 12])

    def test_pages_outside_are_refused(self) -> None:
        for spec in ("0", "13", "0-3", "11-13", "13-"):
            with self.subTest(spec=spec), self.assertRaises(ValueError):
                parse_print_pages(spec, 12)

    def test_empty_parts_and_words_are_refused(self) -> None:
        for spec in ("1,,2", "3,", ",", "two", "1-x"):
            with self.subTest(spec=spec), self.assertRaises(ValueError):
                parse_print_pages(spec, 12)
