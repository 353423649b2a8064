"""Write a logging handler `FlightRecorder(target, capacity, trigger=logging.ERROR)`. It remembers the newest
`capacity` records below the level `trigger` (none if 0). A record at or above it makes the handler pass the
remembered records in order, then that record, to `target.handle` and forget them all. If records had to be
forgotten for lack of room since the last hand-over, it first passes a WARNING record of the name "recorder" saying
"N records lost" (N their number). `close()` forgets everything without passing it on."""

import logging
from collections import deque


class FlightRecorder(logging.Handler):
    def __init__(self, target: logging.Handler, capacity: int, trigger: int = logging.ERROR) -> None:
        super().__init__()
        self.target = target
        self.capacity = capacity
        self.trigger = trigger
        self._kept: deque[logging.LogRecord] = deque()
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= self.trigger:
            self._hand_over(record)
            return
        self._kept.append(record)
        if len(self._kept) > self.capacity:
            self._kept.popleft()
            self._lost += 1

    def _hand_over(self, record: logging.LogRecord) -> None:
        if self._lost > 0:
            row = {"name": "recorder", "levelno": logging.WARNING, "levelname": "WARNING"}
            self.target.handle(logging.makeLogRecord({**row, "msg": f"{self._lost} records lost"}))
        for kept in self._kept:
            self.target.handle(kept)
        self.target.handle(record)
        self._forget()

    def _forget(self) -> None:
        self._kept.clear()
        self._lost = 0

    def close(self) -> None:
        self._forget()
        super().close()


# --- tests ---

import logging
import unittest


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(f"{record.name}:{record.levelname}:{record.getMessage()}")


def say(handler: logging.Handler, message: str, level: int = logging.INFO) -> None:
    handler.handle(logging.LogRecord("drone", level, "fly.py", 1, message, None, None))


class TestFlightRecorder(unittest.TestCase):
    def setUp(self) -> None:
        self.target = Collector()
        self.recorder = FlightRecorder(self.target, 2)

    def test_nothing_is_handed_over_below_the_trigger(self) -> None:
        say(self.recorder, "climb")
        say(self.recorder, "gust", logging.ERROR - 1)
        self.assertEqual(self.target.seen, [])

    def test_an_error_brings_what_was_before_in_order(self) -> None:
        say(self.recorder, "climb")
        say(self.recorder, "turn", logging.DEBUG)
        say(self.recorder, "motor", logging.ERROR)
        self.assertEqual(self.target.seen, ["drone:INFO:climb", "drone:DEBUG:turn", "drone:ERROR:motor"])

    def test_lost_records_are_announced_first(self) -> None:
        for message in "abcde":
            say(self.recorder, message)
        say(self.recorder, "motor", logging.CRITICAL)
        expected = ["recorder:WARNING:3 records lost", "drone:INFO:d", "drone:INFO:e", "drone:CRITICAL:motor"]
        self.assertEqual(self.target.seen, expected)

    def test_everything_is_forgotten_after_a_hand_over(self) -> None:
        for message in "abc":
            say(self.recorder, message)
        say(self.recorder, "one", logging.ERROR)
        self.target.seen.clear()
        say(self.recorder, "two", logging.ERROR)
        self.assertEqual(self.target.seen, ["drone:ERROR:two"])

    def test_losses_are_counted_anew_after_a_hand_over(self) -> None:
        for message in "abc":
            say(self.recorder, message)
        say(self.recorder, "one", logging.ERROR)
        self.target.seen.clear()
        for message in "defg":
            say(self.recorder, message)
        say(self.recorder, "two", logging.ERROR)
        expected = ["recorder:WARNING:2 records lost", "drone:INFO:f", "drone:INFO:g", "drone:ERROR:two"]
        self.assertEqual(self.target.seen, expected)

    def test_close_forgets(self) -> None:
        for message in "abc":
            say(self.recorder, message)
        self.recorder.close()
        say(self.recorder, "late", logging.ERROR)
        self.assertEqual(self.target.seen, ["drone:ERROR:late"])

    def test_the_trigger_can_be_chosen(self) -> None:
        recorder = FlightRecorder(self.target, 5, trigger=logging.WARNING)
        say(recorder, "climb")
        say(recorder, "gust", logging.WARNING)
        self.assertEqual(self.target.seen, ["drone:INFO:climb", "drone:WARNING:gust"])

    def test_a_capacity_of_zero_remembers_nothing(self) -> None:
        recorder = FlightRecorder(self.target, 0)
        say(recorder, "climb")
        say(recorder, "motor", logging.ERROR)
        self.assertEqual(self.target.seen, ["recorder:WARNING:1 records lost", "drone:ERROR:motor"])
