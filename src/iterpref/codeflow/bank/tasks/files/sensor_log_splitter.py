"""Write `split_log(path, lines_each)`. Split a UTF-8 text file into parts of at most `lines_each` lines beside it,
named like the original with ".part1", ".part2" ... before the suffix (run.log gives run.part1.log). Return the list
of the part names in order. Line ends stay as they are; the original stays. An empty file gives no parts. `lines_each`
below 1 raises ValueError. Existing parts of the same names are overwritten."""

from pathlib import Path


def split_log(path: Path, lines_each: int) -> list[str]:
    if lines_each < 1:
        raise ValueError(f"{lines_each} lines a part")
    with path.open(encoding="utf-8", newline="") as file:
        lines = file.readlines()
    names = []
    for number, start in enumerate(range(0, len(lines), lines_each), start=1):
        part = path.with_name(f"{path.stem}.part{number}{path.suffix}")
        with part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines[start : start + lines_each])
        names.append(part.name)
    return names


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestSensorLogSplitter(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.log = Path(temporary.name) / "run.log"

    def parts(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.log.parent.iterdir() if path != self.log}

    def test_last_part_is_shorter(self) -> None:
        self.log.write_bytes(b"1\n2\n3\n4\n5\n")
        self.assertEqual(split_log(self.log, 2), ["run.part1.log", "run.part2.log", "run.part3.log"])
        self.assertEqual(
            self.parts(), {"run.part1.log": b"1\n2\n", "run.part2.log": b"3\n4\n", "run.part3.log": b"5\n"}
        )

    def test_even_split_has_no_empty_part(self) -> None:
        self.log.write_bytes(b"1\n2\n3\n4\n")
        self.assertEqual(split_log(self.log, 2), ["run.part1.log", "run.part2.log"])
        self.assertEqual(len(self.parts()), 2)

    def test_short_file_is_one_part(self) -> None:
        self.log.write_bytes(b"1\n2")
        self.assertEqual(split_log(self.log, 10), ["run.part1.log"])
        self.assertEqual(self.parts(), {"run.part1.log": b"1\n2"})

    def test_empty_file_gives_no_parts(self) -> None:
        self.log.write_bytes(b"")
        self.assertEqual(split_log(self.log, 3), [])
        self.assertEqual(self.parts(), {})

    def test_line_ends_and_letters_are_kept(self) -> None:
        content = "5 \u00b0C\r\n6 \u00b0C\n".encode()
        self.log.write_bytes(content)
        split_log(self.log, 5)
        self.assertEqual(self.parts(), {"run.part1.log": content})

    def test_original_stays(self) -> None:
        self.log.write_bytes(b"1\n2\n")
        split_log(self.log, 1)
        self.assertEqual(self.log.read_bytes(), b"1\n2\n")

    def test_old_parts_are_overwritten(self) -> None:
        self.log.write_bytes(b"1\n")
        (self.log.parent / "run.part1.log").write_bytes(b"old\nold\n")
        split_log(self.log, 1)
        self.assertEqual(self.parts(), {"run.part1.log": b"1\n"})

    def test_bad_size_raises(self) -> None:
        self.log.write_bytes(b"1\n")
        for size in (0, -2):
            with self.assertRaises(ValueError):
                split_log(self.log, size)
        self.assertEqual(self.parts(), {})
