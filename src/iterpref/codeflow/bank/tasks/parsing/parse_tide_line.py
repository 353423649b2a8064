"""Write parse_tide_line(line) for a harbour app. A line reads like "High 14:05 5.20m": the word High or Low in any
letter case, a 24-hour time HH:MM, and a height in metres with exactly two decimals and perhaps a minus sign,
separated by one or more blanks; outer blanks are allowed. Return the tuple (kind in lower case, minutes since
midnight, height in centimetres as an exact int). Anything else, including an hour above 23 or a minute above 59,
raises ValueError."""

import re

_TIDE = re.compile(r"(high|low) +(\d\d):(\d\d) +(-?\d+\.\d\d)m", re.IGNORECASE)


def parse_tide_line(line: str) -> tuple[str, int, int]:
    match = _TIDE.fullmatch(line.strip())
    if match is None:
        raise ValueError(f"not a tide line: {line!r}")
    kind, hour, minute, height = match.groups()
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"not a time of day: {hour}:{minute}")
    return kind.lower(), int(hour) * 60 + int(minute), round(float(height) * 100)


# --- tests ---

import unittest


class TestParseTideLine(unittest.TestCase):
    def test_a_plain_line(self) -> None:
        self.assertEqual(parse_tide_line("High 14:05 5.20m"), ("high", 845, 520))

    def test_any_letter_case_and_extra_blanks(self) -> None:
        self.assertEqual(parse_tide_line("  LOW   00:09  0.62m "), ("low", 9, 62))

    def test_a_negative_height(self) -> None:
        self.assertEqual(parse_tide_line("low 03:00 -0.15m"), ("low", 180, -15))

    def test_centimetres_are_exact(self) -> None:
        self.assertEqual(parse_tide_line("high 01:00 4.35m")[2], 435)
        self.assertEqual(parse_tide_line("high 01:00 2.01m")[2], 201)

    def test_the_last_minute_of_the_day_is_fine(self) -> None:
        self.assertEqual(parse_tide_line("Low 23:59 10.00m"), ("low", 1439, 1000))

    def test_hour_24_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            parse_tide_line("Low 24:00 1.00m")

    def test_minute_60_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            parse_tide_line("Low 12:60 1.00m")

    def test_other_text_is_refused(self) -> None:
        for line in ("", "Mid 12:00 1.00m", "Low 12:00 1.0m", "Low 12:00 1.00", "Low 2:00 1.00m", "Low 12:00 1.00m ok"):
            with self.subTest(line=line), self.assertRaises(ValueError):
                parse_tide_line(line)
