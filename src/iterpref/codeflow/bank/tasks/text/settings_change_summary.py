"""Write `settings_change_summary(old, new)`. Both texts hold lines "key = value"; spaces around key and value do not
matter, only the first "=" separates, blank lines and lines beginning with "#" are ignored, and for a repeated key the
last line counts. Return a list sorted by key: "+ key = value" for a key only in `new`, "- key = value" for one only
in `old`, "~ key: before -> after" for a changed value. A line without "=" raises ValueError."""


def read_settings(text: str) -> dict[str, str]:
    settings = {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"no '=' in line: {line}")
        settings[key.strip()] = value.strip()
    return settings


def settings_change_summary(old: str, new: str) -> list[str]:
    before, after = read_settings(old), read_settings(new)
    summary = []
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            summary.append(f"+ {key} = {after[key]}")
        elif key not in after:
            summary.append(f"- {key} = {before[key]}")
        elif before[key] != after[key]:
            summary.append(f"~ {key}: {before[key]} -> {after[key]}")
    return summary


# --- tests ---

import unittest


class TestSettingsChangeSummary(unittest.TestCase):
    def test_added_removed_and_changed(self) -> None:
        old = "speed = 3\nport = 80\nmode = calm\n"
        new = "mode = wild\nspeed = 3\nhost = barn\n"
        self.assertEqual(settings_change_summary(old, new), ["+ host = barn", "~ mode: calm -> wild", "- port = 80"])

    def test_equal_settings_in_other_order(self) -> None:
        self.assertEqual(settings_change_summary("a = 1\nb = 2", "b = 2\na = 1"), [])

    def test_spaces_do_not_matter(self) -> None:
        self.assertEqual(settings_change_summary("a=1", "  a   =   1  "), [])

    def test_only_the_first_equals_sign_separates(self) -> None:
        self.assertEqual(settings_change_summary("", "rule = x=y"), ["+ rule = x=y"])
        self.assertEqual(settings_change_summary("rule = x=y", "rule = x=z"), ["~ rule: x=y -> x=z"])

    def test_comments_and_blank_lines(self) -> None:
        self.assertEqual(settings_change_summary("# top\n\n  # a = 2\na = 1\n", "a = 1"), [])

    def test_last_line_of_a_repeated_key_counts(self) -> None:
        self.assertEqual(settings_change_summary("a = 1\na = 2", "a = 3\na = 4"), ["~ a: 2 -> 4"])

    def test_empty_value(self) -> None:
        self.assertEqual(settings_change_summary("a =", "a = 1"), ["~ a:  -> 1"])

    def test_line_without_equals_raises(self) -> None:
        with self.assertRaises(ValueError):
            settings_change_summary("a = 1", "a 1")

    def test_empty_texts(self) -> None:
        self.assertEqual(settings_change_summary("", ""), [])
