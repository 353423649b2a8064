"""Write `mirror(source, target)`. Make the files of folder `target` (created when missing, with parents) equal to
those of `source`, subfolders included. Return a dict with the sorted lists of relative paths (forward slashes)
"added" (only in source, copied), "changed" (in both, content differs, copied) and "removed" (only in target,
deleted). Files that are equal are not written. Folders left empty in the target may stay. A source that is no folder
raises NotADirectoryError and the target is not touched."""

import shutil
from pathlib import Path


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def mirror(source: Path, target: Path) -> dict[str, list[str]]:
    if not source.is_dir():
        raise NotADirectoryError(source)
    target.mkdir(parents=True, exist_ok=True)
    wanted, present = _files(source), _files(target)
    added = sorted(wanted - present)
    removed = sorted(present - wanted)
    changed = sorted(name for name in wanted & present if (source / name).read_bytes() != (target / name).read_bytes())
    for name in removed:
        (target / name).unlink()
    for name in added + changed:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, destination)
    return {"added": added, "changed": changed, "removed": removed}


# --- tests ---

import os
import tempfile
import unittest
from pathlib import Path


class TestOneWayMirror(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.source = Path(temporary.name) / "source"
        self.target = Path(temporary.name) / "copies" / "target"
        self.source.mkdir()

    def fill(self, folder: Path, contents: dict[str, str]) -> None:
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def contents(self, folder: Path) -> dict[str, str]:
        return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}

    def test_empty_source_creates_the_target(self) -> None:
        self.assertEqual(mirror(self.source, self.target), {"added": [], "changed": [], "removed": []})
        self.assertTrue(self.target.is_dir())

    def test_new_files_are_added(self) -> None:
        self.fill(self.source, {"b.txt": "B", "a/deep/c.txt": "C"})
        self.assertEqual(mirror(self.source, self.target)["added"], ["a/deep/c.txt", "b.txt"])
        self.assertEqual(self.contents(self.target), {"b.txt": "B", "a/deep/c.txt": "C"})

    def test_changed_files_are_copied_even_with_the_same_size(self) -> None:
        self.fill(self.source, {"a": "new", "b": "same"})
        self.fill(self.target, {"a": "old", "b": "same"})
        self.assertEqual(mirror(self.source, self.target), {"added": [], "changed": ["a"], "removed": []})
        self.assertEqual(self.contents(self.target), {"a": "new", "b": "same"})

    def test_surplus_files_are_removed(self) -> None:
        self.fill(self.source, {"a": "A"})
        self.fill(self.target, {"a": "A", "z": "Z", "old/y": "Y"})
        self.assertEqual(mirror(self.source, self.target), {"added": [], "changed": [], "removed": ["old/y", "z"]})
        self.assertEqual(self.contents(self.target), {"a": "A"})

    def test_all_at_once_leaves_the_source_alone(self) -> None:
        self.fill(self.source, {"a": "1", "b": "2", "d/e": "3"})
        self.fill(self.target, {"b": "x", "c": "y"})
        report = mirror(self.source, self.target)
        self.assertEqual(report, {"added": ["a", "d/e"], "changed": ["b"], "removed": ["c"]})
        self.assertEqual(self.contents(self.source), {"a": "1", "b": "2", "d/e": "3"})
        self.assertEqual(self.contents(self.target), self.contents(self.source))

    def test_equal_files_are_not_written(self) -> None:
        self.fill(self.source, {"a": "A"})
        self.fill(self.target, {"a": "A"})
        os.utime(self.target / "a", (1000, 1000))
        mirror(self.source, self.target)
        self.assertEqual((self.target / "a").stat().st_mtime, 1000)

    def test_lists_are_sorted(self) -> None:
        self.fill(self.source, dict.fromkeys(["n", "d", "x", "a", "k", "q"], "new"))
        self.fill(self.target, dict.fromkeys(["d", "q", "a", "z", "m", "b", "s"], "old"))
        report = mirror(self.source, self.target)
        self.assertEqual(
            report, {"added": ["k", "n", "x"], "changed": ["a", "d", "q"], "removed": ["b", "m", "s", "z"]}
        )

    def test_second_run_finds_nothing(self) -> None:
        self.fill(self.source, {"a": "1", "d/e": "3"})
        mirror(self.source, self.target)
        self.assertEqual(mirror(self.source, self.target), {"added": [], "changed": [], "removed": []})

    def test_missing_source_raises_and_keeps_the_target(self) -> None:
        self.fill(self.target, {"a": "A"})
        with self.assertRaises(NotADirectoryError):
            mirror(self.source / "nowhere", self.target)
        self.assertEqual(self.contents(self.target), {"a": "A"})
