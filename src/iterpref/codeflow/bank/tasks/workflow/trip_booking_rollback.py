"""Write the class `Booking` for a travel desk. `add(name, book, cancel)` appends a step; two steps of one name raise
ValueError. `run()` calls the `book` functions in order, without arguments, and returns the list of booked names. When
one raises an exception, the `cancel` functions of the steps already booked are called in reverse order (exceptions of
theirs are swallowed, their names collected in the list attribute `stuck`), and RuntimeError is raised from the
original exception. Each run starts with an empty `stuck`."""

from collections.abc import Callable


class Booking:
    def __init__(self) -> None:
        self._steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
        self.stuck: list[str] = []

    def add(self, name: str, book: Callable[[], object], cancel: Callable[[], object]) -> None:
        if name in self._steps:
            raise ValueError(f"{name} is there already")
        self._steps[name] = (book, cancel)

    def run(self) -> list[str]:
        self.stuck = []
        booked: list[str] = []
        for name, (book, _) in self._steps.items():
            try:
                book()
            except Exception as error:
                self._undo(booked)
                raise RuntimeError(f"{name} failed") from error
            booked.append(name)
        return booked

    def _undo(self, booked: list[str]) -> None:
        for name in reversed(booked):
            try:
                self._steps[name][1]()
            except Exception:
                self.stuck.append(name)


# --- tests ---

import unittest
from collections.abc import Callable


def explode() -> None:
    raise OSError("no seats")


class TestTripBookingRollback(unittest.TestCase):
    def setUp(self) -> None:
        self.log: list[str] = []
        self.trip = Booking()

    def note(self, text: str) -> Callable[[], None]:
        return lambda: self.log.append(text)

    def test_all_steps_are_booked_in_order(self) -> None:
        for name in ("train", "hotel", "tour"):
            self.trip.add(name, self.note(f"+{name}"), self.note(f"-{name}"))
        self.assertEqual(self.trip.run(), ["train", "hotel", "tour"])
        self.assertEqual(self.log, ["+train", "+hotel", "+tour"])
        self.assertEqual(self.trip.stuck, [])

    def test_no_steps(self) -> None:
        self.assertEqual(self.trip.run(), [])

    def test_failure_cancels_in_reverse_and_stops(self) -> None:
        self.trip.add("train", self.note("+train"), self.note("-train"))
        self.trip.add("hotel", self.note("+hotel"), self.note("-hotel"))
        self.trip.add("tour", explode, self.note("-tour"))
        self.trip.add("meal", self.note("+meal"), self.note("-meal"))
        with self.assertRaises(RuntimeError) as caught:
            self.trip.run()
        self.assertIsInstance(caught.exception.__cause__, OSError)
        self.assertEqual(self.log, ["+train", "+hotel", "-hotel", "-train"])

    def test_failing_cancellation_does_not_stop_the_others(self) -> None:
        self.trip.add("train", self.note("+train"), self.note("-train"))
        self.trip.add("hotel", self.note("+hotel"), explode)
        self.trip.add("tour", explode, explode)
        with self.assertRaises(RuntimeError):
            self.trip.run()
        self.assertEqual(self.trip.stuck, ["hotel"])
        self.assertEqual(self.log, ["+train", "+hotel", "-train"])

    def test_stuck_starts_empty_in_each_run(self) -> None:
        self.trip.add("hotel", self.note("+hotel"), explode)
        self.trip.add("tour", explode, explode)
        for _ in range(2):
            with self.assertRaises(RuntimeError):
                self.trip.run()
        self.assertEqual(self.trip.stuck, ["hotel"])

    def test_same_name_twice_raises(self) -> None:
        self.trip.add("train", self.note("+1"), self.note("-1"))
        with self.assertRaises(ValueError):
            self.trip.add("train", self.note("+2"), self.note("-2"))
        self.trip.run()
        self.assertEqual(self.log, ["+1"])
