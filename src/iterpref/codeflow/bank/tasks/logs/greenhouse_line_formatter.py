"""Write a logging formatter `GreenhouseFormatter`. A record becomes "LEVEL | zone | message": the level name padded
on the right to 8 characters, the record's attribute `zone` ("-" when missing or empty), and the message with its
arguments filled in. Spaces and line breaks at both ends of the message are removed, line breaks inside become
" / ". A line longer than `width` characters (default 60) is cut to exactly `width` characters, the last three being
"..."."""

import logging


class GreenhouseFormatter(logging.Formatter):
    def __init__(self, width: int = 60) -> None:
        super().__init__()
        self.width = width

    def format(self, record: logging.LogRecord) -> str:
        zone = getattr(record, "zone", "") or "-"
        message = " / ".join(record.getMessage().strip().splitlines())
        line = f"{record.levelname:<8} | {zone} | {message}"
        if len(line) > self.width:
            line = line[: self.width - 3] + "..."
        return line


# --- tests ---

import logging
import unittest


def record(message: str, *args: object, level: int = logging.INFO, **extra: str) -> logging.LogRecord:
    made = logging.LogRecord("green", level, "house.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


class TestGreenhouseFormatter(unittest.TestCase):
    def test_level_is_padded_to_eight(self) -> None:
        line = GreenhouseFormatter().format(record("vent open", zone="east"))
        self.assertEqual(line, "INFO     | east | vent open")

    def test_longest_level_name_fills_the_column(self) -> None:
        line = GreenhouseFormatter().format(record("fire", level=logging.CRITICAL, zone="east"))
        self.assertEqual(line, "CRITICAL | east | fire")

    def test_a_missing_or_empty_zone_is_a_dash(self) -> None:
        self.assertEqual(GreenhouseFormatter().format(record("dry")), "INFO     | - | dry")
        self.assertEqual(GreenhouseFormatter().format(record("dry", zone="")), "INFO     | - | dry")

    def test_arguments_are_filled_in(self) -> None:
        line = GreenhouseFormatter().format(record("%d plants at %.1f C", 12, 21.55, zone="b2"))
        self.assertEqual(line, "INFO     | b2 | 12 plants at 21.6 C")

    def test_line_breaks_become_slashes_and_outer_space_goes(self) -> None:
        line = GreenhouseFormatter().format(record("  pump one\npump two\n\n", zone="w"))
        self.assertEqual(line, "INFO     | w | pump one / pump two")

    def test_a_line_of_exactly_the_width_is_kept(self) -> None:
        self.assertEqual(GreenhouseFormatter(width=20).format(record("abcde", zone="z")), "INFO     | z | abcde")

    def test_one_character_more_is_cut(self) -> None:
        self.assertEqual(GreenhouseFormatter(width=20).format(record("abcdef", zone="z")), "INFO     | z | ab...")

    def test_the_default_width_is_sixty(self) -> None:
        self.assertEqual(GreenhouseFormatter().format(record("m" * 45, zone="z")), "INFO     | z | " + "m" * 45)
        self.assertEqual(GreenhouseFormatter().format(record("m" * 46, zone="z")), "INFO     | z | " + "m" * 42 + "...")
