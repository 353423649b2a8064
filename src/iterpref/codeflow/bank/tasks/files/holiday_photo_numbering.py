"""Write `number_photos(folder, prefix, start=1)`. Rename all files in the folder (not in subfolders) whose suffix is
.jpg or .jpeg in any case, in alphabetical order of their old lower-cased names, to prefix-NNN.jpg with a three-digit
running number from `start`. Return a dict from old to new name in that order. When a new name is taken by a file that
is not itself among those renamed, raise FileExistsError before renaming anything. Chains such as trip-001.jpg
becoming trip-002.jpg while trip-002.jpg becomes trip-003.jpg must work."""

from pathlib import Path


def number_photos(folder: Path, prefix: str, start: int = 1) -> dict[str, str]:
    photos = [path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in {".jpg", ".jpeg"}]
    photos.sort(key=lambda path: path.name.lower())
    names = {path.name: f"{prefix}-{number:03}.jpg" for number, path in enumerate(photos, start)}
    for new in names.values():
        if new not in names and (folder / new).exists():
            raise FileExistsError(new)
    for old in names:
        (folder / old).rename(folder / f"{old}.moving")
    for old, new in names.items():
        (folder / f"{old}.moving").rename(folder / new)
    return names


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestHolidayPhotoNumbering(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, *names: str) -> None:
        for name in names:
            (self.folder / name).write_text(f"was {name}")

    def contents(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir() if path.is_file()}

    def test_empty_folder(self) -> None:
        self.assertEqual(number_photos(self.folder, "trip"), {})

    def test_photos_are_numbered_from_one(self) -> None:
        self.fill("b.jpg", "a.jpeg")
        names = number_photos(self.folder, "trip")
        self.assertEqual(list(names.items()), [("a.jpeg", "trip-001.jpg"), ("b.jpg", "trip-002.jpg")])
        self.assertEqual(self.contents(), {"trip-001.jpg": "was a.jpeg", "trip-002.jpg": "was b.jpg"})

    def test_case_is_ignored(self) -> None:
        self.fill("Z.JPG", "a.jpg", "B.Jpeg")
        self.assertEqual(list(number_photos(self.folder, "x")), ["a.jpg", "B.Jpeg", "Z.JPG"])

    def test_start_number(self) -> None:
        self.fill("a.jpg", "b.jpg")
        self.assertEqual(number_photos(self.folder, "x", 99), {"a.jpg": "x-099.jpg", "b.jpg": "x-100.jpg"})

    def test_other_files_and_folders_stay(self) -> None:
        self.fill("a.png", "jpg", "a.jpg")
        (self.folder / "album.jpg").mkdir()
        (self.folder / "album.jpg" / "in.jpg").write_text("deep")
        number_photos(self.folder, "x")
        self.assertEqual(self.contents(), {"a.png": "was a.png", "jpg": "was jpg", "x-001.jpg": "was a.jpg"})
        self.assertEqual((self.folder / "album.jpg" / "in.jpg").read_text(), "deep")

    def test_chain_of_names(self) -> None:
        self.fill("trip-001.jpg", "trip-002.jpg")
        number_photos(self.folder, "trip", 2)
        self.assertEqual(self.contents(), {"trip-002.jpg": "was trip-001.jpg", "trip-003.jpg": "was trip-002.jpg"})

    def test_taken_name_raises_and_renames_nothing(self) -> None:
        self.fill("a.jpg", "b.jpg")
        (self.folder / "x-002.jpg").mkdir()
        with self.assertRaises(FileExistsError):
            number_photos(self.folder, "x")
        self.assertEqual(self.contents(), {"a.jpg": "was a.jpg", "b.jpg": "was b.jpg"})
