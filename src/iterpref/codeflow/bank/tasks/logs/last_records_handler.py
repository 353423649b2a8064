"""Write a logging handler `LastRecordsHandler(capacity)` for a parking garage's service screen. It keeps the
formatted text of the newest `capacity` records in memory and forgets older ones. `lines()` returns the kept texts,
oldest first, as a new list each time; `dropped` counts the forgotten records; `clear()` forgets the texts and sets
`dropped` back to 0 (cleared texts do not count as dropped). A capacity below 1 raises ValueError."""

import logging


class LastRecordsHandler(logging.Handler):
    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        super().__init__()
        self.capacity = capacity
        self.dropped = 0
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if len(self._lines) > self.capacity:
            del self._lines[0]
            self.dropped += 1

    def lines(self) -> list[str]:
        return list(self._lines)

    def clear(self) -> None:
        self._lines.clear()
        self.dropped = 0


# --- tests ---

import logging
import unittest


def feed(handler: LastRecordsHandler, *messages: str) -> None:
    for message in messages:
        handler.handle(logging.LogRecord("garage", logging.WARNING, "gate.py", 7, message, None, None))


class TestLastRecordsHandler(unittest.TestCase):
    def test_keeps_everything_up_to_the_capacity(self) -> None:
        handler = LastRecordsHandler(3)
        feed(handler, "a", "b", "c")
        self.assertEqual(handler.lines(), ["a", "b", "c"])
        self.assertEqual(handler.dropped, 0)

    def test_the_oldest_go_first(self) -> None:
        handler = LastRecordsHandler(3)
        feed(handler, "a", "b", "c", "d", "e")
        self.assertEqual(handler.lines(), ["c", "d", "e"])
        self.assertEqual(handler.dropped, 2)

    def test_uses_the_formatter(self) -> None:
        handler = LastRecordsHandler(1)
        handler.setFormatter(logging.Formatter("%(levelname)s:%(message)s"))
        feed(handler, "gate stuck")
        self.assertEqual(handler.lines(), ["WARNING:gate stuck"])

    def test_lines_is_a_new_list(self) -> None:
        handler = LastRecordsHandler(2)
        feed(handler, "a")
        handler.lines().append("fake")
        self.assertEqual(handler.lines(), ["a"])

    def test_clear_resets_texts_and_counter(self) -> None:
        handler = LastRecordsHandler(1)
        feed(handler, "a", "b", "c")
        self.assertEqual(handler.dropped, 2)
        handler.clear()
        self.assertEqual((handler.lines(), handler.dropped), ([], 0))
        feed(handler, "d")
        self.assertEqual((handler.lines(), handler.dropped), (["d"], 0))

    def test_capacity_must_be_positive(self) -> None:
        for capacity in (0, -2):
            with self.assertRaises(ValueError):
                LastRecordsHandler(capacity)
        self.assertEqual(LastRecordsHandler(1).capacity, 1)

    def test_a_new_handler_is_empty_and_takes_all_levels(self) -> None:
        handler = LastRecordsHandler(4)
        self.assertEqual((handler.lines(), handler.dropped), ([], 0))
        self.assertEqual(handler.level, logging.NOTSET)
