"""Write `due_services(lifts, today, horizon)` for a maintenance firm. `lifts` maps a lift name to (last, every): the
day number of its last service and the interval in days. Return a list of (day, name), sorted by day and name, of
every service due up to and including day today + horizon. Services fall on last + every, last + 2 * every and so on;
all those missed before `today` become one service on `today`, not repeated when one falls on `today` anyway. An
interval below 1 raises ValueError."""


def due_services(lifts: dict[str, tuple[int, int]], today: int, horizon: int) -> list[tuple[int, str]]:
    services = []
    for name, (last, every) in lifts.items():
        if every < 1:
            raise ValueError(f"{name} has the interval {every}")
        day = last + every
        if day < today:
            services.append((today, name))
            while day <= today:
                day += every
        while day <= today + horizon:
            services.append((day, name))
            day += every
    return sorted(services)


# --- tests ---

import unittest


class TestLiftMaintenanceCalendar(unittest.TestCase):
    def test_no_lifts(self) -> None:
        self.assertEqual(due_services({}, 10, 30), [])

    def test_regular_services_in_the_horizon(self) -> None:
        self.assertEqual(due_services({"A": (95, 10)}, 100, 20), [(105, "A"), (115, "A")])

    def test_horizon_is_inclusive(self) -> None:
        self.assertEqual(due_services({"A": (100, 7)}, 100, 14), [(107, "A"), (114, "A")])
        self.assertEqual(due_services({"A": (100, 7)}, 100, 13), [(107, "A")])

    def test_service_due_today(self) -> None:
        self.assertEqual(due_services({"A": (90, 10)}, 100, 5), [(100, "A")])

    def test_missed_services_become_one_today(self) -> None:
        self.assertEqual(due_services({"A": (60, 15)}, 100, 10), [(100, "A"), (105, "A")])

    def test_missed_and_due_today_is_one_service(self) -> None:
        self.assertEqual(due_services({"A": (80, 10)}, 100, 10), [(100, "A"), (110, "A")])

    def test_sorted_by_day_then_name(self) -> None:
        lifts = {"C": (0, 3), "B": (0, 6), "A": (0, 6)}
        self.assertEqual(due_services(lifts, 1, 5), [(3, "C"), (6, "A"), (6, "B"), (6, "C")])

    def test_daily_interval_is_allowed(self) -> None:
        self.assertEqual(due_services({"A": (9, 1)}, 10, 1), [(10, "A"), (11, "A")])

    def test_bad_interval_raises(self) -> None:
        with self.assertRaises(ValueError):
            due_services({"A": (9, 0)}, 10, 1)
