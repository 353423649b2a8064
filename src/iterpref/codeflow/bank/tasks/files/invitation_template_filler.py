"""Write `fill_templates(folder, guest, values)`. For each file ending in ".tmpl" in `folder`, write its text with
every "{{name}}" replaced by values["name"] to the new subfolder named `guest`, under the same name without ".tmpl".
Names consist of letters, digits and underscores and may have spaces around them inside the braces; inserted values
are not searched again. Return the sorted written names. A name without value raises KeyError before anything is
created, an existing subfolder FileExistsError. Without templates the subfolder is created all the same."""

import re
from pathlib import Path

PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


def fill_templates(folder: Path, guest: str, values: dict[str, str]) -> list[str]:
    texts: dict[str, str] = {}
    for template in folder.glob("*.tmpl"):
        text = template.read_text(encoding="utf-8")
        texts[template.stem] = PLACEHOLDER.sub(lambda match: values[match[1]], text)
    output = folder / guest
    output.mkdir()
    for name, text in texts.items():
        (output / name).write_text(text, encoding="utf-8")
    return sorted(texts)


# --- tests ---

import tempfile
import unittest
from pathlib import Path


class TestInvitationTemplateFiller(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def fill(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def test_placeholders_are_replaced(self) -> None:
        self.fill("card.txt.tmpl", "Dear {{name}}, {{name}}! Come at {{hour_2}}.")
        self.assertEqual(fill_templates(self.folder, "ivy", {"name": "Ivy", "hour_2": "7"}), ["card.txt"])
        self.assertEqual(self.read("ivy/card.txt"), "Dear Ivy, Ivy! Come at 7.")

    def test_spaces_in_the_braces(self) -> None:
        self.fill("a.tmpl", "{{ name }}{{name  }}")
        fill_templates(self.folder, "ivy", {"name": "x"})
        self.assertEqual(self.read("ivy/a"), "xx")

    def test_other_braces_stay(self) -> None:
        self.fill("a.tmpl", "{name} {{}} {{two words}}")
        fill_templates(self.folder, "ivy", {"name": "x"})
        self.assertEqual(self.read("ivy/a"), "{name} {{}} {{two words}}")

    def test_values_are_not_searched_again(self) -> None:
        self.fill("a.tmpl", "{{name}}")
        fill_templates(self.folder, "ivy", {"name": "{{host}} \\1", "host": "Bo"})
        self.assertEqual(self.read("ivy/a"), "{{host}} \\1")

    def test_names_are_sorted_and_other_files_ignored(self) -> None:
        for name in ("b.md.tmpl", "a.md.tmpl", "c.md"):
            self.fill(name, "hello")
        self.assertEqual(fill_templates(self.folder, "ivy", {}), ["a.md", "b.md"])
        self.assertEqual(sorted(path.name for path in (self.folder / "ivy").iterdir()), ["a.md", "b.md"])

    def test_templates_stay_unchanged(self) -> None:
        self.fill("a.tmpl", "{{name}}")
        fill_templates(self.folder, "ivy", {"name": "x"})
        self.assertEqual(self.read("a.tmpl"), "{{name}}")

    def test_missing_value_raises_and_creates_nothing(self) -> None:
        self.fill("a.tmpl", "fine")
        self.fill("b.tmpl", "{{name}}")
        with self.assertRaises(KeyError):
            fill_templates(self.folder, "ivy", {"Name": "x"})
        self.assertFalse((self.folder / "ivy").exists())

    def test_existing_subfolder_raises(self) -> None:
        (self.folder / "ivy").mkdir()
        with self.assertRaises(FileExistsError):
            fill_templates(self.folder, "ivy", {})

    def test_no_templates(self) -> None:
        self.assertEqual(fill_templates(self.folder, "ivy", {}), [])
        self.assertTrue((self.folder / "ivy").is_dir())
