"""Write `rotate_backups(folder, keep)`. The folder holds backups named "backup-YYYY-MM-DD.zip". Delete all but the
`keep` newest by the date in the name and return the sorted list of the deleted file names. Files with other names
(also "backup-2024-1-5.zip", with single digits) and subfolders, whatever their names, are left alone and do not
count. `keep` may be 0, which deletes all backups; a negative one raises ValueError before anything is deleted."""

import re
from pathlib import Path

BACKUP_NAME = re.compile(r"backup-\d{4}-\d{2}-\d{2}\.zip")


def rotate_backups(folder: Path, keep: int) -> list[str]:
    if keep < 0:
        raise ValueError(f"cannot keep {keep} backups")
    backups = [path for path in folder.iterdir() if path.is_file() and BACKUP_NAME.fullmatch(path.name)]
    backups.sort(key=lambda path: path.name, reverse=True)
    deleted = []
    for path in backups[keep:]:
        path.unlink()
        deleted.append(path.name)
    return sorted(deleted)


# --- tests ---

import tempfile
import unittest
from pathlib import Path

DAYS = ["backup-2023-12-31.zip", "backup-2024-01-05.zip", "backup-2024-02-01.zip"]


class TestBackupRotation(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, names: list[str]) -> None:
        for name in names:
            (self.folder / name).write_text("data")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_newest_are_kept(self) -> None:
        self.fill(DAYS)
        self.assertEqual(rotate_backups(self.folder, 2), [DAYS[0]])
        self.assertEqual(self.names(), DAYS[1:])

    def test_deleted_names_are_sorted(self) -> None:
        self.fill(DAYS)
        self.assertEqual(rotate_backups(self.folder, 1), DAYS[:2])
        self.assertEqual(self.names(), DAYS[2:])

    def test_keeping_as_many_as_there_are_deletes_nothing(self) -> None:
        self.fill(DAYS)
        self.assertEqual(rotate_backups(self.folder, 3), [])
        self.assertEqual(rotate_backups(self.folder, 4), [])
        self.assertEqual(self.names(), DAYS)

    def test_keep_zero_deletes_all_backups(self) -> None:
        self.fill([*DAYS, "notes.txt"])
        self.assertEqual(rotate_backups(self.folder, 0), DAYS)
        self.assertEqual(self.names(), ["notes.txt"])

    def test_other_files_are_left_alone(self) -> None:
        others = [
            "backup-2022-01-01.zip.part",
            "backup-2024-1-5.zip",
            "backup-2024-01-05xzip",
            "my-backup-2020-01-01.zip",
        ]
        self.fill([*others, DAYS[0]])
        self.assertEqual(rotate_backups(self.folder, 0), [DAYS[0]])
        self.assertEqual(self.names(), sorted(others))

    def test_subfolder_does_not_count(self) -> None:
        self.fill(DAYS[:1])
        (self.folder / DAYS[2]).mkdir()
        self.assertEqual(rotate_backups(self.folder, 1), [])
        self.assertEqual(self.names(), [DAYS[0], DAYS[2]])

    def test_negative_keep_raises_and_deletes_nothing(self) -> None:
        self.fill(DAYS)
        with self.assertRaises(ValueError):
            rotate_backups(self.folder, -1)
        self.assertEqual(self.names(), DAYS)

    def test_empty_folder(self) -> None:
        self.assertEqual(rotate_backups(self.folder, 1), [])
