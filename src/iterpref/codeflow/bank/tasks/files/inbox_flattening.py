"""Write `flatten(folder)`. Move all files of the subfolders, at any depth, directly into `folder` and delete the
subfolders. Files already there stay. Handle the files in alphabetical order of their relative paths (forward
slashes); when a name is taken, insert "-2" before the suffix, then "-3" and so on until it is free (a.txt, a-2.txt,
a-3.txt). Return a dict from the old relative path to the new name, in that order. Without subfolders nothing happens
and the dict is empty."""

import shutil
from pathlib import Path


def _free_name(folder: Path, name: Path) -> Path:
    candidate = folder / name.name
    number = 2
    while candidate.exists():
        candidate = folder / f"{name.stem}-{number}{name.suffix}"
        number += 1
    return candidate


def flatten(folder: Path) -> dict[str, str]:
    subfolders = [path for path in folder.iterdir() if path.is_dir()]
    moved: dict[str, str] = {}
    files = [path for subfolder in subfolders for path in subfolder.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda file: file.relative_to(folder).as_posix()):
        target = _free_name(folder, path)
        moved[path.relative_to(folder).as_posix()] = target.name
        path.rename(target)
    for subfolder in subfolders:
        shutil.rmtree(subfolder)
    return moved


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestInboxFlattening(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, *names: str) -> None:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"was {name}")

    def contents(self) -> dict[str, str]:
        return {path.name: path.read_text() if path.is_file() else "a folder" for path in self.folder.iterdir()}

    def test_empty_folder(self) -> None:
        self.assertEqual(flatten(self.folder), {})

    def test_files_at_the_top_stay(self) -> None:
        self.fill("a.txt", "b.txt")
        self.assertEqual(flatten(self.folder), {})
        self.assertEqual(self.contents(), {"a.txt": "was a.txt", "b.txt": "was b.txt"})

    def test_files_at_any_depth_are_moved(self) -> None:
        self.fill("x/a.txt", "x/y/z/b.txt", "c.txt")
        self.assertEqual(flatten(self.folder), {"x/a.txt": "a.txt", "x/y/z/b.txt": "b.txt"})
        self.assertEqual(self.contents(), {"a.txt": "was x/a.txt", "b.txt": "was x/y/z/b.txt", "c.txt": "was c.txt"})

    def test_taken_names_get_numbers(self) -> None:
        self.fill("a.txt", "x/a.txt", "y/a.txt", "w/a.txt")
        moved = flatten(self.folder)
        expected = [("w/a.txt", "a-2.txt"), ("x/a.txt", "a-3.txt"), ("y/a.txt", "a-4.txt")]
        self.assertEqual(list(moved.items()), expected)
        self.assertEqual(self.contents()["a-3.txt"], "was x/a.txt")
        self.assertEqual(self.contents()["a.txt"], "was a.txt")

    def test_numbered_name_may_be_taken_too(self) -> None:
        self.fill("a.txt", "a-2.txt", "x/a.txt")
        self.assertEqual(flatten(self.folder), {"x/a.txt": "a-3.txt"})

    def test_name_without_suffix(self) -> None:
        self.fill("note", "x/note")
        self.assertEqual(flatten(self.folder), {"x/note": "note-2"})

    def test_empty_subfolders_are_deleted(self) -> None:
        (self.folder / "x" / "y").mkdir(parents=True)
        self.fill("a.txt")
        self.assertEqual(flatten(self.folder), {})
        self.assertEqual(self.contents(), {"a.txt": "was a.txt"})

    def test_order_follows_the_whole_path(self) -> None:
        self.fill("b/1.txt", "a/c/1.txt", "a/b.txt")
        self.assertEqual(list(flatten(self.folder)), ["a/b.txt", "a/c/1.txt", "b/1.txt"])
