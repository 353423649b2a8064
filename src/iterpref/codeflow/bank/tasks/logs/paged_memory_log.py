"""Write a class `PagedLog(page_size, keep)`. `write(text)` appends a line to the current page; a line takes its
UTF-8 bytes plus one. If the page is not empty and would exceed `page_size` bytes, it is closed and a new one
started first. Only the newest `keep` closed pages are kept. `pages()` returns the kept closed pages and the current
one, oldest first, as lists of lines; changing the result never changes the log. `size()` is the bytes of all these.
`page_size` or `keep` below 1 raises ValueError."""


class PagedLog:
    def __init__(self, page_size: int, keep: int) -> None:
        if page_size < 1 or keep < 1:
            raise ValueError("page_size and keep must be at least 1")
        self.page_size = page_size
        self.keep = keep
        self._closed: list[list[str]] = []
        self._current: list[str] = []

    def write(self, text: str) -> None:
        if self._current and _bytes(self._current) + _bytes([text]) > self.page_size:
            self._closed.append(self._current)
            self._closed = self._closed[-self.keep :]
            self._current = []
        self._current.append(text)

    def pages(self) -> list[list[str]]:
        return [list(page) for page in [*self._closed, self._current]]

    def size(self) -> int:
        return sum(_bytes(page) for page in self.pages())


def _bytes(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8")) + 1 for line in lines)


# --- tests ---

import unittest


def filled(log: PagedLog, *texts: str) -> PagedLog:
    for text in texts:
        log.write(text)
    return log


class TestPagedLog(unittest.TestCase):
    def test_a_new_log_has_one_empty_page(self) -> None:
        log = PagedLog(10, 2)
        self.assertEqual((log.pages(), log.size()), ([[]], 0))

    def test_a_page_may_be_exactly_full(self) -> None:
        self.assertEqual(filled(PagedLog(10, 2), "abcd", "efgh").pages(), [["abcd", "efgh"]])

    def test_one_byte_more_starts_a_page(self) -> None:
        log = filled(PagedLog(10, 2), "abcd", "efghi")
        self.assertEqual(log.pages(), [["abcd"], ["efghi"]])
        self.assertEqual(log.size(), 11)

    def test_bytes_count_and_not_characters(self) -> None:
        self.assertEqual(filled(PagedLog(10, 2), "\u00e9\u00e9", "abcd").pages(), [["\u00e9\u00e9", "abcd"]])
        self.assertEqual(filled(PagedLog(10, 2), "\u00e9\u00e9", "abcde").pages(), [["\u00e9\u00e9"], ["abcde"]])

    def test_a_long_line_gets_its_own_page(self) -> None:
        log = filled(PagedLog(5, 3), "a", "long line", "b")
        self.assertEqual(log.pages(), [["a"], ["long line"], ["b"]])

    def test_a_long_first_line_leaves_no_empty_page(self) -> None:
        self.assertEqual(filled(PagedLog(5, 3), "long line").pages(), [["long line"]])

    def test_only_the_newest_closed_pages_are_kept(self) -> None:
        log = filled(PagedLog(2, 2), "a", "b", "c", "d")
        self.assertEqual(log.pages(), [["b"], ["c"], ["d"]])
        self.assertEqual(log.size(), 6)

    def test_the_result_is_a_copy(self) -> None:
        log = filled(PagedLog(2, 1), "a", "b")
        log.pages()[0].append("x")
        log.pages()[1].append("y")
        log.pages().append([])
        self.assertEqual(log.pages(), [["a"], ["b"]])

    def test_bad_limits_raise(self) -> None:
        for page_size, keep in ((0, 1), (1, 0), (-1, 3)):
            with self.assertRaises(ValueError):
                PagedLog(page_size, keep)
        self.assertEqual(filled(PagedLog(1, 1), "", "", "").pages(), [[""], [""]])
