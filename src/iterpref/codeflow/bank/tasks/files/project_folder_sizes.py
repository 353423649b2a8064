"""Write `folder_report(root)` for an architects' office. For each direct subfolder of `root` sum the bytes of all
files in it, at any depth; files directly in `root` count for the name ".". Return a list of text lines
"<size> <name>", largest first, ties by name. The size is "N B" below 1024 bytes, else "N.N KiB" with one decimal
below 1024 * 1024 bytes, else "N.N MiB". Empty subfolders appear with "0 B"; "." appears only when `root` directly
holds a file."""

from pathlib import Path

KIB = 1024


def _readable(size: int) -> str:
    if size < KIB:
        return f"{size} B"
    if size < KIB * KIB:
        return f"{size / KIB:.1f} KiB"
    return f"{size / (KIB * KIB):.1f} MiB"


def folder_report(root: Path) -> list[str]:
    sizes: dict[str, int] = {}
    for entry in root.iterdir():
        if entry.is_dir():
            sizes[entry.name] = sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
        else:
            sizes["."] = sizes.get(".", 0) + entry.stat().st_size
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return [f"{_readable(size)} {name}" for name, size in ranked]


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestProjectFolderSizes(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)

    def fill(self, name: str, size: int) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)

    def test_empty_root(self) -> None:
        self.assertEqual(folder_report(self.root), [])

    def test_files_in_root_are_added_under_the_dot(self) -> None:
        self.fill("a.txt", 10)
        self.fill("b.txt", 5)
        self.assertEqual(folder_report(self.root), ["15 B ."])

    def test_empty_file_in_root_shows_the_dot(self) -> None:
        self.fill("a.txt", 0)
        self.assertEqual(folder_report(self.root), ["0 B ."])

    def test_subfolders_are_summed_at_any_depth(self) -> None:
        self.fill("villa/plan.txt", 100)
        self.fill("villa/old/2019/plan.txt", 50)
        self.fill("barn/plan.txt", 200)
        self.assertEqual(folder_report(self.root), ["200 B barn", "150 B villa"])

    def test_ties_by_name_and_empty_folder(self) -> None:
        self.fill("b/x", 7)
        self.fill("a/x", 7)
        (self.root / "empty").mkdir()
        self.assertEqual(folder_report(self.root), ["7 B a", "7 B b", "0 B empty"])

    def test_border_of_kib(self) -> None:
        self.fill("a/x", 1023)
        self.fill("b/x", 1024)
        self.assertEqual(folder_report(self.root), ["1.0 KiB b", "1023 B a"])

    def test_border_of_mib(self) -> None:
        self.fill("a/x", 1024 * 1024 - 1)
        self.fill("b/x", 1024 * 1024)
        self.fill("c/x", 1024 * 1536)
        self.assertEqual(folder_report(self.root), ["1.5 MiB c", "1.0 MiB b", "1024.0 KiB a"])

    def test_order_follows_bytes_not_text(self) -> None:
        self.fill("a/x", 900)
        self.fill("b/x", 3000)
        self.assertEqual(folder_report(self.root), ["2.9 KiB b", "900 B a"])
