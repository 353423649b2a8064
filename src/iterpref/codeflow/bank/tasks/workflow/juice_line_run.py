"""Write `run_line(steps, bottle)` for a juice plant. `steps` is a list of (name, function) pairs; each function takes
a value and returns the next one, starting with `bottle`. Return (value, report): the report maps each step name in
order to "done", "failed" or "skipped". When a step raises ValueError, it has failed, all later steps are skipped
without being called, and the value is that of the last finished step. Other exceptions pass through. No steps give
the bottle and an empty report."""

from collections.abc import Callable
from typing import Any


def run_line(steps: list[tuple[str, Callable[[Any], Any]]], bottle: Any) -> tuple[Any, dict[str, str]]:
    report: dict[str, str] = {}
    value = bottle
    broken = False
    for name, step in steps:
        if broken:
            report[name] = "skipped"
            continue
        try:
            value = step(value)
        except ValueError:
            broken = True
            report[name] = "failed"
        else:
            report[name] = "done"
    return value, report


# --- tests ---

import unittest


def refuse(value: object) -> object:
    raise ValueError("leak")


class TestJuiceLineRun(unittest.TestCase):
    def test_all_steps_are_done_in_order(self) -> None:
        steps = [("fill", lambda v: v + 3), ("double", lambda v: v * 2), ("spill", lambda v: v - 1)]
        value, report = run_line(steps, 4)
        self.assertEqual(value, 13)
        self.assertEqual(list(report.items()), [("fill", "done"), ("double", "done"), ("spill", "done")])

    def test_no_steps(self) -> None:
        self.assertEqual(run_line([], "raw"), ("raw", {}))

    def test_failure_keeps_the_last_finished_value(self) -> None:
        value, report = run_line([("fill", lambda v: v + 1), ("cap", refuse), ("label", lambda v: v * 10)], 1)
        self.assertEqual(value, 2)
        self.assertEqual(report, {"fill": "done", "cap": "failed", "label": "skipped"})

    def test_skipped_steps_are_not_called(self) -> None:
        called = []
        run_line([("cap", refuse), ("label", called.append), ("box", called.append)], 1)
        self.assertEqual(called, [])

    def test_first_step_fails(self) -> None:
        value, report = run_line([("cap", refuse), ("label", str), ("box", str)], 7)
        self.assertEqual(value, 7)
        self.assertEqual(report, {"cap": "failed", "label": "skipped", "box": "skipped"})

    def test_last_step_fails(self) -> None:
        self.assertEqual(run_line([("a", str), ("b", refuse)], 7), ("7", {"a": "done", "b": "failed"}))

    def test_other_exceptions_pass_through(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            run_line([("share", lambda v: 1 // v)], 0)

    def test_falsy_results_are_results(self) -> None:
        self.assertEqual(run_line([("clear", lambda v: None), ("ask", lambda v: v is None)], 5)[0], True)
