"""Write `voyage_duration_label(minutes)` for a ferry timetable. Turn a whole number of minutes into a text such as
"1 day 2 h 5 min". Leave out the parts that are zero; use "days" for two days or more. Zero minutes gives "0 min". A
negative number raises ValueError."""


def voyage_duration_label(minutes: int) -> str:
    if minutes < 0:
        raise ValueError("a voyage cannot take negative time")
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = []
    if days:
        parts.append(f"{days} day" if days == 1 else f"{days} days")
    if hours:
        parts.append(f"{hours} h")
    if minutes or not parts:
        parts.append(f"{minutes} min")
    return " ".join(parts)


# --- tests ---

import unittest


class TestVoyageDurationLabel(unittest.TestCase):
    def test_all_parts(self) -> None:
        self.assertEqual(voyage_duration_label(1440 + 125), "1 day 2 h 5 min")

    def test_several_days(self) -> None:
        self.assertEqual(voyage_duration_label(3 * 1440 + 60), "3 days 1 h")

    def test_two_days_exactly(self) -> None:
        self.assertEqual(voyage_duration_label(2880), "2 days")

    def test_just_under_an_hour_and_an_hour(self) -> None:
        self.assertEqual(voyage_duration_label(59), "59 min")
        self.assertEqual(voyage_duration_label(60), "1 h")

    def test_just_under_a_day_and_a_day(self) -> None:
        self.assertEqual(voyage_duration_label(1439), "23 h 59 min")
        self.assertEqual(voyage_duration_label(1440), "1 day")

    def test_day_and_minutes_without_hours(self) -> None:
        self.assertEqual(voyage_duration_label(1441), "1 day 1 min")

    def test_zero(self) -> None:
        self.assertEqual(voyage_duration_label(0), "0 min")

    def test_negative_raises(self) -> None:
        with self.assertRaises(ValueError):
            voyage_duration_label(-1)
