"""Write `office_meeting_times(start, offices)`. `start` is a timezone-aware datetime; `offices` maps an office name
to its fixed offset from UTC in minutes. Return a dict from office name to the local time as "HH:MM". If the local
date there is one day after the date of `start` in its own zone, " (+1)" follows, " (-1)" if it is one day before, and
so on. Keep the order of `offices`. A naive `start` raises ValueError."""

from datetime import datetime, timedelta, timezone


def office_meeting_times(start: datetime, offices: dict[str, int]) -> dict[str, str]:
    if start.tzinfo is None:
        raise ValueError("start needs a time zone")
    labels = {}
    for office, offset in offices.items():
        local = start.astimezone(timezone(timedelta(minutes=offset)))
        shift = (local.date() - start.date()).days
        label = local.strftime("%H:%M")
        labels[office] = f"{label} ({shift:+d})" if shift else label
    return labels


# --- tests ---

import datetime as dt
import unittest


class TestOfficeMeetingTimes(unittest.TestCase):
    def at(self, hour: int, minute: int = 0, offset: int = 0) -> dt.datetime:
        return dt.datetime(2024, 2, 29, hour, minute, tzinfo=dt.timezone(dt.timedelta(minutes=offset)))

    def test_same_day(self) -> None:
        self.assertEqual(
            office_meeting_times(self.at(9), {"Oslo": 60, "Lima": -300}), {"Oslo": "10:00", "Lima": "04:00"}
        )

    def test_next_day(self) -> None:
        self.assertEqual(office_meeting_times(self.at(18, 5), {"Sydney": 600}), {"Sydney": "04:05 (+1)"})

    def test_midnight_is_the_next_day(self) -> None:
        self.assertEqual(
            office_meeting_times(self.at(22, 59), {"Berlin": 60, "Athens": 61}),
            {"Berlin": "23:59", "Athens": "00:00 (+1)"},
        )

    def test_day_before(self) -> None:
        self.assertEqual(office_meeting_times(self.at(3), {"Denver": -420}), {"Denver": "20:00 (-1)"})

    def test_shift_is_seen_from_the_zone_of_start(self) -> None:
        self.assertEqual(
            office_meeting_times(self.at(1, 0, 120), {"Kyiv": 120, "Porto": 0}),
            {"Kyiv": "01:00", "Porto": "23:00 (-1)"},
        )

    def test_half_hour_offset(self) -> None:
        self.assertEqual(office_meeting_times(self.at(12), {"Pune": 330}), {"Pune": "17:30"})

    def test_two_days_apart(self) -> None:
        self.assertEqual(office_meeting_times(self.at(23, 0, -720), {"Apia": 780}), {"Apia": "00:00 (+2)"})

    def test_order_is_kept_and_empty_is_empty(self) -> None:
        self.assertEqual(list(office_meeting_times(self.at(9), {"b": 0, "a": 0})), ["b", "a"])
        self.assertEqual(office_meeting_times(self.at(9), {}), {})

    def test_naive_start_raises(self) -> None:
        with self.assertRaises(ValueError):
            office_meeting_times(dt.datetime(2024, 2, 29, 9), {"Oslo": 60})
