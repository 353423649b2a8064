"""Write `write_manifest(folder)` and `check_manifest(folder)`. The first writes the file "MANIFEST" into the folder,
one line "<SHA-256 in hex> <bytes> <name>" for each other file directly in it, sorted by name, and returns how many.
The second reads it and returns a dict from name, sorted, to "ok", "missing" (no such file), "size", "content" (same
size, other hash) or "extra" (a file that is not listed); "MANIFEST" itself is left out. Subfolders are ignored.
Without a MANIFEST the second raises FileNotFoundError."""

import hashlib
from pathlib import Path

MANIFEST = "MANIFEST"


def _entries(folder: Path) -> dict[str, tuple[str, int]]:
    entries = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != MANIFEST:
            content = path.read_bytes()
            entries[path.name] = (hashlib.sha256(content).hexdigest(), len(content))
    return entries


def write_manifest(folder: Path) -> int:
    entries = _entries(folder)
    lines = [f"{digest} {size} {name}\n" for name, (digest, size) in entries.items()]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    return len(entries)


def check_manifest(folder: Path) -> dict[str, str]:
    found = _entries(folder)
    verdicts = dict.fromkeys(found, "extra")
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        digest, size, name = line.split(" ", 2)
        if name not in found:
            verdicts[name] = "missing"
        elif found[name][1] != int(size):
            verdicts[name] = "size"
        elif found[name][0] != digest:
            verdicts[name] = "content"
        else:
            verdicts[name] = "ok"
    return dict(sorted(verdicts.items()))


# --- tests ---

import tempfile
import unittest
from pathlib import Path

HASH_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestDeliveryManifestCheck(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, contents: dict[str, str]) -> None:
        for name, text in contents.items():
            (self.folder / name).write_text(text)

    def test_empty_folder(self) -> None:
        self.assertEqual(write_manifest(self.folder), 0)
        self.assertEqual((self.folder / "MANIFEST").read_text(), "")
        self.assertEqual(check_manifest(self.folder), {})

    def test_manifest_lines(self) -> None:
        self.fill({"z.txt": "abc", "a b.txt": "abc"})
        self.assertEqual(write_manifest(self.folder), 2)
        expected = f"{HASH_OF_ABC} 3 a b.txt\n{HASH_OF_ABC} 3 z.txt\n"
        self.assertEqual((self.folder / "MANIFEST").read_text(), expected)

    def test_manifest_is_sorted_by_name(self) -> None:
        self.fill(dict.fromkeys("qdzkamwb", "x"))
        write_manifest(self.folder)
        names = [line.split(" ")[2] for line in (self.folder / "MANIFEST").read_text().splitlines()]
        self.assertEqual(names, list("abdkmqwz"))

    def test_untouched_files_are_ok(self) -> None:
        self.fill({"z.txt": "abc", "a b.txt": "other"})
        write_manifest(self.folder)
        self.assertEqual(list(check_manifest(self.folder).items()), [("a b.txt", "ok"), ("z.txt", "ok")])

    def test_manifest_is_not_listed_when_written_again(self) -> None:
        self.fill({"a": "abc"})
        write_manifest(self.folder)
        self.assertEqual(write_manifest(self.folder), 1)
        self.assertEqual(check_manifest(self.folder), {"a": "ok"})

    def test_every_verdict(self) -> None:
        self.fill({"a": "abc", "b": "abc", "c": "abc", "d": "abc"})
        write_manifest(self.folder)
        self.fill({"b": "abd", "c": "abcd", "0": "new"})
        (self.folder / "a").unlink()
        verdicts = [("0", "extra"), ("a", "missing"), ("b", "content"), ("c", "size"), ("d", "ok")]
        self.assertEqual(list(check_manifest(self.folder).items()), verdicts)

    def test_subfolders_are_ignored(self) -> None:
        self.fill({"a": "abc"})
        (self.folder / "deep").mkdir()
        (self.folder / "deep" / "b").write_text("abc")
        self.assertEqual(write_manifest(self.folder), 1)
        self.assertEqual(check_manifest(self.folder), {"a": "ok"})

    def test_no_manifest_raises(self) -> None:
        self.fill({"a": "abc"})
        with self.assertRaises(FileNotFoundError):
            check_manifest(self.folder)
