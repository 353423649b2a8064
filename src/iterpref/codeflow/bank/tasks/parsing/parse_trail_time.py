"""Write parse_trail_time(text), which returns the walking time in whole minutes. Accepted forms, blanks ignored and
any letter case: "H:MM" with minutes 00 to 59; hours "2h" or "1.25h"; minutes "40min"; or hours followed by minutes
("2h 15min"). Hours may have decimals, minutes may not. Work exactly in decimals and round a fraction of a minute up.
Any other text, including the empty one, raises ValueError."""

import math
import re
from decimal import Decimal

_CLOCK = re.compile(r"(\d+):([0-5]\d)")
_UNITS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+)min)?")


def parse_trail_time(text: str) -> int:
    compact = "".join(text.split()).lower()
    if clock := _CLOCK.fullmatch(compact):
        return int(clock[1]) * 60 + int(clock[2])
    units = _UNITS.fullmatch(compact)
    if not compact or units is None:
        raise ValueError(f"not a walking time: {text!r}")
    hours, minutes = units.groups(default="0")
    return math.ceil(Decimal(hours) * 60) + int(minutes)


# --- tests ---

import unittest


class TestParseTrailTime(unittest.TestCase):
    def test_hours_and_minutes(self) -> None:
        self.assertEqual(parse_trail_time("2h 15min"), 135)

    def test_hours_alone(self) -> None:
        self.assertEqual(parse_trail_time("3 h"), 180)

    def test_minutes_alone_may_exceed_an_hour(self) -> None:
        self.assertEqual(parse_trail_time("95min"), 95)

    def test_decimal_hours_are_exact(self) -> None:
        self.assertEqual(parse_trail_time("1.25h"), 75)
        self.assertEqual(parse_trail_time("1.1h"), 66)

    def test_a_fraction_of_a_minute_rounds_up(self) -> None:
        self.assertEqual(parse_trail_time("0.01h"), 1)
        self.assertEqual(parse_trail_time("0.34h 5min"), 26)

    def test_clock_form(self) -> None:
        self.assertEqual(parse_trail_time("1:05"), 65)
        self.assertEqual(parse_trail_time("10:59"), 659)
        self.assertEqual(parse_trail_time("0:00"), 0)

    def test_capitals_and_blanks(self) -> None:
        self.assertEqual(parse_trail_time("  1 H 5 Min "), 65)

    def test_other_texts_are_refused(self) -> None:
        for text in ("", "  ", "1:60", "1:5", "15", "h", "1.h", "1.5min", "15min 2h", "2h15", "-1h", "2 hours"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                parse_trail_time(text)
