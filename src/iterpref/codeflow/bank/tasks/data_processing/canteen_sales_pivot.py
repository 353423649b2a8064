"""Write `pivot_sales(sales)` for a canteen. `sales` is a list of (day, dish, portions). Return a table as a list of
lists: the first row is "dish", then the days in order of first appearance, then "total"; after it one row per dish,
in alphabetical order: the dish, the portions summed for each day (0 where none) and their sum; the last row is
"total", the sum of each day, and the grand sum. Without sales it is [["dish", "total"], ["total", 0]]."""


def pivot_sales(sales: list[tuple[str, str, int]]) -> list[list[str | int]]:
    days = list(dict.fromkeys(day for day, _, _ in sales))
    cells: dict[tuple[str, str], int] = {}
    for day, dish, portions in sales:
        cells[dish, day] = cells.get((dish, day), 0) + portions
    table: list[list[str | int]] = [["dish", *days, "total"]]
    column_sums = [0] * len(days)
    for dish in sorted({dish for _, dish, _ in sales}):
        counts = [cells.get((dish, day), 0) for day in days]
        table.append([dish, *counts, sum(counts)])
        column_sums = [old + count for old, count in zip(column_sums, counts, strict=True)]
    table.append(["total", *column_sums, sum(column_sums)])
    return table


# --- tests ---

import unittest


class TestCanteenSalesPivot(unittest.TestCase):
    def test_no_sales(self) -> None:
        self.assertEqual(pivot_sales([]), [["dish", "total"], ["total", 0]])

    def test_single_sale(self) -> None:
        table = pivot_sales([("mo", "soup", 4)])
        self.assertEqual(table, [["dish", "mo", "total"], ["soup", 4, 4], ["total", 4, 4]])

    def test_repeated_sales_are_added(self) -> None:
        table = pivot_sales([("mo", "soup", 4), ("mo", "soup", 3)])
        self.assertEqual(table, [["dish", "mo", "total"], ["soup", 7, 7], ["total", 7, 7]])

    def test_full_table(self) -> None:
        sales = [("we", "stew", 5), ("mo", "pie", 2), ("we", "pie", 1), ("mo", "stew", 8), ("we", "curry", 6)]
        self.assertEqual(
            pivot_sales(sales),
            [
                ["dish", "we", "mo", "total"],
                ["curry", 6, 0, 6],
                ["pie", 1, 2, 3],
                ["stew", 5, 8, 13],
                ["total", 12, 10, 22],
            ],
        )

    def test_days_keep_the_order_of_first_appearance(self) -> None:
        header = pivot_sales([("tu", "a", 1), ("mo", "a", 1), ("tu", "b", 1), ("fr", "a", 1)])[0]
        self.assertEqual(header, ["dish", "tu", "mo", "fr", "total"])

    def test_dishes_are_sorted(self) -> None:
        table = pivot_sales([("mo", dish, 1) for dish in "qdzkamwb"])
        self.assertEqual([row[0] for row in table], ["dish", *"abdkmqwz", "total"])

    def test_returns_count_as_negative_portions(self) -> None:
        table = pivot_sales([("mo", "soup", 4), ("mo", "soup", -4)])
        self.assertEqual(table, [["dish", "mo", "total"], ["soup", 0, 0], ["total", 0, 0]])
