"""Write a generator `catalogue_items(fetch, page_size, max_pages=None)` for a paged seed catalogue. `fetch(page)`
returns the list of items of a page, numbered from 1. Yield items one by one and fetch a page only when its first item
is asked for. Stop after a page with fewer than `page_size` items, or after `max_pages` pages if given. An item seen
before is not yielded again. A page with more than `page_size` items raises RuntimeError before any of its items are
yielded."""

from collections.abc import Callable, Iterator


def catalogue_items(fetch: Callable[[int], list[str]], page_size: int, max_pages: int | None = None) -> Iterator[str]:
    seen: set[str] = set()
    page = 1
    while max_pages is None or page <= max_pages:
        items = fetch(page)
        if len(items) > page_size:
            raise RuntimeError(f"page {page} holds {len(items)} items, more than {page_size}")
        for item in items:
            if item not in seen:
                seen.add(item)
                yield item
        if len(items) < page_size:
            return
        page += 1


# --- tests ---

import itertools
import unittest


class _Shop:
    def __init__(self, *pages: list[str]) -> None:
        self.pages = pages
        self.asked: list[int] = []

    def fetch(self, page: int) -> list[str]:
        self.asked.append(page)
        return self.pages[page - 1] if page <= len(self.pages) else []


class TestCatalogueItems(unittest.TestCase):
    def test_all_items_in_order(self) -> None:
        shop = _Shop(["kale", "leek"], ["mint"])
        self.assertEqual(list(catalogue_items(shop.fetch, 2)), ["kale", "leek", "mint"])
        self.assertEqual(shop.asked, [1, 2])

    def test_a_full_last_page_needs_one_more_fetch(self) -> None:
        shop = _Shop(["kale", "leek"], ["mint", "okra"])
        self.assertEqual(list(catalogue_items(shop.fetch, 2)), ["kale", "leek", "mint", "okra"])
        self.assertEqual(shop.asked, [1, 2, 3])

    def test_max_pages_stops_in_time(self) -> None:
        shop = _Shop(["a", "b"], ["c", "d"], ["e", "f"])
        self.assertEqual(list(catalogue_items(shop.fetch, 2, 2)), ["a", "b", "c", "d"])
        self.assertEqual(shop.asked, [1, 2])

    def test_zero_pages_fetch_nothing(self) -> None:
        shop = _Shop(["a"])
        self.assertEqual(list(catalogue_items(shop.fetch, 1, 0)), [])
        self.assertEqual(shop.asked, [])

    def test_an_empty_catalogue(self) -> None:
        shop = _Shop()
        self.assertEqual(list(catalogue_items(shop.fetch, 3)), [])
        self.assertEqual(shop.asked, [1])

    def test_pages_are_fetched_on_demand(self) -> None:
        shop = _Shop(["a", "b"], ["c", "d"])
        items = catalogue_items(shop.fetch, 2)
        self.assertEqual(shop.asked, [])
        self.assertEqual(list(itertools.islice(items, 2)), ["a", "b"])
        self.assertEqual(shop.asked, [1])
        self.assertEqual(next(items), "c")
        self.assertEqual(shop.asked, [1, 2])

    def test_repeated_items_come_once_and_do_not_stop_the_paging(self) -> None:
        shop = _Shop(["a", "b"], ["b", "a"], ["a", "c"], ["d"])
        self.assertEqual(list(catalogue_items(shop.fetch, 2)), ["a", "b", "c", "d"])

    def test_an_overfull_page_raises_before_its_items(self) -> None:
        shop = _Shop(["a", "b"], ["c", "d", "e"])
        items = catalogue_items(shop.fetch, 2)
        self.assertEqual([next(items), next(items)], ["a", "b"])
        with self.assertRaises(RuntimeError):
            next(items)
