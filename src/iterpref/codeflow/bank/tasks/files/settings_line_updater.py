"""Write `set_option(path, key, value)` for settings files with lines "key = value". Rewrite the first line of that
key as "key = value" and remove later lines of it; when the key is absent, append that line at the end (also when the
file does not exist yet). Comments (starting with "#" after optional spaces) and all other lines stay as they are. The
file then ends with a line feed. Return the old value, stripped, or None. An empty key or one holding "=" or "#"
raises ValueError."""

from pathlib import Path


def _key_of(line: str) -> str | None:
    if "=" not in line:
        return None
    return line.split("=")[0].strip()


def set_option(path: Path, key: str, value: str) -> str | None:
    if not key or "=" in key or "#" in key:
        raise ValueError(f"bad key {key!r}")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    old: str | None = None
    kept: list[str] = []
    for line in lines:
        if _key_of(line) != key:
            kept.append(line)
        elif old is None:
            old = line.split("=", 1)[1].strip()
            kept.append(f"{key} = {value}")
    if old is None:
        kept.append(f"{key} = {value}")
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return old


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestSettingsLineUpdater(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "app.conf"

    def test_missing_file_is_created(self) -> None:
        self.assertIsNone(set_option(self.path, "port", "80"))
        self.assertEqual(self.path.read_text(), "port = 80\n")

    def test_value_is_replaced_in_place(self) -> None:
        self.path.write_text("host=home\nport=  70 \nuser = me\n")
        self.assertEqual(set_option(self.path, "port", "80"), "70")
        self.assertEqual(self.path.read_text(), "host=home\nport = 80\nuser = me\n")

    def test_absent_key_is_appended(self) -> None:
        self.path.write_text("host=home")
        self.assertIsNone(set_option(self.path, "port", "80"))
        self.assertEqual(self.path.read_text(), "host=home\nport = 80\n")

    def test_comments_and_blank_lines_stay(self) -> None:
        text = "# port = 1\n\n  # port=2\nport\n"
        self.path.write_text(text)
        self.assertIsNone(set_option(self.path, "port", "80"))
        self.assertEqual(self.path.read_text(), text + "port = 80\n")

    def test_later_lines_of_the_key_are_removed(self) -> None:
        self.path.write_text("port = 1\nhost = a\nport = 2\nport = 3\n")
        self.assertEqual(set_option(self.path, "port", "80"), "1")
        self.assertEqual(self.path.read_text(), "port = 80\nhost = a\n")

    def test_similar_keys_are_left_alone(self) -> None:
        self.path.write_text("port2 = 1\nPort = 2\nmy port = 3\n")
        set_option(self.path, "port", "80")
        self.assertEqual(self.path.read_text(), "port2 = 1\nPort = 2\nmy port = 3\nport = 80\n")

    def test_values_may_hold_equal_signs(self) -> None:
        self.path.write_text("query = a=b\n")
        self.assertEqual(set_option(self.path, "query", "c=d"), "a=b")
        self.assertEqual(self.path.read_text(), "query = c=d\n")

    def test_empty_old_value_is_a_value(self) -> None:
        self.path.write_text("port =\nport = 5\n")
        self.assertEqual(set_option(self.path, "port", "80"), "")
        self.assertEqual(self.path.read_text(), "port = 80\n")

    def test_bad_keys_raise(self) -> None:
        for key in ("", "a=b", "#a"):
            with self.assertRaises(ValueError):
                set_option(self.path, key, "1")
        self.assertFalse(self.path.exists())
