"""Write `night_work_minutes(start, end)` for a payroll: given two naive datetimes, return how many whole minutes of
the shift lie in the night, which runs from 22:00 to 06:00 the next morning. A shift may start before midnight, end
after it, or cover several nights. Seconds are counted first over the whole shift and a rest below one minute is
dropped at the end. If `end` is before `start`, raise ValueError; an empty shift gives 0."""

from datetime import datetime, time, timedelta


def night_work_minutes(start: datetime, end: datetime) -> int:
    if end < start:
        raise ValueError("shift ends before it starts")
    total = timedelta()
    day = start.date() - timedelta(days=1)
    while day <= end.date():
        night_start = datetime.combine(day, time(22, 0))
        night_end = night_start + timedelta(hours=8)
        overlap = min(end, night_end) - max(start, night_start)
        if overlap > timedelta():
            total += overlap
        day += timedelta(days=1)
    return total // timedelta(minutes=1)


# --- tests ---

import datetime as dt
import unittest


class TestNightWorkMinutes(unittest.TestCase):
    def test_day_shift_has_no_night(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 6), dt.datetime(2024, 5, 6, 22)), 0)

    def test_late_shift_counts_after_ten(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 14), dt.datetime(2024, 5, 6, 22, 30)), 30)

    def test_shift_over_midnight(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 21), dt.datetime(2024, 5, 7, 7)), 480)

    def test_early_shift_belongs_to_the_night_before(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 4, 15), dt.datetime(2024, 5, 6, 12)), 105)

    def test_shift_inside_one_night(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 23), dt.datetime(2024, 5, 7, 1, 20)), 140)

    def test_two_nights(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 12), dt.datetime(2024, 5, 8, 12)), 960)

    def test_both_ends_of_one_day(self) -> None:
        self.assertEqual(night_work_minutes(dt.datetime(2024, 5, 6, 5), dt.datetime(2024, 5, 6, 23)), 120)

    def test_seconds_are_summed_before_rounding_down(self) -> None:
        start, end = dt.datetime(2024, 5, 6, 5, 59, 30), dt.datetime(2024, 5, 6, 22, 0, 30)
        self.assertEqual(night_work_minutes(start, end), 1)
        self.assertEqual(night_work_minutes(start, end - dt.timedelta(seconds=1)), 0)

    def test_empty_shift_and_reversed_shift(self) -> None:
        moment = dt.datetime(2024, 5, 6, 23)
        self.assertEqual(night_work_minutes(moment, moment), 0)
        with self.assertRaises(ValueError):
            night_work_minutes(moment, moment - dt.timedelta(minutes=1))
