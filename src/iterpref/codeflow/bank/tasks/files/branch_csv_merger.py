"""Write `merge_branches(folder, target)`. Merge all .csv files of the folder (UTF-8, first line a header), in
alphabetical order of name, into the file `target`: its columns are "branch" (the file name without suffix), then all
columns of the files in order of first appearance. Cells that a file lacks are empty. Files without a header or rows
add nothing but their columns. Return the number of data rows. `target` itself is skipped when it lies in the folder.
A file with a column "branch" raises ValueError before anything is written."""

import csv
from pathlib import Path


def merge_branches(folder: Path, target: Path) -> int:
    columns = ["branch"]
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        if path == target:
            continue
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if "branch" in header:
                raise ValueError(f"{path.name} has a column named branch")
            columns.extend(name for name in header if name not in columns)
            rows.extend({"branch": path.stem, **row} for row in reader)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


# --- tests ---

import tempfile
import unittest
from csv import reader
from pathlib import Path


class TestBranchCsvMerger(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.target = self.folder / "all.csv"

    def fill(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def table(self) -> list[list[str]]:
        with self.target.open(encoding="utf-8", newline="") as file:
            return list(reader(file))

    def test_no_files(self) -> None:
        self.assertEqual(merge_branches(self.folder, self.target), 0)
        self.assertEqual(self.table(), [["branch"]])

    def test_files_are_merged_in_order_of_name(self) -> None:
        self.fill("york.csv", "item,sold\ntea,3\n")
        self.fill("bath.csv", "item,sold\njam,5\ntea,1\n")
        self.assertEqual(merge_branches(self.folder, self.target), 3)
        expected = [["branch", "item", "sold"], ["bath", "jam", "5"], ["bath", "tea", "1"], ["york", "tea", "3"]]
        self.assertEqual(self.table(), expected)

    def test_many_branches_are_sorted(self) -> None:
        for name in "qdzkamwb":
            self.fill(f"{name}.csv", "item\ntea\n")
        merge_branches(self.folder, self.target)
        self.assertEqual([row[0] for row in self.table()[1:]], list("abdkmqwz"))

    def test_missing_columns_are_empty(self) -> None:
        self.fill("a.csv", "item,sold\ntea,3\n")
        self.fill("b.csv", "price,item\n9,jam\n")
        merge_branches(self.folder, self.target)
        expected = [["branch", "item", "sold", "price"], ["a", "tea", "3", ""], ["b", "jam", "", "9"]]
        self.assertEqual(self.table(), expected)

    def test_empty_and_header_only_files(self) -> None:
        self.fill("a.csv", "")
        self.fill("b.csv", "item\n")
        self.assertEqual(merge_branches(self.folder, self.target), 0)
        self.assertEqual(self.table(), [["branch", "item"]])

    def test_old_target_in_the_folder_is_skipped(self) -> None:
        self.fill("a.csv", "item\ntea\n")
        merge_branches(self.folder, self.target)
        self.assertEqual(merge_branches(self.folder, self.target), 1)
        self.assertEqual(self.table(), [["branch", "item"], ["a", "tea"]])

    def test_other_suffixes_are_ignored(self) -> None:
        self.fill("a.csv", "item\ntea\n")
        self.fill("b.txt", "item\njam\n")
        self.assertEqual(merge_branches(self.folder, self.target), 1)

    def test_commas_and_umlauts_survive(self) -> None:
        self.fill("a.csv", 'item\n"K\u00e4se, jung"\n')
        merge_branches(self.folder, self.target)
        self.assertEqual(self.table()[1], ["a", "K\u00e4se, jung"])

    def test_branch_column_raises_and_writes_nothing(self) -> None:
        self.fill("a.csv", "item\ntea\n")
        self.fill("b.csv", "branch,item\nx,jam\n")
        with self.assertRaises(ValueError):
            merge_branches(self.folder, self.target)
        self.assertFalse(self.target.exists())
