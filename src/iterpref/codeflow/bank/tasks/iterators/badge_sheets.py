"""Write a generator `badge_sheets(names, per_sheet, filler="BLANK")` for a badge printer. It splits an iterable of
names into tuples of exactly `per_sheet` entries, in order; the last sheet is filled up with `filler`. Names are
stripped of surrounding whitespace first, and names that are then empty are skipped. No names means no sheets. If
`per_sheet` is below 1, raise ValueError when iteration starts."""

from collections.abc import Iterable, Iterator


def badge_sheets(names: Iterable[str], per_sheet: int, filler: str = "BLANK") -> Iterator[tuple[str, ...]]:
    if per_sheet < 1:
        raise ValueError("a sheet holds at least one badge")
    sheet: list[str] = []
    for name in map(str.strip, names):
        if not name:
            continue
        sheet.append(name)
        if len(sheet) == per_sheet:
            yield tuple(sheet)
            sheet.clear()
    if sheet:
        yield tuple(sheet + [filler] * (per_sheet - len(sheet)))


# --- tests ---

import unittest


class TestBadgeSheets(unittest.TestCase):
    def test_full_sheets_need_no_filler(self) -> None:
        self.assertEqual(list(badge_sheets(["Ada", "Bo", "Cy", "Di"], 2)), [("Ada", "Bo"), ("Cy", "Di")])

    def test_last_sheet_is_filled_up(self) -> None:
        self.assertEqual(
            list(badge_sheets(["Ada", "Bo", "Cy", "Di"], 3)), [("Ada", "Bo", "Cy"), ("Di", "BLANK", "BLANK")]
        )

    def test_own_filler(self) -> None:
        self.assertEqual(list(badge_sheets(["Ada"], 2, "-")), [("Ada", "-")])

    def test_names_are_stripped_and_empty_ones_skipped(self) -> None:
        self.assertEqual(list(badge_sheets(["  Ada ", "", "   ", "Bo\n"], 2)), [("Ada", "Bo")])

    def test_no_names_no_sheets(self) -> None:
        self.assertEqual(list(badge_sheets([], 4)), [])
        self.assertEqual(list(badge_sheets([" "], 4)), [])

    def test_one_badge_a_sheet(self) -> None:
        self.assertEqual(list(badge_sheets(["Ada", "Bo"], 1)), [("Ada",), ("Bo",)])

    def test_zero_badges_a_sheet_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            next(badge_sheets(["Ada"], 0))

    def test_a_sheet_is_ready_before_the_rest_is_read(self) -> None:
        source = iter(["Ada", "Bo", "Cy"])
        self.assertEqual(next(badge_sheets(source, 2)), ("Ada", "Bo"))
        self.assertEqual(next(source), "Cy")
