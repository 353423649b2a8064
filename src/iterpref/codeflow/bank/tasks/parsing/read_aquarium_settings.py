"""Write read_aquarium_settings(text), returning {section: {key: value}}. "[name]" starts a section or continues one
of that name; keys before any section go under "", present only if used. "key = value" splits at the first "="; strip
blanks around section, key and value. Values: on/off in any letter case become bool, otherwise int, else float, else
str, as Python reads them. Skip blank lines and those starting with ";". Later keys overwrite. A line without "=" or
with an empty key raises ValueError naming it as "line 3" (1-based)."""

Setting = bool | int | float | str


def _convert(raw: str) -> Setting:
    if raw.lower() in ("on", "off"):
        return raw.lower() == "on"
    for kind in (int, float):
        try:
            return kind(raw)
        except ValueError:
            pass
    return raw


def read_aquarium_settings(text: str) -> dict[str, dict[str, Setting]]:
    settings: dict[str, dict[str, Setting]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            settings.setdefault(section, {})
            continue
        key, equals, raw = line.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"line {number}: expected key = value")
        settings.setdefault(section, {})[key.strip()] = _convert(raw.strip())
    return settings


# --- tests ---

import unittest


class TestReadAquariumSettings(unittest.TestCase):
    def test_sections_and_types(self) -> None:
        text = "[reef]\nheater = ON\npump=off\nlitres = 240\nsalinity = 1.025\nowner = Mia\n"
        settings = read_aquarium_settings(text)
        expected = {"heater": True, "pump": False, "litres": 240, "salinity": 1.025, "owner": "Mia"}
        self.assertEqual(settings, {"reef": expected})
        self.assertEqual([type(value) for value in settings["reef"].values()], [bool, bool, int, float, str])

    def test_no_lines(self) -> None:
        self.assertEqual(read_aquarium_settings(""), {})

    def test_keys_before_any_section(self) -> None:
        self.assertEqual(read_aquarium_settings("light = 8\n[ pond ]"), {"": {"light": 8}, "pond": {}})

    def test_a_section_is_continued(self) -> None:
        text = "[a]\nx = 1\n[b]\nx = 2\n[a]\ny = 3\nx = 4"
        self.assertEqual(read_aquarium_settings(text), {"a": {"x": 4, "y": 3}, "b": {"x": 2}})

    def test_blank_lines_and_comments_are_skipped(self) -> None:
        self.assertEqual(read_aquarium_settings("\n ; [x]\n;y = 2\n  \n[z]\n"), {"z": {}})

    def test_the_first_equals_sign_splits(self) -> None:
        self.assertEqual(read_aquarium_settings("note = a = b"), {"": {"note": "a = b"}})

    def test_an_empty_value_is_an_empty_text(self) -> None:
        self.assertEqual(read_aquarium_settings("note ="), {"": {"note": ""}})

    def test_words_close_to_the_switches_stay_text(self) -> None:
        self.assertEqual(read_aquarium_settings("mode = offline\nday = one"), {"": {"mode": "offline", "day": "one"}})

    def test_errors_name_the_line(self) -> None:
        for text, where in (("a = 1\n\nheater", "line 3"), ("= 5", "line 1"), ("[tank\na = 1", "line 1")):
            with self.subTest(text=text), self.assertRaisesRegex(ValueError, where):
                read_aquarium_settings(text)
