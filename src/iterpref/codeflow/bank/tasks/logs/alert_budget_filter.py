"""Write a logging filter `AlertBudget(limit, window)` for a pump station. Per logger name it lets at most `limit`
records pass in any `window` seconds, judged by the record's `created` time: a record passes if fewer than `limit`
records of the same name passed at times later than `created - window`. Records of level ERROR and above always pass
and are not counted. The attribute `held` maps each logger name to the number of its records held back; names
without any are not in it."""

import logging


class AlertBudget(logging.Filter):
    def __init__(self, limit: int, window: float) -> None:
        super().__init__()
        self.limit = limit
        self.window = window
        self.held: dict[str, int] = {}
        self._passed: dict[str, list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        edge = record.created - self.window
        recent = [moment for moment in self._passed.get(record.name, []) if moment > edge]
        self._passed[record.name] = recent
        if len(recent) < self.limit:
            recent.append(record.created)
            return True
        self.held[record.name] = self.held.get(record.name, 0) + 1
        return False


# --- tests ---

import logging
import unittest


def asked(budget: AlertBudget, created: float, name: str = "pump", level: int = logging.WARNING) -> bool:
    record = logging.LogRecord(name, level, "station.py", 1, "pressure", None, None)
    record.created = created
    return budget.filter(record)


class TestAlertBudget(unittest.TestCase):
    def test_the_limit_is_reached_exactly(self) -> None:
        budget = AlertBudget(2, 10.0)
        self.assertEqual([asked(budget, t) for t in (0.0, 1.0, 2.0)], [True, True, False])
        self.assertEqual(budget.held, {"pump": 1})

    def test_a_record_exactly_one_window_old_no_longer_counts(self) -> None:
        budget = AlertBudget(1, 10.0)
        self.assertEqual([asked(budget, t) for t in (0.0, 9.5, 10.0)], [True, False, True])

    def test_held_records_do_not_use_up_the_budget(self) -> None:
        budget = AlertBudget(1, 10.0)
        self.assertEqual([asked(budget, t) for t in (0.0, 5.0, 11.0, 20.5, 21.0)], [True, False, True, False, True])
        self.assertEqual(budget.held, {"pump": 2})

    def test_every_name_has_its_own_budget(self) -> None:
        budget = AlertBudget(1, 10.0)
        self.assertTrue(asked(budget, 0.0, "pump"))
        self.assertTrue(asked(budget, 0.0, "valve"))
        self.assertFalse(asked(budget, 0.0, "valve"))
        self.assertEqual(budget.held, {"valve": 1})

    def test_errors_always_pass_and_are_not_counted(self) -> None:
        budget = AlertBudget(1, 10.0)
        self.assertTrue(asked(budget, 0.0, level=logging.ERROR))
        self.assertTrue(asked(budget, 0.0, level=logging.CRITICAL))
        self.assertTrue(asked(budget, 0.0))
        self.assertTrue(asked(budget, 0.0, level=logging.ERROR))
        self.assertEqual(budget.held, {})

    def test_just_below_error_is_limited(self) -> None:
        budget = AlertBudget(0, 10.0)
        self.assertFalse(asked(budget, 0.0, level=logging.ERROR - 1))

    def test_the_window_slides(self) -> None:
        budget = AlertBudget(2, 10.0)
        answers = [asked(budget, t) for t in (0.0, 6.0, 9.0, 12.0, 15.0, 16.0)]
        self.assertEqual(answers, [True, True, False, True, False, True])

    def test_a_new_filter_has_held_nothing(self) -> None:
        self.assertEqual(AlertBudget(3, 1.0).held, {})
