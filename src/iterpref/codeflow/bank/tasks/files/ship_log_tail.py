"""Write `last_entries(path, count, word=None)` for a ship's log, a UTF-8 file with one entry a line. Return the last
`count` entries that are not blank, in the order of the file, without line ends and surrounding spaces; with `word`,
only entries that contain it, ignoring case. Fewer are returned when there are not enough; `count` 0 gives an empty
list, a negative one raises ValueError in any case. A missing file gives an empty list."""

from collections import deque
from pathlib import Path


def last_entries(path: Path, count: int, word: str | None = None) -> list[str]:
    if count < 0:
        raise ValueError(f"cannot return {count} entries")
    if not path.exists():
        return []
    entries: deque[str] = deque(maxlen=count)
    with path.open(encoding="utf-8") as file:
        for line in file:
            entry = line.strip()
            if entry and (word is None or word.lower() in entry.lower()):
                entries.append(entry)
    return list(entries)


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestShipLogTail(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "ship.log"
        self.path.write_text("Fog at dawn\n\n  wind NW 5 \nfog again\nAnchored\n", encoding="utf-8")

    def test_last_two(self) -> None:
        self.assertEqual(last_entries(self.path, 2), ["fog again", "Anchored"])

    def test_blank_lines_do_not_count(self) -> None:
        self.assertEqual(last_entries(self.path, 4), ["Fog at dawn", "wind NW 5", "fog again", "Anchored"])

    def test_more_than_there_are(self) -> None:
        self.assertEqual(len(last_entries(self.path, 50)), 4)

    def test_word_ignores_case_on_both_sides(self) -> None:
        self.assertEqual(last_entries(self.path, 9, "FOG"), ["Fog at dawn", "fog again"])

    def test_word_is_applied_before_the_count(self) -> None:
        self.assertEqual(last_entries(self.path, 1, "fog"), ["fog again"])
        self.assertEqual(last_entries(self.path, 1, "wind"), ["wind NW 5"])

    def test_no_match(self) -> None:
        self.assertEqual(last_entries(self.path, 3, "whale"), [])

    def test_count_zero(self) -> None:
        self.assertEqual(last_entries(self.path, 0), [])

    def test_negative_count_raises(self) -> None:
        with self.assertRaises(ValueError):
            last_entries(self.path, -1)
        with self.assertRaises(ValueError):
            last_entries(self.path.with_name("none.log"), -1)

    def test_missing_file(self) -> None:
        self.assertEqual(last_entries(self.path.with_name("none.log"), 3), [])

    def test_last_line_without_line_end(self) -> None:
        self.path.write_text("one\ntwo", encoding="utf-8")
        self.assertEqual(last_entries(self.path, 1), ["two"])
