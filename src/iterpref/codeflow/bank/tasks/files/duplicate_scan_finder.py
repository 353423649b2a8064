"""Write `find_duplicates(folder)` for a scan archive. Look at all files in the folder and its subfolders and return
the groups of files with the same content (byte for byte), only groups of at least two, as lists of paths relative to
the folder, written with forward slashes. Paths within a group are sorted; groups are sorted by file size, largest
first, ties by their first path. Empty files are ignored. A folder that is not there raises FileNotFoundError."""

from collections import defaultdict
from pathlib import Path


def find_duplicates(folder: Path) -> list[list[str]]:
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if content:
                groups[content].append(path.relative_to(folder).as_posix())
    ranked = [(-len(content), sorted(paths)) for content, paths in groups.items() if len(paths) > 1]
    return [paths for _, paths in sorted(ranked)]


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestDuplicateScanFinder(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, contents: dict[str, bytes]) -> None:
        for name, content in contents.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def test_empty_folder(self) -> None:
        self.assertEqual(find_duplicates(self.folder), [])

    def test_different_files_are_no_duplicates(self) -> None:
        self.fill({"a.pdf": b"one", "b.pdf": b"two", "c.pdf": b"one "})
        self.assertEqual(find_duplicates(self.folder), [])

    def test_pair_is_found_and_sorted(self) -> None:
        self.fill({"z.pdf": b"same", "a.pdf": b"same", "m.pdf": b"other"})
        self.assertEqual(find_duplicates(self.folder), [["a.pdf", "z.pdf"]])

    def test_subfolders_are_searched(self) -> None:
        self.fill({"b.pdf": b"same", "old/2020/a.pdf": b"same", "old/b.pdf": b"same"})
        self.assertEqual(find_duplicates(self.folder), [["b.pdf", "old/2020/a.pdf", "old/b.pdf"]])

    def test_largest_group_content_comes_first(self) -> None:
        self.fill({"a": b"xy", "b": b"xy", "c": b"longer", "d": b"longer"})
        self.assertEqual(find_duplicates(self.folder), [["c", "d"], ["a", "b"]])

    def test_equal_sizes_are_sorted_by_path(self) -> None:
        self.fill({"b": b"22", "d": b"11", "a": b"11", "c": b"22"})
        self.assertEqual(find_duplicates(self.folder), [["a", "d"], ["b", "c"]])

    def test_empty_files_are_ignored(self) -> None:
        self.fill({"a": b"", "b": b"", "c": b"x", "d": b"x"})
        self.assertEqual(find_duplicates(self.folder), [["c", "d"]])

    def test_missing_folder_raises(self) -> None:
        with self.assertRaises(FileNotFoundError):
            find_duplicates(self.folder / "nowhere")
